//! The cases of the contract, on each kind of device. The virtual PIV card's are with its own tests.

use hsm_tests::contract;
use hsm_tests::contract::{Client, Direct, Files, InSigner, Nss, Proxy};

contract!(file, super::Files);
contract!(softhsm, super::Direct);
contract!(softhsm_in_signer, super::InSigner);
contract!(softhsm_by_p11_kit_client, super::Client);
contract!(softhsm_by_p11_kit_proxy, super::Proxy);
contract!(nss_by_p11_kit_proxy, super::Nss);

//! The cases of the contract, with the virtual card.

use hsm_tests::contract;
use hsm_tests::contract::{OpenSc, Ykcs11, Ykcs11InSigner};

contract!(ykcs11, super::Ykcs11);
contract!(ykcs11_in_signer, super::Ykcs11InSigner);
contract!(opensc, super::OpenSc);

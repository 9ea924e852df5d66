//! The cases of the contract, with the virtual card.

use hsm_tests::contract;
use hsm_tests::contract::{OpenSc, Ykcs11};

contract!(ykcs11, super::Ykcs11);
contract!(opensc, super::OpenSc);

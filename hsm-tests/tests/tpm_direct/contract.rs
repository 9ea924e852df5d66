//! The cases of the contract, with keys in swtpm.

use hsm_tests::contract;
use hsm_tests::contract::{
    TpmFileDirect, TpmFileThatCountsDirect, TpmHandleDirect, TpmHandleThatCountsDirect,
};

contract!(handle, super::TpmHandleDirect);
contract!(handle_that_counts, super::TpmHandleThatCountsDirect);
contract!(file, super::TpmFileDirect);
contract!(file_that_counts, super::TpmFileThatCountsDirect);

//! The cases of the contract, with keys in swtpm in every way that they are used.

use hsm_tests::contract;
use hsm_tests::contract::{
    TpmFile, TpmFileAlone, TpmFileInSigner, TpmFileInSignerAlone, TpmFileWithAuth, TpmHandle,
    TpmHandleAlone, TpmHandleInSigner, TpmHandleThatCounts, TpmHandleWithAuth,
};

contract!(handle, super::TpmHandle);
contract!(handle_alone, super::TpmHandleAlone);
contract!(handle_with_auth, super::TpmHandleWithAuth);
contract!(handle_that_counts, super::TpmHandleThatCounts);
contract!(file, super::TpmFile);
contract!(file_alone, super::TpmFileAlone);
contract!(file_with_auth, super::TpmFileWithAuth);
contract!(handle_in_signer, super::TpmHandleInSigner);
contract!(file_in_signer, super::TpmFileInSigner);
contract!(file_in_signer_alone, super::TpmFileInSignerAlone);

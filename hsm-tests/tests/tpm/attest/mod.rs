//! Proof that a key is in a TPM.

mod credential;

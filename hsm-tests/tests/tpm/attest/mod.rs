//! Proof that a key is in a TPM.

mod commands;
mod credential;
mod device;

//! A certificate for tests that only need one to be there: self-signed, P-256, for a key that was
//! thrown away.

/// DER.
pub const SELF_SIGNED: &[u8] = include_bytes!("../../fixtures/self-signed.der");

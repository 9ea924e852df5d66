//! The protocol of TPM 2.0s, over any [`embedded_io`] stream: `/dev/tpmrm0`, a socket, a driver for SPI. What
//! signing takes, and no more: keys at handles and keys that are loaded, auth values in clear and by sessions that
//! show them to nobody on the way.
//!
//! ```
//! use embedded_io::{Read, Write};
//! use keystead::core::tpm::{Auth, Error, Hash, Random, SessionKind, SignatureScheme, Tpm};
//!
//! /// Signs the digest of a message with the key at a persistent handle, whose auth value does not go over
//! /// the bus.
//! fn sign(
//!     stream: impl Read + Write,
//!     random: impl Random,
//!     auth: &[u8],
//!     digest: &[u8; 32],
//!     signature: &mut [u8],
//! ) -> Result<usize, Error> {
//!     const KEY: u32 = 0x8100_0011;
//!     let mut tpm = Tpm::new(stream, [0; 1024], random);
//!     let name = tpm.read_public(KEY)?.1;
//!     let mut session = tpm.start_session(SessionKind::Hmac, None)?;
//!     let auth = Auth::Session { session: &mut session, value: auth, encrypts: true };
//!     let signed = tpm.sign(KEY, &name, auth, SignatureScheme::Ecdsa(Hash::Sha256), digest);
//!     let signed = signed.map(|answer| answer.numbers(|r, s| {
//!         signature[..r.len()].copy_from_slice(r);
//!         signature[r.len()..][..s.len()].copy_from_slice(s);
//!         r.len() + s.len()
//!     }));
//!     // Whatever became of it, nothing stays in the TPM.
//!     tpm.flush_context(session.handle())?;
//!     signed
//! }
//! ```
//!
//! What is not here: RSA salt keys, other hashes of sessions than SHA-256, making keys.

mod commands;
mod crypto;
mod error;
mod exchange;
mod public;
mod session;
#[cfg(all(test, feature = "std"))]
mod tests;

pub use self::commands::{Clock, PcrSelection, SaltTo, SessionKind, Signature};
pub use self::error::{Error, NoRandomness, Random};
pub use self::exchange::Tpm;
pub use self::public::{
    Allowed, Hash, MAX_PUBLIC_LEN, Name, P256, P384, P521, PublicArea, PublicKey, STORAGE_ROOT,
    SignatureScheme, StorageKey, attributes,
};
pub use self::session::{Auth, Session};

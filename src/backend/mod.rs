//! Where private keys and certificates come from. Each backend opens from a URI and gives a
//! [`Signer`].

pub mod algorithm;
#[cfg(any(feature = "ca", feature = "tpm-direct"))]
pub mod attestation;
#[cfg(feature = "file")]
pub mod chain;
#[cfg(feature = "file")]
pub mod file;
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
pub mod isolated;
#[cfg(feature = "file")]
pub mod path;
#[cfg_attr(
    not(feature = "file"),
    allow(dead_code, reason = "roots are certificates, not keys")
)]
pub(crate) mod pem;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
#[cfg(feature = "file")]
pub(crate) mod private_file;
#[cfg(any(feature = "ca", feature = "pkcs11", feature = "tpm-direct"))]
pub(crate) mod public_key;
#[cfg(any(feature = "file", feature = "host"))]
#[cfg_attr(
    not(all(feature = "file", feature = "host")),
    allow(dead_code, reason = "texts are the host's settings")
)]
pub(crate) mod regular_file;
#[cfg(feature = "file")]
pub mod secret;
#[cfg(feature = "file")]
pub mod signature;
#[cfg(feature = "tpm-direct")]
pub mod tpm;

use std::boxed::Box;
use std::vec::Vec;

use crate::core::key::Signer;

/// A signer of any backend.
pub type BoxedSigner = Box<dyn Signer + Send>;

/// An identity on a host: the chain, leaf first, each DER, and the signer that holds the leaf's key.
pub type Identity = crate::core::identity::Identity<Vec<Vec<u8>>, BoxedSigner>;

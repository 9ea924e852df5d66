//! The private key, behind keystead's [`Signer`](keystead::core::key::Signer): in flash, or in a secure element.

#[cfg(not(feature = "software-key"))]
pub mod element;
#[cfg(feature = "software-key")]
pub mod software;

/// The start of a DER `SubjectPublicKeyInfo` for P-256, up to the two coordinates (RFC 5480 section 2).
const SPKI_HEAD: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// A P-256 public key as DER `SubjectPublicKeyInfo`.
struct PublicKey([u8; SPKI_HEAD.len() + 64]);

impl PublicKey {
    /// From both coordinates, 32 bytes each.
    fn new(coordinates: &[u8; 64]) -> Self {
        let mut der = [0; SPKI_HEAD.len() + 64];
        let (head, point) = der.split_at_mut(SPKI_HEAD.len());
        head.copy_from_slice(&SPKI_HEAD);
        point.copy_from_slice(coordinates);
        Self(der)
    }
}

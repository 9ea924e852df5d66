//! The seam to a private key: what kind it is, and how it signs.

use core::fmt;

/// The kind of a key; from it follow the schemes it can sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA; the modulus has this many bits.
    Rsa {
        /// Length of the modulus in bits.
        bits: u16,
    },
    /// NIST P-256 (secp256r1).
    P256,
    /// NIST P-384 (secp384r1).
    P384,
    /// NIST P-521 (secp521r1).
    P521,
    /// ML-DSA-44 (FIPS 204).
    MlDsa44,
    /// ML-DSA-65 (FIPS 204).
    MlDsa65,
    /// ML-DSA-87 (FIPS 204).
    MlDsa87,
}

impl KeyKind {
    /// The scheme that IAM Roles Anywhere takes from this kind of key: always SHA-256, also on the
    /// larger curves.
    pub fn roles_anywhere_scheme(self) -> Scheme {
        match self {
            Self::Rsa { .. } => Scheme::RsaPkcs1Sha256,
            Self::P256 | Self::P384 | Self::P521 => Scheme::EcdsaSha256,
            Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => Scheme::MlDsa,
        }
    }

    /// The most bytes that a signature of this key takes: the modulus' length for RSA, the longest
    /// DER `SEQUENCE {r, s}` for ECDSA, the fixed length for ML-DSA.
    pub fn max_signature_len(self) -> usize {
        match self {
            Self::Rsa { bits } => usize::from(bits).div_ceil(8),
            Self::P256 => 72,
            Self::P384 => 104,
            Self::P521 => 139,
            Self::MlDsa44 => 2420,
            Self::MlDsa65 => 3309,
            Self::MlDsa87 => 4627,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
            Self::P256 => f.write_str("EC P-256"),
            Self::P384 => f.write_str("EC P-384"),
            Self::P521 => f.write_str("EC P-521"),
            Self::MlDsa44 => f.write_str("ML-DSA-44"),
            Self::MlDsa65 => f.write_str("ML-DSA-65"),
            Self::MlDsa87 => f.write_str("ML-DSA-87"),
        }
    }
}

/// The longest signature of all: ML-DSA-87.
pub const MAX_SIGNATURE_LEN: usize = 4627;

/// How a message becomes a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 with SHA-256 (Roles Anywhere).
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RsaPkcs1Sha512,
    /// RSASSA-PSS, SHA-256, salt as long as the hash (TLS).
    RsaPssSha256,
    /// RSASSA-PSS, SHA-384, salt as long as the hash (TLS).
    RsaPssSha384,
    /// RSASSA-PSS, SHA-512, salt as long as the hash (TLS).
    RsaPssSha512,
    /// ECDSA over SHA-256, DER (Roles Anywhere on every curve; TLS on P-256).
    EcdsaSha256,
    /// ECDSA over SHA-384, DER (TLS on P-384).
    EcdsaSha384,
    /// ECDSA over SHA-512, DER (TLS on P-521).
    EcdsaSha512,
    /// Pure ML-DSA with an empty context (Roles Anywhere).
    MlDsa,
}

/// A private key that signs. It may be far away: a token, a TPM, another process.
pub trait Signer {
    /// What kind of key this is.
    fn key(&self) -> KeyKind;

    /// The public key, as a DER `SubjectPublicKeyInfo`.
    fn public_key(&self) -> &[u8];

    /// Signs `message` itself, never a digest that the caller made. ECDSA comes back as a DER
    /// `SEQUENCE {r, s}`, RSA and ML-DSA raw.
    ///
    /// The signature goes to the start of `out`; the length written is returned.
    /// [`KeyKind::max_signature_len`] bytes are always enough.
    ///
    /// # Errors
    /// [`SignError::UnsupportedScheme`] if the key cannot sign so, [`SignError::BufferTooSmall`], or
    /// what the device said.
    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError>;
}

impl<S: Signer + ?Sized> Signer for &mut S {
    fn key(&self) -> KeyKind {
        (**self).key()
    }
    fn public_key(&self) -> &[u8] {
        (**self).public_key()
    }
    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        (**self).sign(scheme, message, out)
    }
}

#[cfg(feature = "std")]
impl<S: Signer + ?Sized> Signer for std::boxed::Box<S> {
    fn key(&self) -> KeyKind {
        (**self).key()
    }
    fn public_key(&self) -> &[u8] {
        (**self).public_key()
    }
    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        (**self).sign(scheme, message, out)
    }
}

/// Why there is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignError {
    /// The key cannot sign in this scheme.
    UnsupportedScheme,
    /// `out` is shorter than the signature.
    BufferTooSmall,
    /// The device refused: which call, and the code that it returned.
    Device {
        /// The call, as the device's interface names it (`C_Sign`, `TPM2_Sign`).
        call: &'static str,
        /// What it returned.
        code: u32,
        /// Its name in the device's interface (`CKR_DEVICE_REMOVED`); empty if it has none.
        name: &'static str,
    },
    /// The device is there, but the key is no longer in it, or another one is in its place.
    KeyGone,
    /// The key in the device is not the certificate's.
    WrongKey,
    /// The device wants its PIN again, and there is none to be had without a person.
    PinNeeded,
    /// The PIN was refused, now or before, or would lock the device if it were wrong.
    PinRefused,
    /// The device has locked the PIN.
    PinLocked,
    /// The device waited for a touch that did not come.
    NotTouched,
    /// The device did not answer in time.
    TimedOut,
    /// The process that speaks to the device ended.
    ProcessEnded,
    /// The software that signs failed without saying why.
    Failed,
}

impl SignError {
    /// Whether the same call may succeed later without anyone changing anything.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Device { .. } | Self::NotTouched | Self::TimedOut | Self::ProcessEnded
        )
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedScheme => f.write_str("the key cannot sign with the scheme asked for"),
            Self::BufferTooSmall => f.write_str("the buffer for the signature is too small"),
            Self::Device {
                call,
                code,
                name: "",
            } => write!(f, "{call}: {code:#x}"),
            Self::Device { call, name, .. } => write!(f, "{call}: {name}"),
            Self::KeyGone => f.write_str("the key is no longer in its token"),
            Self::WrongKey => f.write_str("the key in the token is not the certificate's"),
            Self::PinNeeded => f.write_str("PIN needed: the token wants it again"),
            Self::PinRefused => f.write_str("the token's PIN was refused"),
            Self::PinLocked => f.write_str("the token has locked its PIN"),
            Self::NotTouched => f.write_str("the token waited for a touch that did not come"),
            Self::TimedOut => f.write_str("the token did not answer in time"),
            Self::ProcessEnded => f.write_str("the process that speaks to the token ended"),
            Self::Failed => f.write_str("the signature could not be made"),
        }
    }
}

impl core::error::Error for SignError {}

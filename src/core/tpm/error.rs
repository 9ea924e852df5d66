//! What goes wrong between here and a TPM.

use core::fmt;

use embedded_io::ErrorKind;

/// Why a command has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Nothing can be written or read.
    Stream(ErrorKind),
    /// The stream ended before the answer did.
    Closed,
    /// What came is no answer to the command.
    Malformed,
    /// The answer's HMAC is wrong: it does not come from who knows the session's secret.
    WrongHmac,
    /// A public area and the name beside it do not belong together.
    WrongName,
    /// The TPM refused: its response code (TPM 2.0 Part 2, section 6.6).
    Code(u32),
    /// The command, or its answer, is longer than the buffer.
    BufferTooSmall,
    /// There is no randomness.
    NoRandomness,
    /// A value is longer than a TPM takes, or of a kind that it has no place for.
    Unfit,
    /// The key is none that a salt can be encrypted to here: it is not on the curve P-256.
    UnfitSaltKey,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream(kind) => return write!(f, "the TPM cannot be spoken to: {kind}"),
            Self::Code(code) => return write!(f, "the TPM returned {code:#05X}"),
            Self::Closed => "the TPM's answer ended too early",
            Self::Malformed => "the TPM's answer is none",
            Self::WrongHmac => "the HMAC of the TPM's answer is wrong",
            Self::WrongName => "the TPM answered with a public area of another name",
            Self::BufferTooSmall => "the buffer for commands and answers is too small",
            Self::NoRandomness => "there is no randomness",
            Self::Unfit => "a TPM does not take this value",
            Self::UnfitSaltKey => "sessions are salted to keys on the curve P-256 only",
        })
    }
}

impl core::error::Error for Error {}

impl From<tpm2_protocol::TpmError> for Error {
    fn from(error: tpm2_protocol::TpmError) -> Self {
        match error {
            tpm2_protocol::TpmError::BufferOverflow { .. } => Self::BufferTooSmall,
            _ => Self::Malformed,
        }
    }
}

/// There is no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Error::NoRandomness.fmt(f)
    }
}

impl core::error::Error for NoRandomness {}

/// Where nonces and secrets come from.
pub trait Random {
    /// Fills `out` with bytes that nobody can foresee.
    ///
    /// # Errors
    /// [`NoRandomness`].
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoRandomness>;
}

impl<R: Random + ?Sized> Random for &mut R {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoRandomness> {
        (**self).fill(out)
    }
}

impl From<NoRandomness> for Error {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

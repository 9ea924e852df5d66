//! Whether a TPM's keys are used through libtss2.

use core::str::FromStr;

/// Who speaks to a TPM to use a key in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// This process where it can, else `keystead-signer`.
    #[default]
    Auto,
    /// This process, and nobody else.
    Direct,
    /// `keystead-signer`, through libtss2.
    Tss,
}

impl FromStr for Transport {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "direct" => Ok(Self::Direct),
            "tss" => Ok(Self::Tss),
            _ => Err("it is auto, direct or tss"),
        }
    }
}

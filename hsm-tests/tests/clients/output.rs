//! The ways out of keystead, and how a client is brought to take its credentials from there.

use std::fmt;
use std::time::Duration;

use crate::client::Client;

/// A way for credentials to get to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    CredentialProcess,
}

impl Output {
    /// Why a client cannot get its credentials so.
    pub fn not_for(self, _client: Client) -> Option<&'static str> {
        None
    }

    /// How long sessions live in tests of endurance.
    pub fn life(self) -> Duration {
        match self {
            // Those in their last minute are not handed out by the cache.
            Self::CredentialProcess => Duration::from_secs(180),
        }
    }

    /// Whether a client that stays gets new credentials so.
    pub fn renews(self) -> bool {
        match self {
            Self::CredentialProcess => true,
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CredentialProcess => "credential_process",
        })
    }
}

//! Credentials as environment variables: which ones there are, which others get in their way, and how a
//! shell, a file or a CI system is told of them.

mod conflict;
mod format;
mod github;
mod quote;

pub use conflict::{BESIDE_ENDPOINT, BESIDE_KEYS};
pub use format::{Format, Unwritable, script};
pub use github::{Append, Step};

use core::fmt;
use std::string::{String, ToString as _};

use zeroize::Zeroizing;

use crate::host::session::Credentials;

/// One variable.
#[derive(Clone)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: Zeroizing<String>,
}

/// Without the value.
impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variable")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The variables that AWS's programs take credentials from, with the names that `aws configure
/// export-credentials` gives them. The region is none of them: where somebody signs on says nothing about
/// where his data is.
pub fn variables(credentials: &Credentials) -> [Variable; 4] {
    let Credentials {
        access_key_id,
        secret_access_key,
        session_token,
        expiration,
        ..
    } = credentials;
    [
        ("AWS_ACCESS_KEY_ID", Zeroizing::new(access_key_id.clone())),
        ("AWS_SECRET_ACCESS_KEY", secret_access_key.clone()),
        ("AWS_SESSION_TOKEN", session_token.clone()),
        (
            "AWS_CREDENTIAL_EXPIRATION",
            Zeroizing::new(expiration.to_string()),
        ),
    ]
    .map(|(name, value)| Variable { name, value })
}

//! The role that a machine in AWS has by itself: an EC2 instance's, or a container's of ECS, EKS, Greengrass
//! and whatever else speaks their protocol. With it, keystead has nothing to do.
//!
//! Asking is kept short, and to where an answer can come from: the variables that a container has, and
//! the instance metadata service only where the firmware says that this is EC2. What another keystead
//! serves on this machine is not the machine's role.

mod account;
mod container;
mod document;
mod error;
mod fetch;
mod instance;
mod machine;
mod source;
#[cfg(test)]
mod tests;

pub use account::{StsOptions, is_account};
pub use error::{RoleError, RoleErrorKind};
pub use machine::is_ec2;
pub use source::{PreferRole, UsedRole};

use core::fmt;
use std::path::PathBuf;
use std::string::String;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::core::time::UnixTime;
use crate::host::clock::HostClock;
use crate::host::session::Credentials;

/// What this machine says about itself. The variables are those of AWS's SDKs.
#[derive(Clone)]
pub struct Surroundings {
    /// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`.
    pub relative_uri: Option<String>,
    /// `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub full_uri: Option<String>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    pub authorization: Option<Zeroizing<String>>,
    /// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`, which counts before the other.
    pub authorization_file: Option<PathBuf>,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub metadata_endpoint: Option<String>,
    /// Whether `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` is `IPv6`.
    pub is_metadata_ipv6: bool,
    /// Whether `AWS_EC2_METADATA_DISABLED` is `true`.
    pub is_metadata_disabled: bool,
    /// Where the kernel shows what the firmware says: `/sys`.
    pub sys: PathBuf,
}

/// Without the token.
impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("relative_uri", &self.relative_uri)
            .field("full_uri", &self.full_uri)
            .field("authorization_file", &self.authorization_file)
            .field("metadata_endpoint", &self.metadata_endpoint)
            .field("is_metadata_ipv6", &self.is_metadata_ipv6)
            .field("is_metadata_disabled", &self.is_metadata_disabled)
            .field("sys", &self.sys)
            .finish_non_exhaustive()
    }
}

impl Default for Surroundings {
    /// A machine about which nothing is said.
    fn default() -> Self {
        Self {
            relative_uri: None,
            full_uri: None,
            authorization: None,
            authorization_file: None,
            metadata_endpoint: None,
            is_metadata_ipv6: false,
            is_metadata_disabled: false,
            sys: PathBuf::from("/sys"),
        }
    }
}

/// How a machine's role is looked for.
#[derive(Debug, Clone)]
pub struct Look {
    /// What the machine says about itself.
    pub surroundings: Surroundings,
    /// The account that the role has to be of.
    pub expect_account: Option<String>,
    /// Whom to ask for the account, where the credentials do not say it.
    pub sts: StsOptions,
    /// The clock that expiry is judged by.
    pub clock: Arc<HostClock>,
}

/// Credentials of a machine's role.
#[derive(Debug)]
pub struct RoleCredentials {
    /// The credentials; they live. Their role is empty where nobody says which one it is.
    pub credentials: Credentials,
    /// The clock of whoever gave them.
    pub date: Option<UnixTime>,
    /// The account, if somebody said it.
    pub account: Option<String>,
}

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// The machine has a role.
    Role(RoleCredentials),
    /// It has none.
    None(NoRole),
}

/// Why a machine is taken to have no role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoRole {
    /// There are no container variables, and the firmware does not say that this is EC2.
    NotOnAws,
    /// Whoever answers is keystead itself.
    Ourselves,
    /// `AWS_EC2_METADATA_DISABLED`.
    Disabled,
    /// The instance metadata service does not answer, or not to us.
    NoMetadata(String),
    /// The instance has no role.
    NoInstanceRole,
}

impl fmt::Display for NoRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOnAws => f.write_str(
                "no AWS_CONTAINER_CREDENTIALS_… variable is set, and this machine is none of Amazon EC2's",
            ),
            Self::Ourselves => f.write_str("the endpoint in the environment is keystead's own"),
            Self::Disabled => f.write_str("AWS_EC2_METADATA_DISABLED is set"),
            Self::NoMetadata(why) => write!(f, "the instance metadata service: {why}"),
            Self::NoInstanceRole => f.write_str("the instance has no role"),
        }
    }
}

impl Look {
    /// Asks for the credentials of the machine's role.
    ///
    /// # Errors
    /// [`RoleError`] if the machine has a role, or says so, and there are no credentials to be had, or
    /// they are of another account than is expected.
    pub fn credentials(&self) -> Result<Found, RoleError> {
        let found = match container::credentials(self)? {
            // An instance has its role also where keystead is in between.
            Found::None(first) => match instance::credentials(self)? {
                Found::None(_) if first == NoRole::Ourselves => Found::None(first),
                found => found,
            },
            found => found,
        };
        if let Found::Role(role) = &found {
            account::check(self, role)?;
        }
        Ok(found)
    }
}

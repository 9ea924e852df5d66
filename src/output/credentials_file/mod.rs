//! The shared credentials file of AWS's command line and SDKs (`~/.aws/credentials`): changes the
//! credentials of one profile, and nothing else.

mod edit;
mod error;
mod file;
mod lock;
mod new;
mod outline;
mod profile;
mod record;
mod target;

pub use edit::{EditError, access_key_id, set, unset};
pub use error::FileError;
pub use file::{CredentialsFile, Written};
pub use profile::{Profile, ProfileError};

#[cfg(test)]
mod tests;

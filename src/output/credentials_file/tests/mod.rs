mod corpus;
mod file;
mod properties;

use std::string::String;
use std::vec::Vec;

use zeroize::Zeroizing;

use super::{EditError, Profile, set, unset};
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

fn profile(name: &str) -> Profile {
    Profile::new(name).unwrap()
}

/// Credentials whose values end with this.
fn credentials(which: &str) -> Credentials {
    Credentials {
        access_key_id: std::format!("ID{which}"),
        secret_access_key: Zeroizing::new(std::format!("SECRET/{which}")),
        session_token: Zeroizing::new(std::format!("TOKEN+{which}==")),
        expiration: UnixTime::from_secs(0),
        role_arn: String::new(),
    }
}

#[track_caller]
fn text(edited: Result<Zeroizing<Vec<u8>>, EditError>) -> String {
    String::from_utf8(edited.unwrap().to_vec()).unwrap()
}

#[track_caller]
fn with(contents: &str) -> String {
    text(set(contents.as_bytes(), &profile("hub"), &credentials("1")))
}

#[track_caller]
fn without(contents: &str) -> String {
    text(unset(contents.as_bytes(), &profile("hub")))
}

//! Sessions that end.

use std::format;
use std::string::String;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use super::super::Sessions;
use crate::core::time::UnixTime;
use crate::host::refresh::{Failure, FailureKind};
use crate::host::session::Credentials;

/// Sessions that are numbered: `AKID0`, `AKID1`… The last one is good for ever.
#[derive(Default)]
pub(super) struct Numbered {
    now: Mutex<Vec<Arc<Credentials>>>,
    /// How many there are.
    pub(super) most: usize,
}

impl Numbered {
    pub(super) fn up_to(most: usize) -> Self {
        Self {
            now: Mutex::default(),
            most,
        }
    }
}

impl Sessions for Numbered {
    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        let mut now = self.now.lock().unwrap();
        if now.is_empty() {
            now.push(session(0));
        }
        now.last().cloned().ok_or_else(|| Failure {
            kind: FailureKind::Temporary,
            what: "none".into(),
            remedy: String::new(),
        })
    }

    fn refused(&self, used: &Arc<Credentials>) {
        let mut now = self.now.lock().unwrap();
        let next = now.len();
        if now.last().is_some_and(|last| Arc::ptr_eq(last, used)) && next < self.most {
            now.push(session(next));
        }
    }
}

fn session(number: usize) -> Arc<Credentials> {
    Arc::new(Credentials {
        access_key_id: format!("AKID{number}"),
        secret_access_key: String::from("secret").into(),
        session_token: String::from("token").into(),
        expiration: UnixTime::from_secs(4_000_000_000),
        role_arn: String::new(),
    })
}

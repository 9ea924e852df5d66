//! The sessions that the sandbox issued: the only credentials that its STS and S3 know.

use core::fmt;
use std::borrow::ToOwned as _;
use std::collections::HashMap;
use std::format;
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::account::{Profile, Role};
use super::policy::Decision;
use crate::core::text::Base64Text;
use crate::core::time::UnixTime;

/// One issued session.
pub(super) struct Session {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: Zeroizing<String>,
    pub(super) session_token: Zeroizing<String>,
    pub(super) expiration: UnixTime,
    /// The name within the role.
    pub(super) name: String,
    pub(super) role: Arc<Role>,
    pub(super) profile: Arc<Profile>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .field("role", &self.role.arn)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// `arn:aws:sts::111122223333:assumed-role/ROLE/NAME`
    pub(super) fn arn(&self) -> String {
        let Role { account, name, .. } = &*self.role;
        format!("arn:aws:sts::{account}:assumed-role/{name}/{}", self.name)
    }

    /// `AROA…:NAME`
    pub(super) fn id(&self) -> String {
        format!("{}:{}", self.role.id, self.name)
    }

    /// What the session may do: what the role's policy and the profile's session policy both allow.
    pub(super) fn decide(&self, action: &str, resource: &str) -> Decision {
        let role = self.role.policy.decide(action, resource);
        let session = match &self.profile.session_policy {
            Some(policy) => policy.decide(action, resource),
            None => Decision::Allowed,
        };
        match (role, session) {
            (Decision::Denied, _) | (_, Decision::Denied) => Decision::Denied,
            (Decision::Allowed, Decision::Allowed) => Decision::Allowed,
            _ => Decision::NotAllowed,
        }
    }
}

/// What the credentials of a request are worth.
pub(super) enum Found {
    Valid(Arc<Session>),
    Expired,
    /// The access key was issued, but not with this token.
    WrongToken,
    Unknown,
}

/// Sessions that end this many seconds before a new one does are forgotten.
const FORGOTTEN_AFTER: i64 = 2 * 86_400;

/// All sessions, by access key.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    /// Issues new credentials.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system has none.
    pub(super) fn issue(
        &self,
        name: String,
        expiration: UnixTime,
        role: Arc<Role>,
        profile: Arc<Profile>,
    ) -> Result<Arc<Session>, NoRandomness> {
        let session = Arc::new(Session {
            access_key_id: access_key_id()?,
            secret_access_key: random_base64::<30>()?,
            session_token: random_base64::<240>()?,
            expiration,
            name,
            role,
            profile,
        });
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What ended long ago is forgotten; what ended lately is still told from what never was.
        sessions.retain(|_, old| expiration.since(old.expiration) < FORGOTTEN_AFTER);
        sessions.insert(session.access_key_id.clone(), session.clone());
        Ok(session)
    }

    /// The session of an access key, whatever it is worth.
    pub(super) fn get(&self, access_key_id: &str) -> Option<Arc<Session>> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.get(access_key_id).cloned()
    }

    /// The session of a request with this access key and token.
    pub(super) fn find(&self, access_key_id: &str, token: Option<&str>, now: UnixTime) -> Found {
        match self.get(access_key_id) {
            None => Found::Unknown,
            Some(session) if token != Some(&session.session_token) => Found::WrongToken,
            Some(session) if session.expiration <= now => Found::Expired,
            Some(session) => Found::Valid(session),
        }
    }
}

/// The system gives no random numbers.
#[derive(Debug)]
pub(super) struct NoRandomness;

fn random<const LEN: usize>() -> Result<Zeroizing<[u8; LEN]>, NoRandomness> {
    let mut bytes = Zeroizing::new([0; LEN]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| NoRandomness)?;
    Ok(bytes)
}

fn random_base64<const LEN: usize>() -> Result<Zeroizing<String>, NoRandomness> {
    Ok(Zeroizing::new(format!(
        "{}",
        Base64Text(&*random::<LEN>()?)
    )))
}

/// `ASIA`, and 16 letters and digits of base32, as temporary access keys look.
fn access_key_id() -> Result<String, NoRandomness> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut id = "ASIA".to_owned();
    for byte in *random::<16>()? {
        id.push(ALPHABET[usize::from(byte & 31)].into());
    }
    Ok(id)
}

//! What is kept of a session: its credentials, and what tells whether they still live.

use core::fmt;
use core::str;
use core::time::Duration;
use std::string::String;
use std::vec::Vec;

use ring::digest;
use zeroize::Zeroizing;

use super::clocks::{BootId, Moment};
use super::key::Key;
use crate::core::text::{Hex, Printable};
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

/// What an entry of this version begins with.
const HEAD: &str = "keystead-cache-1";

/// The longest entry that is read; session tokens with many tags reach a few KiB.
pub(super) const MAX_LEN: usize = 32 << 10;

/// A session as it is kept.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What people call the identity; may be empty.
    pub identity: String,
    /// What people call the certificate: a file or a URI.
    pub certificate: String,
    /// The credentials and the role.
    pub credentials: Credentials,
    /// When they were asked for.
    pub asked: Moment,
    /// How long they lived from then on, by the service's own clock.
    pub life: Duration,
}

impl Entry {
    /// How long the credentials live: by the wall clock or by the clock of this boot, whichever says less.
    /// Nothing, if they are of another boot, or of the future.
    pub fn left(&self, now: &Moment) -> Duration {
        if now.boot != self.asked.boot {
            return Duration::ZERO;
        }
        let Some(elapsed) = now.since_boot.checked_sub(self.asked.since_boot) else {
            return Duration::ZERO;
        };
        let by_wall = self.credentials.expiration.since(now.wall);
        let by_wall = Duration::from_secs(u64::try_from(by_wall).unwrap_or_default());
        self.life.saturating_sub(elapsed).min(by_wall)
    }

    /// The text of the entry; `None` if a value cannot be written down.
    pub(super) fn text(&self, key: &Key) -> Option<Zeroizing<String>> {
        let credentials = &self.credentials;
        let secrets = credentials.secret_access_key.len() + credentials.session_token.len();
        let others = [&self.identity, &self.certificate, &credentials.role_arn];
        let others: usize = others.iter().map(|text| text.len()).sum();
        // With all its room from the start, no copy of a secret is left behind by growing. A character
        // that is escaped takes at most ten.
        let room = 1024 + secrets + 10 * others + credentials.access_key_id.len();
        let mut text = Zeroizing::new(String::with_capacity(room));
        let asked = &self.asked;
        let written = fmt::write(
            &mut *text,
            format_args!(
                "{HEAD}\n{key}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n",
                asked.boot,
                asked.since_boot.as_millis(),
                asked.wall.as_secs(),
                self.life.as_millis(),
                credentials.expiration.as_secs(),
                Printable(&self.identity),
                Printable(&self.certificate),
                Printable(&credentials.role_arn),
                credentials.access_key_id,
                Secrets(credentials),
            ),
        );
        written.ok()?;
        let checksum = checksum(&text);
        fmt::write(&mut *text, format_args!("{}\n", Hex(&checksum))).ok()?;
        // A line too many, from a value with a line break in it, makes an entry that is not read.
        let is_sound = text.len() <= MAX_LEN && Self::parse(text.as_bytes(), key).is_ok();
        is_sound.then_some(text)
    }

    /// Reads the text of the entry of `key`.
    ///
    /// # Errors
    /// [`Miss`] for anything that keystead of this version would not have written for that key.
    pub fn parse(text: &[u8], key: &Key) -> Result<Self, Miss> {
        let text = str::from_utf8(text).map_err(|_| Miss::Damaged)?;
        if !text.starts_with(HEAD) || text.as_bytes().get(HEAD.len()) != Some(&b'\n') {
            let is_ours = text.starts_with("keystead-cache-");
            return Err(if is_ours {
                Miss::Version
            } else {
                Miss::Damaged
            });
        }
        Self::read(text, key).ok_or(Miss::Damaged)
    }

    fn read(text: &str, key: &Key) -> Option<Self> {
        let (body, sum) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let body = text.get(..body.len() + 1)?;
        if sum.as_bytes() != hex(&checksum(body)) {
            return None;
        }
        let mut lines = body.strip_suffix('\n')?.split('\n');
        let mut next = || lines.next();
        let _head = next()?;
        if Key::parse(next()?)? != *key {
            return None;
        }
        let boot = BootId::parse(next()?)?;
        let since_boot = Duration::from_millis(next()?.parse().ok()?);
        let wall = UnixTime::from_secs(next()?.parse().ok()?);
        let life = Duration::from_millis(next()?.parse().ok()?);
        let expiration = UnixTime::from_secs(next()?.parse().ok()?);
        let identity = next()?.into();
        let certificate = next()?.into();
        let role_arn = next()?.into();
        let mut credential = || next().filter(|text| !text.is_empty()).map(String::from);
        let credentials = Credentials {
            access_key_id: credential()?,
            secret_access_key: Zeroizing::new(credential()?),
            session_token: Zeroizing::new(credential()?),
            expiration,
            role_arn,
        };
        next().is_none().then_some(Self {
            identity,
            certificate,
            credentials,
            asked: Moment {
                boot,
                since_boot,
                wall,
            },
            life,
        })
    }
}

/// The two lines of secrets, straight into the text.
struct Secrets<'a>(&'a Credentials);

impl fmt::Display for Secrets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.secret_access_key)?;
        f.write_str("\n")?;
        f.write_str(&self.0.session_token)
    }
}

/// Shows that a write was cut short; it is no proof of who wrote.
fn checksum(body: &str) -> [u8; 16] {
    let digest = digest::digest(&digest::SHA256, body.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&digest.as_ref()[..16]);
    short
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    std::format!("{}", Hex(bytes)).into_bytes()
}

/// Why there is no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// Nothing is there.
    None,
    /// It is not as it was written.
    Damaged,
    /// Another version of keystead wrote it.
    Version,
    /// It is not to be trusted, or cannot be read.
    Refused(String),
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("nothing is there"),
            Self::Damaged => f.write_str("what is there is damaged"),
            Self::Version => f.write_str("another version of keystead wrote what is there"),
            Self::Refused(why) => write!(f, "what is there is not used: {why}"),
        }
    }
}

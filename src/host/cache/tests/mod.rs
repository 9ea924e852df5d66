//! The cache as a whole, with clocks that are set by hand.

mod folder;
mod life;
mod processes;
mod properties;

use core::cell::{Cell, RefCell};
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;

use zeroize::Zeroizing;

use super::*;
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: u64 = 60;

fn boot(digit: char) -> BootId {
    let text: String = "00000000-0000-0000-0000-000000000000".replace('0', &digit.to_string());
    BootId::parse(&text).unwrap()
}

fn wall(secs: i64) -> UnixTime {
    UnixTime::from_secs(1_800_000_000).offset_by(secs)
}

/// Clocks at so many seconds after the start of a test.
fn at(secs: i64) -> Moment {
    Moment {
        boot: boot('1'),
        since_boot: Duration::from_secs(1000u64.saturating_add_signed(secs)),
        wall: wall(secs),
    }
}

/// Clocks that stand until they are set.
struct Hands(RefCell<Moment>);

impl Hands {
    fn at(moment: Moment) -> Self {
        Self(RefCell::new(moment))
    }

    fn set(&self, moment: Moment) {
        *self.0.borrow_mut() = moment;
    }
}

impl Clocks for Hands {
    fn now(&self) -> Moment {
        self.0.borrow().clone()
    }
}

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fails {
    /// Others would fail as well.
    Network,
    /// And what there was counts no more.
    Refused,
    /// Others may know the PIN.
    Pin,
}

impl Failure for Fails {
    fn may_use_remaining(&self) -> bool {
        *self != Self::Refused
    }

    fn shared(&self) -> Option<String> {
        (*self != Self::Pin).then(|| std::format!("{self:?}\nfor all"))
    }

    fn read(text: &str) -> Option<Self> {
        let both = [Self::Network, Self::Refused];
        both.into_iter()
            .find(|fails| fails.shared().as_deref() == Some(text))
    }
}

/// What a session of an hour begins with.
fn created(number: usize) -> Created {
    Created {
        credentials: credentials(number, wall(3600)),
        date: Some(wall(0)),
        asked: at(0),
    }
}

fn credentials(number: usize, expiration: UnixTime) -> Credentials {
    Credentials {
        access_key_id: std::format!("ASIA{number}"),
        secret_access_key: Zeroizing::new("secret/key+".to_owned()),
        session_token: Zeroizing::new("token==".to_owned()),
        expiration,
        role_arn: "arn:aws:iam::111122223333:role/R".to_owned(),
    }
}

fn key(role: &str) -> Key {
    let mut key = KeyBuilder::new();
    key.value("role", role.as_bytes());
    key.finish()
}

fn wanted() -> Wanted {
    Wanted {
        key: key("R"),
        identity: "hub".to_owned(),
        certificate: "/etc/hub.pem".to_owned(),
        min_life: None,
        session: Duration::from_secs(3600),
        patience: PATIENCE,
        way: key("no proxy"),
    }
}

/// An entry of an hour, asked for at the start.
fn entry() -> Entry {
    Entry {
        identity: "hub".to_owned(),
        certificate: "/etc/hub.pem".to_owned(),
        credentials: credentials(0, wall(3600)),
        asked: at(0),
        life: Duration::from_secs(3600),
    }
}

struct Scene {
    folder: tempfile::TempDir,
    cache: Cache,
    clocks: Hands,
    sessions: Cell<usize>,
    events: RefCell<Vec<String>>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&Place::chosen(folder.path().join("a/cache"))).unwrap();
        Self {
            folder,
            cache,
            clocks: Hands::at(at(0)),
            sessions: Cell::default(),
            events: RefCell::default(),
        }
    }

    /// Credentials with their source, of a service that begins sessions of `life` seconds.
    fn obtain(&self, wanted: &Wanted, life: i64) -> Obtained<Fails> {
        let create = || {
            self.sessions.set(self.sessions.get() + 1);
            let now = self.clocks.now();
            let expiration = now.wall.offset_by(life);
            Ok(Created {
                credentials: credentials(self.sessions.get(), expiration),
                date: Some(now.wall),
                asked: now,
            })
        };
        self.attempt(wanted, create).unwrap()
    }

    fn attempt(
        &self,
        wanted: &Wanted,
        create: impl FnOnce() -> Result<Created, Fails>,
    ) -> Result<Obtained<Fails>, Fails> {
        self.cache
            .obtain(wanted, &self.clocks, create, &mut |event| {
                self.events.borrow_mut().push(event.to_string())
            })
    }

    fn is_new(&self, wanted: &Wanted, life: i64) -> bool {
        matches!(self.obtain(wanted, life).source, Source::New)
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.cache.path().join(name)
    }

    fn entry_path(&self) -> PathBuf {
        self.path(wanted().key.to_string())
    }
}

//! Credentials from the cache, or from whoever is the first to ask for new ones.

use core::fmt;
use core::time::Duration;
use std::io;
use std::string::String;
use std::time::Instant;

use super::clocks::{Clocks, Moment};
use super::entry::{Entry, Miss};
use super::folder::{Cache, LOCKS, Lock};
use super::key::Key;
use crate::backend::private_file::Pauses;
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

/// Below this botocore asks again for each request that it sends.
const DEFAULT_MIN_LIFE: Duration = Duration::from_secs(15 * 60);

/// Credentials are not handed out for the last minute of their life: the request that they are for has to
/// reach its service while they live.
const LAST: Duration = Duration::from_secs(60);

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What stands for everything that decides about the credentials.
    pub key: Key,
    /// What people call the identity; may be empty.
    pub identity: String,
    /// What people call the certificate.
    pub certificate: String,
    /// How long credentials from the cache have to live at least. If nobody says: 15 minutes, or half of
    /// what they lived at first, if that is less. A session of 15 minutes is used for seven and a half.
    pub min_life: Option<Duration>,
    /// How long a new session is asked to live: its life is never taken to be longer.
    pub session: Duration,
    /// How long to wait for another process that asks for the same.
    pub patience: Duration,
    /// What stands for the way to the service: proxy, timeouts and the like. The failure of another
    /// process counts only if it went the same way.
    pub way: Key,
}

impl Wanted {
    fn is_enough(&self, entry: &Entry, left: Duration) -> bool {
        let usual = || DEFAULT_MIN_LIFE.min(entry.life / 2);
        left > LAST && left >= self.min_life.unwrap_or_else(usual)
    }
}

/// A session that was just begun.
#[derive(Debug)]
pub struct Created {
    /// Its credentials.
    pub credentials: Credentials,
    /// The time just before it was asked for.
    pub asked: Moment,
    /// The service's clock. Without it nobody knows how long the credentials live, and they are not kept.
    pub date: Option<UnixTime>,
}

/// Credentials, and where they are from.
#[derive(Debug)]
pub struct Obtained<E> {
    /// The credentials; they live.
    pub credentials: Credentials,
    /// Where they are from.
    pub source: Source<E>,
}

/// Where credentials are from.
#[derive(Debug)]
pub enum Source<E> {
    /// From a session that was just begun.
    New,
    /// From the cache.
    Cache,
    /// From the cache, which has none that live as long as was wanted, because there are no new ones.
    Remaining {
        /// How long they live.
        left: Duration,
        /// Why there are no new ones.
        error: E,
    },
}

/// A failure to get new credentials.
pub trait Failure: Sized {
    /// Whether credentials that still live are better than this failure.
    fn may_use_remaining(&self) -> bool;

    /// The failure in words that [`read`](Self::read) understands, if it is that of every process which
    /// asks for the same credentials at the same time. Without a secret.
    fn shared(&self) -> Option<String>;

    /// The failure of another process.
    fn read(text: &str) -> Option<Self>;
}

/// What happens on the way, for a person who looks on.
#[derive(Debug)]
pub enum Event<'a> {
    /// The cache has credentials that live so long.
    Hit(Duration),
    /// The cache has none.
    Miss(&'a Miss),
    /// The cache has some that do not live long enough.
    Short(Duration),
    /// Another process asks for the same credentials.
    Waiting,
    /// While we waited, another process tried, and failed.
    Failed,
    /// Nobody waits for us, nor we for them.
    Unlocked(Option<&'a io::Error>),
    /// The new ones are not kept.
    NotKept(&'a NotKept),
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit(left) => write!(f, "credentials that live {} s more", left.as_secs()),
            Self::Miss(miss) => write!(f, "{miss}"),
            Self::Short(left) => write!(
                f,
                "credentials that live only {} s more: new ones are asked for",
                left.as_secs()
            ),
            Self::Waiting => f.write_str("another process asks for the same credentials: waiting"),
            Self::Failed => f.write_str("another process has just tried, and failed"),
            Self::Unlocked(None) => {
                f.write_str("waited long enough for another process: asking without it")
            }
            Self::Unlocked(Some(error)) => write!(f, "no lock: {error}"),
            Self::NotKept(why) => write!(f, "the credentials are not kept: {why}"),
        }
    }
}

impl Cache {
    /// Gives credentials that are here and live long enough, or those that `create` gets. Of all processes
    /// that want the same one calls `create`, and the others wait for it, and for its failure; one that
    /// does not get on holds them up for twice the patience at most. New credentials are kept.
    ///
    /// # Errors
    /// That of `create`, unless credentials that still live are better than it.
    pub fn obtain<E: Failure>(
        &self,
        wanted: &Wanted,
        clocks: &dyn Clocks,
        create: impl FnOnce() -> Result<Created, E>,
        watch: &mut dyn FnMut(&Event<'_>),
    ) -> Result<Obtained<E>, E> {
        if let Look::Enough(credentials) = self.look(wanted, clocks, Some(watch)) {
            return Ok(from_cache(credentials));
        }
        let error = match self.turn(wanted, clocks, watch) {
            Turn::Enough(credentials) => return Ok(from_cache(credentials)),
            Turn::Failed(error) => error,
            Turn::Ours(lock) => match create() {
                Ok(created) => {
                    if let Err(why) = self.keep(wanted, &created, clocks) {
                        watch(&Event::NotKept(&why));
                    }
                    return Ok(Obtained {
                        credentials: created.credentials,
                        source: Source::New,
                    });
                }
                Err(error) => {
                    if let (Some(lock), Some(text)) = (lock, error.shared()) {
                        lock.leave(&clocks.now(), &wanted.way, &text);
                    }
                    error
                }
            },
        };
        match self.look(wanted, clocks, None) {
            Look::Enough(credentials) => Ok(from_cache(credentials)),
            Look::Remaining(credentials, left) if error.may_use_remaining() => Ok(Obtained {
                credentials,
                source: Source::Remaining { left, error },
            }),
            _ => Err(error),
        }
    }

    fn look(
        &self,
        wanted: &Wanted,
        clocks: &dyn Clocks,
        watch: Option<&mut dyn FnMut(&Event<'_>)>,
    ) -> Look {
        let see = |event: &Event<'_>| {
            if let Some(watch) = watch {
                watch(event);
            }
        };
        match self.entry(&wanted.key) {
            Err(miss) => {
                see(&Event::Miss(&miss));
                Look::Nothing
            }
            Ok(entry) => {
                let left = entry.left(&clocks.now());
                if wanted.is_enough(&entry, left) {
                    see(&Event::Hit(left));
                    Look::Enough(entry.credentials)
                } else if left > LAST {
                    see(&Event::Short(left));
                    Look::Remaining(entry.credentials, left)
                } else {
                    see(&Event::Short(left));
                    Look::Nothing
                }
            }
        }
    }

    /// Waits until there are credentials, or it is up to us to get some.
    fn turn<E: Failure>(
        &self,
        wanted: &Wanted,
        clocks: &dyn Clocks,
        watch: &mut dyn FnMut(&Event<'_>),
    ) -> Turn<E> {
        let began = clocks.now();
        let mut has_waited = false;
        for which in LOCKS {
            let mut pauses = Pauses::until(Instant::now() + wanted.patience);
            loop {
                let lock = match self.try_lock(&wanted.key, which) {
                    Ok(lock) => lock,
                    Err(error) => {
                        watch(&Event::Unlocked(Some(&error)));
                        return Turn::Ours(None);
                    }
                };
                // Whoever had the lock before may have stored some, just now.
                if let Look::Enough(credentials) = self.look(wanted, clocks, None) {
                    return Turn::Enough(credentials);
                }
                if let Some(lock) = lock {
                    let failure = lock.left_since(&began, &wanted.way);
                    return match failure.and_then(|text| E::read(&text)) {
                        Some(error) => {
                            watch(&Event::Failed);
                            Turn::Failed(error)
                        }
                        None => Turn::Ours(Some(lock)),
                    };
                }
                if !has_waited {
                    watch(&Event::Waiting);
                    has_waited = true;
                }
                if !pauses.pause() {
                    break;
                }
            }
        }
        watch(&Event::Unlocked(None));
        Turn::Ours(None)
    }

    fn keep(&self, wanted: &Wanted, created: &Created, clocks: &dyn Clocks) -> Result<(), NotKept> {
        let date = created.date.ok_or(NotKept::NoDate)?;
        let life = created.credentials.expiration.since(date);
        let life = Duration::from_secs(u64::try_from(life).unwrap_or_default());
        let entry = Entry {
            identity: wanted.identity.clone(),
            certificate: wanted.certificate.clone(),
            credentials: created.credentials.clone(),
            asked: created.asked.clone(),
            // Whatever clock a service has, it gives no session a longer life than it was asked for.
            life: life.min(wanted.session),
        };
        let now = clocks.now();
        if entry.left(&now) <= LAST {
            return Err(NotKept::Short);
        }
        self.store(&wanted.key, &entry).map_err(NotKept::Io)?;
        self.clean(&now);
        Ok(())
    }
}

fn from_cache<E>(credentials: Credentials) -> Obtained<E> {
    Obtained {
        credentials,
        source: Source::Cache,
    }
}

/// What the cache has.
enum Look {
    Nothing,
    /// They live, and not as long as is wanted.
    Remaining(Credentials, Duration),
    Enough(Credentials),
}

/// Whose turn it is.
enum Turn<E> {
    /// Nobody's: there are credentials.
    Enough(Credentials),
    /// Nobody's: who had it failed just now.
    Failed(E),
    /// Ours; if there is no way to lock, or the others do not get on, without a lock.
    Ours(Option<Lock>),
}

/// Why new credentials are not kept.
#[derive(Debug)]
pub enum NotKept {
    /// The service did not say what time it is.
    NoDate,
    /// They are about to expire.
    Short,
    /// They cannot be stored.
    Io(io::Error),
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDate => f.write_str("the answer has no Date"),
            Self::Short => f.write_str("they live too short"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

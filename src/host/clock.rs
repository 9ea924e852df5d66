//! The host's clock, with a floor and, where the user asks for it, a correction.
//!
//! A hub without a battery clock wakes up in 1970. The time used is never earlier than the floor: the
//! date of the build, or the last time that a service's answer over verified TLS has confirmed, which
//! is kept on disk.

use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::string::ToString as _;
use std::time::SystemTime;

use crate::core::time::{Clock, UnixTime};

/// When this program was built: nothing happens before that.
pub const BUILD_TIME: UnixTime = UnixTime::from_secs(parse_secs(env!("KEYSTEAD_BUILD_TIME")));

/// A service's clock that differs from ours by more than this is worth a word.
pub const TOLERATED_SKEW: Duration = Duration::from_secs(5 * 60);

/// A service that claims to be later than this long after the build is not believed.
const BELIEVED_AFTER_BUILD: u64 = 20 * 365 * 86_400;

/// The confirmed time on disk is written again when it is this much older: flash memory wears out.
const CONFIRM_AGAIN_AFTER: i64 = 86_400;

/// The system's clock, never below its floor.
#[derive(Debug)]
pub struct HostClock {
    system: fn() -> UnixTime,
    floor: AtomicU64,
    offset: AtomicI64,
}

impl HostClock {
    /// The system's clock; `confirmed` is a time that is known to have passed.
    pub fn new(confirmed: Option<UnixTime>) -> Self {
        Self::with_system(system_time, confirmed)
    }

    /// A clock over another source of time, for tests.
    pub fn with_system(system: fn() -> UnixTime, confirmed: Option<UnixTime>) -> Self {
        // A confirmation from the far future would be as harmful as a clock from the past.
        let confirmed = confirmed.filter(|time| is_believable(*time));
        let floor = confirmed.unwrap_or(BUILD_TIME).max(BUILD_TIME);
        Self {
            system,
            floor: AtomicU64::new(floor.as_secs()),
            offset: AtomicI64::new(0),
        }
    }

    /// The time, unless it is known to be wrong: below the floor. Certificate validity is judged by
    /// this.
    pub fn trusted(&self) -> Option<UnixTime> {
        let now = self.corrected();
        (now >= self.floor()).then_some(now)
    }

    /// The earliest time that it can be.
    pub fn floor(&self) -> UnixTime {
        UnixTime::from_secs(self.floor.load(Ordering::Relaxed))
    }

    /// How far the service's clock is ahead of ours, in seconds, if that is more than
    /// [`TOLERATED_SKEW`].
    pub fn skew(&self, service: UnixTime) -> Option<i64> {
        let ahead = service.since(self.now());
        (ahead.unsigned_abs() > TOLERATED_SKEW.as_secs()).then_some(ahead)
    }

    /// Takes over the clock of a service whose certificate was verified.
    ///
    /// # Errors
    /// [`Unbelievable`] if that time is before the floor or long after the build.
    pub fn correct(&self, service: UnixTime) -> Result<(), Unbelievable> {
        if !self.believes(service) {
            return Err(Unbelievable);
        }
        let offset = service.since((self.system)());
        self.offset.store(offset, Ordering::Relaxed);
        Ok(())
    }

    /// Whether `service` can be the time: not before the floor, not long after the build.
    pub fn believes(&self, service: UnixTime) -> bool {
        service >= self.floor() && is_believable(service)
    }

    fn corrected(&self) -> UnixTime {
        (self.system)().offset_by(self.offset.load(Ordering::Relaxed))
    }
}

impl Clock for HostClock {
    fn now(&self) -> UnixTime {
        self.corrected().max(self.floor())
    }
}

/// A service's clock cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unbelievable;

fn is_believable(time: UnixTime) -> bool {
    time.as_secs() <= BUILD_TIME.as_secs() + BELIEVED_AFTER_BUILD
}

/// The system's clock as it is; 1970 if it is earlier than that.
pub fn system_time() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_secs(since.unwrap_or_default().as_secs())
}

const fn parse_secs(text: &str) -> u64 {
    match u64::from_str_radix(text, 10) {
        Ok(secs) => secs,
        Err(_) => panic!("KEYSTEAD_BUILD_TIME is not a number of seconds"),
    }
}

/// The last confirmed time, in a file of its own: seconds since the epoch, in decimal.
#[derive(Debug, Clone)]
pub struct ConfirmedTime {
    path: PathBuf,
}

impl ConfirmedTime {
    /// The file at `path`, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The time in the file; `None` if there is none, or nothing that can be read.
    pub fn load(&self) -> Option<UnixTime> {
        let text = fs::read_to_string(&self.path).ok()?;
        text.trim().parse().ok().map(UnixTime::from_secs)
    }

    /// Keeps `time`, if what is kept is much older.
    ///
    /// # Errors
    /// Those of the file system; what was kept is still there then.
    pub fn store(&self, time: UnixTime) -> io::Result<()> {
        if let Some(kept) = self.load()
            && time.since(kept) < CONFIRM_AGAIN_AFTER
        {
            return Ok(());
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut name = self.path.as_os_str().to_owned();
        name.push(std::format!(".{}", std::process::id()));
        let new = PathBuf::from(name);
        // Never through a link or into a file that somebody else has put there.
        let file = OpenOptions::new().write(true).create_new(true).open(&new);
        file.and_then(|mut file| file.write_all(time.as_secs().to_string().as_bytes()))
            .and_then(|()| fs::rename(&new, &self.path))
            .inspect_err(|_| drop(fs::remove_file(&new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_1970() -> UnixTime {
        UnixTime::from_secs(3600)
    }

    fn day_after_build() -> UnixTime {
        BUILD_TIME.offset_by(86_400)
    }

    #[test]
    fn never_below_the_floor() {
        let clock = HostClock::with_system(in_1970, None);
        assert_eq!(clock.now(), BUILD_TIME);
        assert_eq!(clock.trusted(), None);
        let clock = HostClock::with_system(in_1970, Some(day_after_build()));
        assert_eq!(clock.now(), day_after_build());
        let clock = HostClock::with_system(in_1970, Some(UnixTime::MAX));
        assert_eq!(clock.now(), BUILD_TIME);
        let clock = HostClock::with_system(day_after_build, None);
        assert_eq!(clock.trusted(), Some(day_after_build()));
    }

    #[test]
    fn a_correction_is_bounded() {
        let clock = HostClock::with_system(in_1970, None);
        let service = BUILD_TIME.offset_by(10 * 86_400);
        assert_eq!(clock.skew(service), Some(10 * 86_400));
        assert_eq!(clock.correct(service), Ok(()));
        assert_eq!(clock.trusted(), Some(service));
        assert_eq!(clock.skew(service), None);
        assert_eq!(clock.correct(UnixTime::MAX), Err(Unbelievable));
        assert_eq!(clock.correct(in_1970()), Err(Unbelievable));
        assert_eq!(clock.now(), service);
    }

    #[test]
    fn skew_below_five_minutes_is_none() {
        let clock = HostClock::with_system(day_after_build, None);
        assert_eq!(clock.skew(day_after_build().offset_by(300)), None);
        assert_eq!(clock.skew(day_after_build().offset_by(-301)), Some(-301));
    }

    #[test]
    fn the_confirmed_time_is_kept_and_seldom_written() {
        let folder = tempfile::tempdir().unwrap();
        let confirmed = ConfirmedTime::at(folder.path().join("state/time"));
        assert_eq!(confirmed.load(), None);
        confirmed.store(UnixTime::from_secs(1_000_000)).unwrap();
        confirmed.store(UnixTime::from_secs(1_000_100)).unwrap();
        assert_eq!(confirmed.load(), Some(UnixTime::from_secs(1_000_000)));
        confirmed.store(UnixTime::from_secs(1_100_000)).unwrap();
        assert_eq!(confirmed.load(), Some(UnixTime::from_secs(1_100_000)));
        let state = folder.path().join("state");
        let left = fs::read_dir(&state).unwrap().count();
        assert_eq!(left, 1);

        // A link at the place of the new file is not followed.
        let new = state.join(std::format!("time.{}", std::process::id()));
        std::os::unix::fs::symlink(folder.path().join("victim"), new).unwrap();
        assert!(confirmed.store(UnixTime::from_secs(1_200_000)).is_err());
        assert!(!folder.path().join("victim").exists());
        assert_eq!(confirmed.load(), Some(UnixTime::from_secs(1_100_000)));
    }
}

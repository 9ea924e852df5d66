//! How a spool is, for people and for programs.

use core::fmt::{self, Display};
use core::time::Duration;
use std::format;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::cli::place;
use crate::core::time::UnixTime;
use crate::host::size::Bytes;
use crate::host::spool::{Spool, SpoolError};

/// The socket at which whoever delivers a spool tells how it is, in the spool's folder.
pub const SOCKET: &str = "run.socket";

/// Where it leaves that when it ends.
pub const LAST: &str = "run.last";

/// How long whoever delivers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer that is longer is none.
const LONGEST: u64 = 64 * 1024;

/// How a spool is. Times are seconds since the epoch by this machine's clock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Whether somebody delivers it.
    pub running: bool,
    /// The folder.
    pub spool: String,
    /// Entries that wait.
    pub entries: u64,
    /// Bytes of all files, as the quota counts them.
    pub bytes: u64,
    /// Entries that are set aside.
    pub aside: u64,
    /// When the oldest entry that waits was accepted.
    pub oldest: Option<u64>,
    /// The quota.
    pub max_bytes: Option<u64>,
    /// The quota.
    pub max_entries: Option<u64>,
    /// New entries that were refused because the spool was full, since it was made.
    pub rejected: u64,
    /// Entries that were dropped to make room, since it was made.
    pub dropped: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
    /// Bytes that come in a second.
    pub accepted_per_second: Option<f64>,
    /// Bytes that leave in a second.
    pub delivered_per_second: Option<f64>,
    /// Seconds until it is full, if things go on as in the last hour.
    pub full_in_seconds: Option<u64>,
    /// What is known of deliveries, since whoever delivers was started.
    pub delivery: Option<Delivery>,
}

/// What is known of deliveries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// Since when.
    pub since: u64,
    /// Entries that are on their way.
    pub sending: u64,
    /// Entries that S3 has confirmed.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Bytes that were sent, those that were sent again included.
    pub sent_bytes: u64,
    /// Entries that were set aside.
    pub set_aside: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Whether nothing passes now.
    pub failing: bool,
    /// When S3 last confirmed an entry.
    pub last_delivery: Option<u64>,
    /// What went wrong last.
    pub last_error: Option<LastError>,
    /// Seconds until what has failed is tried again.
    pub next_attempt_in_seconds: Option<u64>,
    /// Seconds until the upload window opens.
    pub window_opens_in_seconds: Option<u64>,
    /// The identity whose sessions are used.
    pub identity: Option<String>,
    /// When its session ends.
    pub session_expires: Option<u64>,
}

/// What went wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LastError {
    /// One sentence.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    /// When that was.
    pub at: u64,
}

impl Report {
    /// What the spool itself says. The oldest is left to who knows it.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn of(spool: &Spool) -> Result<Self, SpoolError> {
        let usage = spool.usage()?;
        let options = spool.options();
        Ok(Self {
            running: false,
            spool: format!("{}", spool.path().display()),
            entries: usage.entries.saturating_sub(usage.aside),
            bytes: usage.bytes,
            aside: usage.aside,
            max_bytes: options.max_bytes,
            max_entries: options.max_entries,
            rejected: usage.rejected,
            dropped: usage.dropped,
            dropped_bytes: usage.dropped_bytes,
            ..Self::default()
        })
    }

    /// The same of a spool that nobody delivers: how fast it fills is told by what has come within the last hour.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn of_idle(spool: &Spool, now: UnixTime) -> Result<Self, SpoolError> {
        let mut report = Self::of(spool)?;
        // There may be a hundred thousand.
        let mut entries = Vec::new();
        spool.each_entry(|_, head| {
            entries.push((head.sequence, head.accepted, head.digests.length));
        })?;
        let accepted = entries.iter().min().map(|(_, accepted, _)| *accepted);
        report.oldest = accepted.map(UnixTime::as_secs);
        let since = |time: UnixTime| u64::try_from(now.since(time)).unwrap_or_default();
        let window = accepted.map_or(0, since).clamp(60, 3600);
        let recent = entries
            .iter()
            .filter(|(_, accepted, _)| since(*accepted) <= window);
        let bytes: u64 = recent.map(|(_, _, length)| length).sum();
        let rate = bytes as f64 / window as f64;
        report.accepted_per_second = Some(rate);
        report.delivered_per_second = Some(0.0);
        report.full_in_seconds = report.full_in(rate);
        let last = fs::read(spool.path().join(LAST)).unwrap_or_default();
        let last = serde_json::from_slice::<Self>(&last).ok();
        report.delivery = last.and_then(|last| last.delivery);
        Ok(report)
    }

    /// What whoever delivers the spool in `folder` says; `None` if nobody does.
    ///
    /// # Errors
    /// [`io::Error`] if somebody does, and does not answer.
    pub fn ask(folder: &Path) -> io::Result<Option<Self>> {
        let mut stream = match UnixStream::connect(folder.join(SOCKET)) {
            Ok(stream) => stream,
            Err(error) => {
                use io::ErrorKind::{ConnectionRefused, NotFound};
                return match error.kind() {
                    NotFound | ConnectionRefused => Ok(None),
                    _ => Err(error),
                };
            }
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream
            .write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer)?;
        let body = answer
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .map(|head| &answer[head + 4..]);
        let report = body.and_then(|body| serde_json::from_slice(body).ok());
        report
            .map(Some)
            .ok_or_else(|| io::Error::other("it gives an answer that makes no sense"))
    }

    /// Leaves it in the spool's folder, for when nobody delivers.
    ///
    /// # Errors
    /// [`io::Error`] of the disk.
    pub fn leave(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join(format!("{LAST}.new"));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o640)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&new)?;
        file.write_all(self.json().as_bytes())?;
        drop(file);
        fs::rename(&new, folder.join(LAST))
    }

    /// Seconds until it is full if it grows by so many bytes a second.
    pub fn full_in(&self, grows: f64) -> Option<u64> {
        let left = self.max_bytes?.saturating_sub(self.bytes) as f64;
        let seconds = left / grows;
        // Who knows what is in ten years?
        (grows > 0.0 && seconds < 315_360_000.0).then_some(seconds as u64)
    }

    /// As JSON.
    pub fn json(&self) -> String {
        // It has only strings and numbers.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For people; `now` is what times are told from.
    pub fn text(&self, now: UnixTime) -> String {
        let mut lines = Vec::new();
        let of = match self.max_bytes {
            Some(max) => format!(" of {}", Bytes(max)),
            None => String::new(),
        };
        let entries = match self.max_entries {
            Some(max) => format!("{} of {max} entries", self.entries),
            None => count(self.entries, "entry", "entries"),
        };
        let folder = place::shown(&self.spool);
        lines.push(format!("{folder}: {entries}, {}{of}", Bytes(self.bytes)));
        if let Some(oldest) = self.oldest {
            lines.push(format!("oldest: accepted {}", ago(now, oldest)));
        }
        if self.aside > 0 {
            lines.push(format!(
                "set aside: {} (`keystead spool status --aside` lists them)",
                count(self.aside, "entry", "entries")
            ));
        }
        if self.rejected > 0 || self.dropped > 0 {
            lines.push(format!(
                "at the quota: {} rejected, {} dropped ({})",
                self.rejected,
                self.dropped,
                Bytes(self.dropped_bytes)
            ));
        }
        self.rates(&mut lines);
        self.deliveries(now, &mut lines);
        lines.push(String::new());
        lines.join("\n")
    }

    fn rates(&self, lines: &mut Vec<String>) {
        let (Some(accepted), Some(delivered)) =
            (self.accepted_per_second, self.delivered_per_second)
        else {
            return;
        };
        let full = match (self.full_in_seconds, self.max_bytes) {
            (Some(seconds), _) => format!("; full in {} at this rate", Span(seconds)),
            (None, Some(_)) => String::from("; not filling up"),
            (None, None) => String::new(),
        };
        let (accepted, delivered) = (Bytes(accepted as u64), Bytes(delivered as u64));
        lines.push(format!("rate: {accepted}/s in, {delivered}/s out{full}"));
    }

    fn deliveries(&self, now: UnixTime, lines: &mut Vec<String>) {
        let Some(delivery) = &self.delivery else {
            return lines.push("delivery: `keystead spool run` is not running".into());
        };
        let state = match (self.running, delivery.window_opens_in_seconds) {
            (false, _) => String::from("`keystead spool run` is not running"),
            (true, Some(seconds)) => format!("the upload window opens in {}", Span(seconds)),
            (true, None) if delivery.failing => String::from("nothing passes"),
            (true, None) => format!("{} on their way", delivery.sending),
        };
        let last = match delivery.last_delivery {
            Some(at) => format!(", the last one {}", ago(now, at)),
            None => String::new(),
        };
        lines.push(format!(
            "delivery: {state}; {} delivered ({}) since {}{last}",
            delivery.delivered,
            Bytes(delivery.delivered_bytes),
            UnixTime::from_secs(delivery.since),
        ));
        if let Some(error) = &delivery.last_error {
            let again = match delivery.next_attempt_in_seconds {
                Some(seconds) if self.running => {
                    format!("; it is tried again in {}", Span(seconds))
                }
                _ => String::new(),
            };
            let what = place::shown(&error.what);
            lines.push(format!("last error: {}: {what}{again}", ago(now, error.at)));
            if !error.remedy.is_empty() {
                lines.push(format!("  {}", error.remedy));
            }
        }
    }
}

fn count(number: u64, one: &str, more: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {more}"),
    }
}

fn ago(now: UnixTime, at: u64) -> String {
    match u64::try_from(now.since(UnixTime::from_secs(at))) {
        Ok(seconds) => format!("{} ago", Span(seconds)),
        // The clock was set.
        Err(_) => format!("{}", UnixTime::from_secs(at)),
    }
}

/// A time that passes, in its two largest units.
struct Span(u64);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0;
        match seconds {
            0..60 => write!(f, "{seconds} s"),
            60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            3600..86_400 => write!(f, "{} h {} min", seconds / 3600, seconds % 3600 / 60),
            _ => write!(f, "{} days {} h", seconds / 86_400, seconds % 86_400 / 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn report() -> Report {
        Report {
            running: true,
            spool: "/var/lib/keystead/spool".into(),
            entries: 12,
            bytes: 3 << 20,
            aside: 1,
            oldest: Some(NOW.as_secs() - 11_520),
            max_bytes: Some(2 << 30),
            rejected: 3,
            accepted_per_second: Some(2048.0),
            delivered_per_second: Some(1024.0),
            full_in_seconds: Some(200_000),
            delivery: Some(Delivery {
                since: NOW.as_secs() - 86_400,
                sending: 4,
                delivered: 1234,
                failing: true,
                last_delivery: Some(NOW.as_secs() - 90),
                last_error: Some(LastError {
                    what: "no route to host".into(),
                    remedy: "plug it in".into(),
                    at: NOW.as_secs() - 30,
                }),
                next_attempt_in_seconds: Some(35),
                ..Delivery::default()
            }),
            ..Report::default()
        }
    }

    #[test]
    fn people_see_what_matters() {
        let text = report().text(NOW);
        for line in [
            "/var/lib/keystead/spool: 12 entries, 3.0 MiB of 2.0 GiB\n",
            "oldest: accepted 3 h 12 min ago\n",
            "set aside: 1 entry (",
            "at the quota: 3 rejected, 0 dropped",
            "rate: 2.0 KiB/s in, 1.0 KiB/s out; full in 2 days 7 h at this rate\n",
            "delivery: nothing passes; 1234 delivered (0 B) since 2027-01-14T08:00:00Z, the last one 1 min 30 s ago\n",
            "last error: 30 s ago: no route to host; it is tried again in 35 s\n  plug it in\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        let idle = Report {
            running: false,
            delivery: None,
            ..report()
        };
        assert!(idle.text(NOW).contains("is not running\n"));
    }

    #[test]
    fn programs_read_what_was_written() {
        let report = report();
        let read: Report = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(read, report);
        let folder = tempfile::tempdir().unwrap();
        report.leave(folder.path()).unwrap();
        report.leave(folder.path()).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join(LAST)).unwrap(),
            report.json()
        );
        assert!(Report::ask(folder.path()).unwrap().is_none());
    }

    #[test]
    fn when_it_is_full() {
        let report = report();
        assert_eq!(report.full_in(0.0), None);
        assert_eq!(report.full_in(-1.0), None);
        let full = report.full_in((1u64 << 20) as f64).unwrap();
        assert_eq!(full, 2045);
    }
}

//! What we wrote, and when it ends: the credentials file itself has no place for that. It is kept in the
//! lock's file, for a later process that finds what an earlier one has left there. Without it nothing
//! is lost but that.

use core::fmt::Write as _;
use std::borrow::ToOwned as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::string::String;
use std::vec::Vec;

use super::profile::Profile;
use crate::core::time::UnixTime;

/// No such record is longer.
const MAX_LEN: u64 = 1 << 20;

/// A line for what is in each profile: when it ends (seconds since the epoch), the access key's id, and the
/// profile's name.
#[derive(Default)]
pub(super) struct Record {
    entries: Vec<Entry>,
}

struct Entry {
    expiration: UnixTime,
    access_key_id: String,
    profile: String,
}

impl Record {
    /// Reads what there is. A line that cannot be read is none.
    pub(super) fn load(mut file: &File) -> io::Result<Self> {
        let mut text = Vec::new();
        io::Seek::rewind(&mut file)?;
        file.take(MAX_LEN).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let entries = text.lines().filter_map(entry).collect();
        Ok(Self { entries })
    }

    pub(super) fn store(&self, file: &File) -> io::Result<()> {
        let mut text = String::new();
        for entry in &self.entries {
            let seconds = entry.expiration.as_secs();
            // Writing into a string does not fail.
            let _ = writeln!(text, "{seconds} {} {}", entry.access_key_id, entry.profile);
        }
        file.set_len(0)?;
        file.write_all_at(text.as_bytes(), 0)
    }

    /// Whether what is in the profile under this access key's id is ours, and has expired.
    pub(super) fn has_expired(&self, profile: &Profile, id: &[u8], now: UnixTime) -> bool {
        let is_it = |entry: &&Entry| entry.is(profile, id);
        let mut entries = self.entries.iter();
        entries
            .find(is_it)
            .is_some_and(|entry| entry.expiration <= now)
    }

    /// Adds what is going to be in the profile: a process may be killed right after it is.
    pub(super) fn add(&mut self, profile: &Profile, id: &str, expiration: UnixTime) {
        self.forget(profile, id);
        self.entries.push(Entry {
            expiration,
            access_key_id: id.to_owned(),
            profile: profile.as_str().to_owned(),
        });
    }

    /// Forgets what will not be in the profile.
    pub(super) fn forget(&mut self, profile: &Profile, id: &str) {
        self.entries
            .retain(|entry| !entry.is(profile, id.as_bytes()));
    }

    /// Forgets what is not in the profile any more, which is all but `id`.
    pub(super) fn keep(&mut self, profile: &Profile, id: Option<&str>) {
        self.entries.retain(|entry| {
            entry.profile != profile.as_str() || id == Some(entry.access_key_id.as_str())
        });
    }
}

impl Entry {
    fn is(&self, profile: &Profile, id: &[u8]) -> bool {
        self.profile == profile.as_str() && self.access_key_id.as_bytes() == id
    }
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().filter(|word| !word.is_empty());
    Some(Entry {
        expiration: UnixTime::from_secs(word()?.parse().ok()?),
        access_key_id: word()?.to_owned(),
        profile: word()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_known_again() {
        let file = tempfile::tempfile().unwrap();
        let [hub, depot] = ["hub", "my depot"].map(|name| Profile::new(name).unwrap());
        let at = UnixTime::from_secs;
        let mut record = Record::load(&file).unwrap();
        record.add(&hub, "ID1", at(10));
        record.add(&depot, "ID2", at(20));
        record.add(&hub, "ID3", at(30));
        record.store(&file).unwrap();
        let mut record = Record::load(&file).unwrap();
        assert!(!record.has_expired(&hub, b"ID3", at(29)));
        assert!(record.has_expired(&hub, b"ID3", at(30)));
        assert!(record.has_expired(&hub, b"ID1", at(30)));
        assert!(!record.has_expired(&hub, b"ID2", at(30)));
        assert!(record.has_expired(&depot, b"ID2", at(20)));
        record.keep(&hub, Some("ID3"));
        assert!(!record.has_expired(&hub, b"ID1", at(30)));
        assert!(record.has_expired(&hub, b"ID3", at(30)));
        assert!(record.has_expired(&depot, b"ID2", at(30)));

        file.set_len(0).unwrap();
        file.write_all_at(
            b"\xff\n\n1\n1 ID\n9999999999999999999999 ID hub\n5 ID4 hub",
            0,
        )
        .unwrap();
        let mut record = Record::load(&file).unwrap();
        assert!(record.has_expired(&hub, b"ID4", at(5)));
        record.forget(&hub, "ID4");
        record.store(&file).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
    }
}

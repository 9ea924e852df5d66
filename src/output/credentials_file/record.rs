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

/// A line for each profile: when its credentials end (seconds since the epoch), the access key's id, and the
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

    /// The access key's id of what we wrote into the profile, if it has expired.
    pub(super) fn expired(&self, profile: &Profile, now: UnixTime) -> Option<&str> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.profile == profile.as_str())?;
        (entry.expiration <= now).then_some(entry.access_key_id.as_str())
    }

    pub(super) fn forget(&mut self, profile: &Profile) {
        self.entries
            .retain(|entry| entry.profile != profile.as_str());
    }

    pub(super) fn remember(&mut self, profile: &Profile, id: &str, expiration: UnixTime) {
        self.forget(profile);
        self.entries.push(Entry {
            expiration,
            access_key_id: id.to_owned(),
            profile: profile.as_str().to_owned(),
        });
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
        record.remember(&hub, "ID1", at(10));
        record.remember(&depot, "ID2", at(20));
        record.remember(&hub, "ID3", at(30));
        record.store(&file).unwrap();
        let record = Record::load(&file).unwrap();
        assert_eq!(record.expired(&hub, at(29)), None);
        assert_eq!(record.expired(&hub, at(30)), Some("ID3"));
        assert_eq!(record.expired(&depot, at(20)), Some("ID2"));

        file.set_len(0).unwrap();
        file.write_all_at(
            b"\xff\n\n1\n1 ID\n9999999999999999999999 ID hub\n5 ID4 hub",
            0,
        )
        .unwrap();
        let mut record = Record::load(&file).unwrap();
        assert_eq!(record.expired(&hub, at(5)), Some("ID4"));
        record.forget(&hub);
        record.store(&file).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
    }
}

//! What is remembered of an upload in parts: a file with a line for the upload and one for each part that S3 has
//! confirmed.
//!
//! Each line begins with its CRC and is on disk before the next part is sent. Lines are only ever added; one that
//! was torn by a crash, or that says something strange, is left out, and its part is sent again.

use core::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::string::{String, ToString as _};
use std::vec::Vec;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{EntryId, Spool, disk, place};
use crate::core::text::Hex;
use crate::host::s3::{
    Checksum, ChecksumAlgorithm, Crc64Nvme, Part, PartsJournal, Resumed, UploadId,
};

/// A file that is longer is none of ours: 10,000 parts need less than a quarter of it.
const MAX_LENGTH: u64 = 8 << 20;

/// Digits of a line's CRC.
const CRC_DIGITS: usize = 16;

/// The journal of one entry's upload. There is a file only while an upload in parts is under way.
pub struct Journal {
    spool: Spool,
    name: String,
    file: Option<File>,
    /// Where the next line goes: after the last one that is whole.
    end: u64,
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Begun {
    upload: String,
    part_size: u64,
    checksum: ChecksumAlgorithm,
}

/// The others.
#[derive(Serialize, Deserialize)]
struct Line {
    number: u32,
    etag: String,
    length: u64,
    checksum: String,
}

impl Spool {
    /// What is remembered of the upload of an entry.
    pub fn journal(&self, id: EntryId) -> Journal {
        Journal {
            spool: self.clone(),
            name: id.to_string(),
            file: None,
            end: 0,
        }
    }
}

impl Journal {
    fn folder(&self) -> &File {
        &self.spool.0.place.journal
    }

    /// Adds a line, and has it on disk. One that fails halfway is written over by the next one.
    fn add(&mut self, value: &impl Serialize) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Err(io::Error::other("no upload was begun"));
        };
        let line = line(value)?;
        disk::write_at(file, &line, self.end)?;
        // Before the next part: what is remembered was confirmed, also after a loss of power.
        disk::sync_file(file)?;
        self.end += line.len() as u64;
        Ok(())
    }
}

impl PartsJournal for Journal {
    fn load(&mut self) -> io::Result<Option<Resumed>> {
        self.file = None;
        let file = match place::open_file(self.folder(), &self.name, OFlags::RDWR) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        (&file).take(MAX_LENGTH + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_LENGTH {
            return Ok(None);
        }
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |last| last + 1);
        let mut lines = bytes[..whole].split(|byte| *byte == b'\n');
        let Some(begun) = lines.next().and_then(value::<Begun>) else {
            return Ok(None);
        };
        let checksum = begun.checksum;
        let parts = lines
            .filter_map(value::<Line>)
            .filter_map(|line| line.part(checksum));
        let resumed = Resumed {
            upload: UploadId(begun.upload),
            part_size: begun.part_size,
            checksum: begun.checksum,
            parts: parts.collect(),
        };
        self.end = whole as u64;
        self.file = Some(file);
        Ok(Some(resumed))
    }

    fn begin(
        &mut self,
        upload: &UploadId,
        part_size: u64,
        checksum: ChecksumAlgorithm,
    ) -> io::Result<()> {
        self.clear()?;
        let place = &self.spool.0.place;
        self.file = Some(place.create(&place.journal, &self.name)?);
        let upload = upload.0.clone();
        self.add(&Begun {
            upload,
            part_size,
            checksum,
        })?;
        // The file's name as well: lines that nobody finds are of no use.
        disk::sync_folder(self.folder())
    }

    fn part(&mut self, part: &Part) -> io::Result<()> {
        let Some(checksum) = part.checksum else {
            return Ok(());
        };
        self.add(&Line {
            number: part.number,
            etag: part.etag.clone(),
            length: part.length,
            checksum: checksum.to_string(),
        })
    }

    fn clear(&mut self) -> io::Result<()> {
        self.file = None;
        self.end = 0;
        // Not synced: one that comes back after a loss of power names an upload that S3 does not have any more,
        // and says so.
        disk::unlink(self.folder(), &self.name).map(drop)
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Line {
    fn part(self, algorithm: ChecksumAlgorithm) -> Option<Part> {
        Some(Part {
            number: self.number,
            etag: self.etag,
            length: self.length,
            checksum: Some(Checksum::parse(algorithm, &self.checksum)?),
        })
    }
}

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_string(value)?;
    Ok(std::format!("{} {json}\n", Hex(&crc(json.as_bytes()).to_be_bytes())).into_bytes())
}

fn value<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    let (digits, json) = line.split_at_checked(CRC_DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    let expected = Hex(&crc(json).to_be_bytes()).to_string();
    (digits == expected.as_bytes()).then(|| serde_json::from_slice(json).ok())?
}

fn crc(bytes: &[u8]) -> u64 {
    let mut crc = Crc64Nvme::new();
    crc.update(bytes);
    crc.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::host::spool::Options;

    struct Place {
        folder: tempfile::TempDir,
        spool: Spool,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let spool = Spool::open(folder.path().join("spool"), Options::default()).unwrap();
            Self { folder, spool }
        }

        fn journal(&self) -> Journal {
            self.spool.journal(EntryId([7; 16]))
        }

        fn path(&self) -> PathBuf {
            let name = EntryId([7; 16]).to_string();
            self.folder.path().join("spool/journal").join(name)
        }

        fn numbers(&self) -> Option<Vec<u32>> {
            let resumed = self.journal().load().unwrap()?;
            assert_eq!(resumed.upload, upload());
            assert_eq!((resumed.part_size, resumed.checksum), (5 << 20, ALGORITHM));
            let numbers = resumed.parts.iter().map(|found| {
                assert_eq!(*found, part(found.number));
                found.number
            });
            Some(numbers.collect())
        }
    }

    const ALGORITHM: ChecksumAlgorithm = ChecksumAlgorithm::Crc64Nvme;

    fn upload() -> UploadId {
        UploadId("an/upload id\n+=".into())
    }

    fn part(number: u32) -> Part {
        Part {
            number,
            etag: "\"0123456789abcdef\"".into(),
            length: 5 << 20,
            checksum: Some(Checksum::Crc64Nvme(u64::from(number) << 40)),
        }
    }

    fn filled(place: &Place, parts: u32) -> Journal {
        let mut journal = place.journal();
        journal.begin(&upload(), 5 << 20, ALGORITHM).unwrap();
        for number in 1..=parts {
            journal.part(&part(number)).unwrap();
        }
        journal
    }

    #[test]
    fn what_was_confirmed_is_remembered_until_the_end() {
        let place = Place::new();
        assert_eq!(place.numbers(), None);
        let mut journal = filled(&place, 3);
        assert_eq!(place.numbers().unwrap(), [1, 2, 3]);
        let mut later = place.journal();
        later.load().unwrap();
        later.part(&part(4)).unwrap();
        assert_eq!(place.numbers().unwrap(), [1, 2, 3, 4]);
        journal.clear().unwrap();
        assert_eq!(place.numbers(), None);
        assert!(!place.path().exists());
        journal.clear().unwrap();
        assert!(journal.part(&part(1)).is_err());
    }

    #[test]
    fn another_upload_replaces_what_was_remembered() {
        let place = Place::new();
        filled(&place, 3);
        filled(&place, 1);
        assert_eq!(place.numbers().unwrap(), [1]);
    }

    /// Cut anywhere, as a crash in the middle of a write leaves it, and gone on with.
    #[test]
    fn a_torn_line_is_a_part_to_send_again() {
        let place = Place::new();
        filled(&place, 2);
        let whole = fs::read(place.path()).unwrap();
        let ends: Vec<usize> = (0..whole.len())
            .filter(|at| whole[*at] == b'\n')
            .map(|at| at + 1)
            .collect();
        for cut in 0..=whole.len() {
            fs::write(place.path(), &whole[..cut]).unwrap();
            let lines = ends.iter().filter(|end| **end <= cut).count();
            let expected: Option<Vec<u32>> = lines
                .checked_sub(1)
                .map(|parts| (1..=parts as u32).collect());
            assert_eq!(place.numbers(), expected, "{cut}");
            let Some(mut expected) = expected else {
                continue;
            };
            let mut journal = place.journal();
            journal.load().unwrap();
            journal.part(&part(9)).unwrap();
            expected.push(9);
            assert_eq!(place.numbers(), Some(expected), "{cut}");
        }
    }

    /// Any byte that is another one costs its line, or everything if it is the first one.
    #[test]
    fn a_doubtful_line_is_a_part_to_send_again() {
        let place = Place::new();
        filled(&place, 3);
        let whole = fs::read(place.path()).unwrap();
        for at in 0..whole.len() {
            for mask in [0x01, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] ^= mask;
                fs::write(place.path(), &damaged).unwrap();
                let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u32;
                match place.numbers() {
                    None => assert_eq!(line, 0, "{at}"),
                    // Without its newline a line takes the next one with it.
                    Some(numbers) => {
                        assert!(line > 0 && !numbers.contains(&line), "{at}: {numbers:?}");
                        assert!(!numbers.is_empty(), "{at}: {numbers:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn strange_files_are_no_journals() {
        let place = Place::new();
        for content in [&b""[..], b"\n", b"{}\n", &[0; 4096], &[b'\n'; 9 << 20]] {
            fs::write(place.path(), content).unwrap();
            assert_eq!(place.numbers(), None);
            filled(&place, 1);
            assert_eq!(place.numbers().unwrap(), [1]);
        }
        // A link leads elsewhere: it is neither read nor written.
        let elsewhere = place.folder.path().join("elsewhere");
        fs::rename(place.path(), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, place.path()).unwrap();
        assert!(place.journal().load().is_err());
    }
}

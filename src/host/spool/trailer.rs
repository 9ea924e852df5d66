//! What follows the content in an entry's file: the [`Head`] as JSON, and after it a footer of fixed length.
//!
//! | bytes | what (numbers are big-endian) |
//! |---|---|
//! | 8 | length of the content |
//! | 8 | length of the JSON |
//! | 8 | sequence |
//! | 8 | the first bytes of SHA-256 over the JSON and the 24 bytes before |
//! | 8 | `KEYSPOOL` |

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::vec::Vec;

use ring::digest::{Context, SHA256};
use rustix::fs::OFlags;

use super::entry::Head;
use super::place;

const MAGIC: [u8; 8] = *b"KEYSPOOL";

/// Of the footer.
const FOOTER: usize = 40;

/// A head that is longer is none that was written here: the longest key has 1,024 bytes, metadata and tags a few
/// thousand.
const MAX_JSON: u64 = 256 * 1024;

/// Most trailers are shorter, so that one call reads all of it.
const USUAL: usize = 2048;

/// Why there is no trailer.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is not what was written.
    Damaged(&'static str),
    /// The disk does not give it, now.
    Disk(io::Error),
}

const CUT: Unread = Unread::Damaged("it does not end as an entry does");
const WRONG: Unread = Unread::Damaged("its trailer is not what was written");

/// The trailer; `None` if there is too much in it.
pub(super) fn encode(head: &Head) -> Option<Vec<u8>> {
    let mut trailer = serde_json::to_vec(head).ok()?;
    let json = trailer.len() as u64;
    if json > MAX_JSON {
        return None;
    }
    trailer.extend(head.digests.length.to_be_bytes());
    trailer.extend(json.to_be_bytes());
    trailer.extend(head.sequence.to_be_bytes());
    trailer.extend(check(&trailer));
    trailer.extend(MAGIC);
    Some(trailer)
}

/// The head, out of a file of that length.
pub(super) fn read(file: &File, length: u64) -> Result<Head, Unread> {
    let mut tail = tail(file, length, USUAL)?;
    let footer = Footer::parse(&tail, length)?;
    let whole = footer.json_length + FOOTER;
    if tail.len() < whole {
        tail = self::tail(file, length, whole)?;
    }
    let trailer = tail.len().checked_sub(whole).and_then(|at| tail.get(at..));
    let trailer = trailer.ok_or(CUT)?;
    let (json, numbers) = trailer.split_at(footer.json_length);
    if check(&trailer[..footer.json_length + 24]) != numbers[24..32] {
        return Err(WRONG);
    }
    let head: Head = serde_json::from_slice(json).map_err(|_| WRONG)?;
    let is_same = head.digests.length == footer.length && head.sequence == footer.sequence;
    is_same.then_some(head).ok_or(WRONG)
}

/// The sequence, which is not checked against the rest, and the length of the file. What is damaged is older than
/// everything. `None` if there is no such file.
pub(super) fn glance(folder: &File, name: &str) -> io::Result<Option<(u64, u64)>> {
    let file = match place::open_file(folder, name, OFlags::RDONLY) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // It is none that was made here.
        Err(error) if error.raw_os_error().is_none() => {
            let length = place::length(folder, name)?;
            return Ok(length.map(|length| (0, length)));
        }
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    Ok(Some((sequence(&file, length)?, length)))
}

/// What cannot be read now is neither damaged nor old.
fn sequence(file: &File, length: u64) -> io::Result<u64> {
    let footer = tail(file, length, FOOTER).and_then(|tail| Footer::parse(&tail, length));
    match footer {
        Ok(footer) => Ok(footer.sequence),
        Err(Unread::Damaged(_)) => Ok(0),
        Err(Unread::Disk(error)) => Err(error),
    }
}

/// The head of an entry that was accepted after the one with that sequence. `None` for others, and for what cannot
/// be read: whoever delivers it says so.
pub(super) fn read_younger(folder: &File, name: &str, than: u64) -> Option<Head> {
    let file = place::open_file(folder, name, OFlags::RDONLY).ok()?;
    let length = file.metadata().ok()?.len();
    let tail = tail(&file, length, FOOTER).ok()?;
    let footer = Footer::parse(&tail, length).ok()?;
    (footer.sequence > than).then(|| read(&file, length).ok())?
}

/// The first bytes of SHA-256.
pub(super) fn check(bytes: &[u8]) -> [u8; 8] {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    let mut check = [0; 8];
    check.copy_from_slice(&context.finish().as_ref()[..8]);
    check
}

fn tail(file: &File, length: u64, wanted: usize) -> Result<Vec<u8>, Unread> {
    let wanted = usize::try_from(length).map_or(wanted, |length| length.min(wanted));
    let mut tail = std::vec![0; wanted];
    match file.read_exact_at(&mut tail, length - wanted as u64) {
        Ok(()) => Ok(tail),
        // Somebody has cut it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(CUT),
        Err(error) => Err(Unread::Disk(error)),
    }
}

struct Footer {
    length: u64,
    json_length: usize,
    sequence: u64,
}

impl Footer {
    fn parse(tail: &[u8], file_length: u64) -> Result<Self, Unread> {
        let footer = tail.last_chunk::<FOOTER>().ok_or(CUT)?;
        let (numbers, magic) = footer.split_at(FOOTER - 8);
        if magic != MAGIC {
            return Err(CUT);
        }
        let number = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&numbers[index * 8..index * 8 + 8]);
            u64::from_be_bytes(bytes)
        };
        let (length, json) = (number(0), number(1));
        let whole = length
            .checked_add(json)
            .and_then(|sum| sum.checked_add(FOOTER as u64));
        if json > MAX_JSON || whole != Some(file_length) {
            return Err(WRONG);
        }
        Ok(Self {
            length,
            json_length: usize::try_from(json).map_err(|_| WRONG)?,
            sequence: number(2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_disk_does_not_give_is_not_damaged() {
        let folder = tempfile::tempdir().unwrap();
        // What no system call reads: each says EISDIR.
        let file = File::open(folder.path()).unwrap();
        assert!(matches!(read(&file, 4096), Err(Unread::Disk(_))));
        assert!(sequence(&file, 4096).is_err());
        // What has become shorter.
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(read(&file, 4096), Err(Unread::Damaged(_))));
        assert_eq!(sequence(&file, 4096).unwrap(), 0);
    }
}

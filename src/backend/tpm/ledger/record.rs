//! What is written down of what a process has in a TPM.

use core::fmt::Write as _;
use std::borrow::ToOwned as _;
use std::string::String;
use std::vec::Vec;

use crate::backend::algorithm::Hash;
use crate::core::text::Hex;
use crate::core::tpm::{MAX_PUBLIC_LEN, PublicArea};

const HEAD: &str = "keystead-tpm-handles-1";
const END: &str = "end";

/// What a process has in a TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Since which start of the machine.
    pub boot: String,
    /// Since which start of the TPM, if it was asked.
    pub epoch: Option<Epoch>,
    /// What.
    pub things: Vec<Thing>,
}

/// Starts of a TPM (TPMS_CLOCK_INFO; TPM 2.0 Part 2, section 10.11.6): what is loaded is gone after each.
/// They are compared, and mean nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// resetCount.
    pub reset: u32,
    /// restartCount.
    pub restart: u32,
}

/// Something in a TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thing {
    /// What it is.
    pub what: What,
    /// Since when: how long the machine had been running, in milliseconds.
    pub since: u64,
}

/// What something in a TPM is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The object whose public area has this SHA-256 hash.
    Area([u8; 32]),
    /// An object that was made by a template, of which this is the SHA-256 hash: what it is else is known
    /// only when the TPM has made it.
    Template([u8; 32]),
    /// A session that is being started: nobody knows at which handle.
    Session,
    /// The session at this handle.
    SessionAt(u32),
}

impl What {
    /// The object with this public area (TPMT_PUBLIC).
    pub fn area(area: &[u8]) -> Self {
        Self::Area(hash(area))
    }

    /// One that is made by a template.
    pub fn template(template: &[u8]) -> Self {
        Self::Template(hash(&without_unique(template)))
    }

    /// Whether it is what has this public area.
    pub fn is(&self, area: &[u8]) -> bool {
        *self == Self::area(area) || *self == Self::template(area)
    }
}

fn hash(area: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(&Hash::Sha256.digest(area));
    hash
}

/// What cannot be read is nothing that we would have made.
fn without_unique(area: &[u8]) -> Vec<u8> {
    let mut buffer = [0; MAX_PUBLIC_LEN];
    let area = PublicArea::read(area).map(PublicArea::without_unique);
    let area = area.and_then(|area| Ok(area.write(&mut buffer)?.to_owned()));
    area.unwrap_or_default()
}

impl Record {
    /// Of nothing.
    pub fn new(boot: String) -> Self {
        Self {
            boot,
            epoch: None,
            things: Vec::new(),
        }
    }

    /// As it is written.
    pub fn text(&self) -> String {
        let mut text = std::format!("{HEAD}\nboot {}\n", self.boot);
        // Writing into memory does not fail.
        if let Some(Epoch { reset, restart }) = self.epoch {
            let _ = writeln!(text, "epoch {reset} {restart}");
        }
        for Thing { what, since } in &self.things {
            let _ = match what {
                What::Area(hash) => writeln!(text, "area {since} {}", Hex(hash)),
                What::Template(hash) => writeln!(text, "template {since} {}", Hex(hash)),
                What::Session => writeln!(text, "session {since}"),
                What::SessionAt(handle) => writeln!(text, "session {since} {handle:08x}"),
            };
        }
        text += END;
        text.push('\n');
        text
    }

    /// Reads what was written. What follows the end is from before.
    pub fn parse(text: &[u8]) -> Option<Self> {
        // What follows may be cut anywhere.
        let text = String::from_utf8_lossy(text);
        let mut lines = text.lines();
        if lines.next()? != HEAD {
            return None;
        }
        let boot = lines.next()?.strip_prefix("boot ")?.to_owned();
        let mut record = Self::new(boot);
        for line in lines {
            let mut words = line.split(' ');
            let thing = |what, since: &str| {
                Some(Thing {
                    what,
                    since: since.parse().ok()?,
                })
            };
            match (words.next()?, words.next(), words.next(), words.next()) {
                (END, None, None, None) => return Some(record),
                ("epoch", Some(reset), Some(restart), None) => {
                    record.epoch = Some(Epoch {
                        reset: reset.parse().ok()?,
                        restart: restart.parse().ok()?,
                    });
                }
                ("area", Some(since), Some(hash), None) => {
                    record.things.push(thing(What::Area(unhex(hash)?), since)?);
                }
                ("template", Some(since), Some(hash), None) => {
                    let what = What::Template(unhex(hash)?);
                    record.things.push(thing(what, since)?);
                }
                ("session", Some(since), None, None) => {
                    record.things.push(thing(What::Session, since)?);
                }
                ("session", Some(since), Some(handle), None) => {
                    let handle = u32::from_str_radix(handle, 16).ok()?;
                    record.things.push(thing(What::SessionAt(handle), since)?);
                }
                _ => return None,
            }
        }
        None
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tpm::{STORAGE_ROOT, StorageKey, attributes};

    fn record() -> Record {
        Record {
            boot: "5d4f".into(),
            epoch: Some(Epoch {
                reset: 4_000_000_000,
                restart: 7,
            }),
            things: Vec::from([
                Thing {
                    what: What::Area([0xab; 32]),
                    since: 1234,
                },
                Thing {
                    what: What::Template([1; 32]),
                    since: 1235,
                },
                Thing {
                    what: What::Session,
                    since: 0,
                },
            ]),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for record in [record(), Record::new("5d4f".into())] {
            assert_eq!(Record::parse(record.text().as_bytes()), Some(record));
        }
    }

    #[test]
    fn what_is_left_of_a_longer_text_does_not_count() {
        let short = Record::new("5d4f".into()).text();
        let mut text = record().text();
        text.replace_range(..short.len(), &short);
        assert_eq!(
            Record::parse(text.as_bytes()),
            Some(Record::new("5d4f".into()))
        );
        // A text that was cut has no end.
        let text = record().text();
        for end in 0..text.len() - 1 {
            assert_eq!(Record::parse(&text.as_bytes()[..end]), None);
        }
        assert_eq!(
            Record::parse(b"keystead-tpm-handles-1\nboot x\nother 1\nend\n"),
            None
        );
    }

    #[test]
    fn objects_are_known_by_their_area_or_by_their_template() {
        let area = |attributes, is_filled| {
            let area = PublicArea::storage(StorageKey::P256, attributes, is_filled);
            area.write(&mut [0; MAX_PUBLIC_LEN]).unwrap().to_owned()
        };
        let template = area(STORAGE_ROOT, false);
        let made = area(STORAGE_ROOT, true);
        let other = area(STORAGE_ROOT & !attributes::NO_DA, false);
        for what in [What::template(&template), What::area(&made)] {
            assert!(what.is(&made));
            assert!(!what.is(&other));
        }
        assert!(!What::area(&template).is(&made));
        assert!(!What::Session.is(&made));
    }
}

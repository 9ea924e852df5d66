mod ends;
mod fake;
mod parts;
mod sessions;
mod stream;
mod whole;
mod world;

use std::vec::Vec;

use self::fake::Fake;
use self::sessions::Numbered;
use self::world::bytes;
use super::{Allowed, Halt, Object, Outcome, Pace, UploadOptions, Uploader};
use crate::host::s3::{Attributes, Digests, MemoryJournal, PartsJournal};
use crate::output::push::Progress;

const KEY: &str = "sensors/a";
const MIB: usize = 1 << 20;

/// Somebody who uploads one content, again and again until it is done.
struct Hand {
    store: Fake,
    content: Vec<u8>,
    attributes: Attributes,
    /// The digests are known, as a spool knows them.
    known: bool,
    options: UploadOptions,
    sessions: Numbered,
    pace: Pace,
    allowed: Allowed,
    journal: MemoryJournal,
    progress: Counted,
}

/// How much was told to be on its way.
#[derive(Default)]
struct Counted(i64);

impl Progress for Counted {
    fn sent(&mut self, bytes: u64) {
        self.0 += bytes as i64;
    }
    fn again(&mut self, bytes: u64) {
        self.0 -= bytes as i64;
    }
    fn resumed(&mut self, bytes: u64) {
        self.0 += bytes as i64;
    }
}

impl Hand {
    fn new(store: Fake, length: usize) -> Self {
        Self {
            store,
            content: bytes(length),
            attributes: Attributes::default(),
            known: true,
            options: UploadOptions {
                part_size: 5 << 20,
                ..UploadOptions::default()
            },
            sessions: Numbered::up_to(2),
            pace: Pace::default(),
            allowed: Allowed::default(),
            journal: MemoryJournal::default(),
            progress: Counted::default(),
        }
    }

    fn once(&mut self) -> Result<Outcome, Halt> {
        self.progress = Counted::default();
        let object = Object {
            key: KEY,
            attributes: &self.attributes,
            length: self.content.len() as u64,
            digests: self.known.then(|| Digests::of(&self.content)),
            content: &self.content,
        };
        uploader(
            &mut self.store,
            &self.options,
            &self.sessions,
            &self.pace,
            &self.allowed,
        )
        .upload(&object, &mut self.journal, &mut self.progress)
    }

    /// Until it ends: how it ended, and how often it was asked for.
    fn until_done(&mut self) -> (Outcome, u32) {
        for turn in 1..10 {
            match self.once() {
                Ok(outcome) => return (outcome, turn),
                Err(halt) => assert!(fake::is_passing(&halt), "{halt}"),
            }
        }
        panic!("it does not end");
    }

    fn assert_stored(&mut self) {
        assert!(
            self.store.content(KEY).as_deref() == Some(&self.content),
            "other content"
        );
        let found = self.store.world().objects[KEY].clone();
        assert_eq!(found.attributes, self.attributes);
        assert_eq!(self.journal.load().unwrap(), None, "the journal is left");
    }
}

fn uploader<'a>(
    store: &'a mut Fake,
    options: &'a UploadOptions,
    sessions: &'a Numbered,
    pace: &'a Pace,
    allowed: &'a Allowed,
) -> Uploader<'a> {
    Uploader {
        store,
        helpers: &mut [],
        sessions,
        options,
        pace,
        allowed,
    }
}

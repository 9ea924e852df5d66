//! What is added in these tests: a key says which bytes belong to it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use hsm_tests::chance::Chance;
use keystead::host::s3::Content as _;
use keystead::host::spool::{Entry, Naming};

/// The bucket of the sandbox.
pub const BUCKET: &str = "sensor-logs";

/// A key for so many bytes, below the one that the sandbox's hubs may write to.
pub fn key(number: usize, length: usize) -> String {
    format!("sensors/{number:05}-{length}")
}

/// What belongs to a key of [`key`]. It is made once.
pub fn content(key: &str) -> Arc<Vec<u8>> {
    static MADE: Mutex<BTreeMap<String, Arc<Vec<u8>>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().expect("nobody panicked");
    let made = made.entry(key.to_owned());
    made.or_insert_with_key(|key| Arc::new(make(key))).clone()
}

fn make(key: &str) -> Vec<u8> {
    let (_, length) = key.rsplit_once('-').expect("a key ends with a length");
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    Chance::of(hasher.finish()).bytes(length.parse().expect("a key ends with a length"))
}

pub fn naming(key: &str) -> Naming {
    Naming {
        bucket: BUCKET.into(),
        key: key.into(),
        ..Naming::default()
    }
}

/// Whether an entry holds what belongs to its key, and nothing else.
pub fn is_whole(entry: &Entry) -> bool {
    let mut bytes = Vec::new();
    let read = entry
        .open(0, u64::MAX)
        .and_then(|mut reader| reader.read_to_end(&mut bytes));
    read.is_ok() && bytes == *content(&entry.head.key)
}

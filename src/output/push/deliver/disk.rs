//! Calls to the disk, some of which may never end: of a disk that is dead, or for a lock whose holder was stopped.

use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::host::s3::Content;

/// Those that are under way.
#[derive(Debug, Default)]
pub(super) struct Disk(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    count: u64,
    /// By their number: when they began.
    began: BTreeMap<u64, Instant>,
}

impl Disk {
    /// Makes one.
    pub(super) fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        let number = {
            let mut calls = self.lock();
            calls.count += 1;
            let number = calls.count;
            calls.began.insert(number, Instant::now());
            number
        };
        let done = call();
        self.lock().began.remove(&number);
        done
    }

    /// For how long the oldest of them has been under way.
    pub(super) fn longest(&self) -> Duration {
        let calls = self.lock();
        let oldest = calls.began.first_key_value();
        oldest.map_or(Duration::ZERO, |(_, began)| began.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A content whose reading is calls of `disk`.
pub(super) struct OnDisk<'a, C> {
    pub(super) content: &'a C,
    pub(super) disk: &'a Disk,
}

impl<C: Content> Content for OnDisk<'_, C> {
    fn open(&self, offset: u64, length: u64) -> io::Result<Box<dyn Read + '_>> {
        let disk = self.disk;
        let reader = disk.call(|| self.content.open(offset, length))?;
        Ok(Box::new(Reader { reader, disk }))
    }
}

struct Reader<'a> {
    reader: Box<dyn Read + 'a>,
    disk: &'a Disk,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.call(|| self.reader.read(buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Seen<'a>(&'a Disk);

    impl Content for Seen<'_> {
        fn open(&self, _offset: u64, _length: u64) -> io::Result<Box<dyn Read + '_>> {
            assert!(self.0.longest() > Duration::ZERO);
            Ok(Box::new(Seen(self.0)))
        }
    }

    impl Read for Seen<'_> {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            assert!(self.0.longest() > Duration::ZERO);
            Ok(0)
        }
    }

    #[test]
    fn reading_is_a_call() {
        let disk = Disk::default();
        let content = OnDisk {
            content: &Seen(&disk),
            disk: &disk,
        };
        let mut reader = content.open(0, 1).unwrap();
        assert_eq!(disk.longest(), Duration::ZERO);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        assert_eq!(disk.longest(), Duration::ZERO);
    }
}

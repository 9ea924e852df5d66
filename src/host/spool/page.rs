//! What is kept of how much there is.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::trailer;

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Lengths of all files, those of writers included.
    pub(super) bytes: u64,
    /// All files.
    pub(super) entries: u64,
    /// Those of them that are set aside.
    pub(super) aside: u64,
    /// Greater than every sequence that was given.
    pub(super) next: u64,
    /// How often something was refused because the spool was full.
    pub(super) rejected: u64,
    /// Entries that were dropped to make room for newer ones.
    pub(super) dropped: u64,
    /// Their bytes.
    pub(super) dropped_bytes: u64,
    /// When it was counted last, and how long that took: nanoseconds of the monotonic clock.
    pub(super) counted_at: u64,
    pub(super) counting_took: u64,
}

/// Eleven numbers, big-endian; the first bytes of SHA-256 over them.
const PAGE: usize = 11 * 8 + 8;

/// What is kept of `lock`'s page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) boot: u128,
    pub(super) counts: Counts,
    /// A change was begun and has not ended.
    pub(super) is_open: bool,
}

impl Page {
    pub(super) fn encode(&self) -> [u8; PAGE] {
        let counts = &self.counts;
        let numbers = [
            (self.boot >> 64) as u64,
            self.boot as u64,
            counts.bytes,
            counts.entries,
            counts.aside,
            counts.next << 1 | u64::from(self.is_open),
            counts.rejected,
            counts.dropped,
            counts.dropped_bytes,
            counts.counted_at,
            counts.counting_took,
        ];
        let mut page = [0; PAGE];
        for (bytes, number) in page.chunks_exact_mut(8).zip(numbers) {
            bytes.copy_from_slice(&number.to_be_bytes());
        }
        let check = trailer::check(&page[..PAGE - 8]);
        page[PAGE - 8..].copy_from_slice(&check);
        page
    }

    pub(super) fn read(file: &File) -> Option<Self> {
        let mut page = [0; PAGE];
        file.read_exact_at(&mut page, 0).ok()?;
        if trailer::check(&page[..PAGE - 8]) != page[PAGE - 8..] {
            return None;
        }
        let number = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&page[index * 8..index * 8 + 8]);
            u64::from_be_bytes(bytes)
        };
        Some(Self {
            boot: u128::from(number(0)) << 64 | u128::from(number(1)),
            counts: Counts {
                bytes: number(2),
                entries: number(3),
                aside: number(4),
                next: number(5) >> 1,
                rejected: number(6),
                dropped: number(7),
                dropped_bytes: number(8),
                counted_at: number(9),
                counting_took: number(10),
            },
            is_open: number(5) & 1 != 0,
        })
    }
}

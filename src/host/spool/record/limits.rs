//! When a batch is complete. Without I/O.

use core::time::Duration;

/// When a batch is complete: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// So many bytes at most, uncompressed, unless a single record has more.
    pub bytes: u64,
    /// So many records at most.
    pub records: u64,
    /// So long after the first record.
    pub age: Duration,
}

impl Default for Limits {
    /// 8 MiB, 100,000 records, five minutes: 288 objects a day at most for a sensor that says little.
    fn default() -> Self {
        Self {
            bytes: 8 * 1024 * 1024,
            records: 100_000,
            age: Duration::from_secs(300),
        }
    }
}

/// How much is in a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fill {
    /// Bytes.
    pub bytes: u64,
    /// Records.
    pub records: u64,
}

impl Limits {
    /// How much of `lines`, each with its newline, goes into a batch that holds so much: its length, and how many
    /// records that are. Nothing, if the batch is complete.
    pub fn split(&self, fill: Fill, lines: &[u8]) -> (usize, u64) {
        let (mut length, mut records) = (0, 0);
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let more = Fill {
                bytes: fill.bytes + (length + line.len()) as u64,
                records: fill.records + records + 1,
            };
            let is_first = more.records == 1;
            if more.records > self.records || more.bytes > self.bytes && !is_first {
                break;
            }
            length += line.len();
            records += 1;
        }
        (length, records)
    }

    /// Whether nothing more goes in.
    pub fn is_reached(&self, fill: Fill) -> bool {
        fill.bytes >= self.bytes || fill.records >= self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    proptest! {
        /// Whatever comes: each batch is within its limits, no record is lost, torn or moved.
        #[test]
        fn batches_are_within_limits(
            lengths in prop::collection::vec(0..30_usize, 1..40),
            bytes in 1..60_u64,
            records in 1..6_u64,
        ) {
            let limits = Limits { bytes, records, age: Duration::ZERO };
            let mut lines = vec![];
            for length in lengths {
                lines.extend(core::iter::repeat_n(b'1', length));
                lines.push(b'\n');
            }
            let (mut rest, mut whole) = (&lines[..], Vec::new());
            while !rest.is_empty() {
                let (length, count) = limits.split(Fill::default(), rest);
                let (batch, later) = rest.split_at(length);
                prop_assert_eq!(batch.iter().filter(|&&byte| byte == b'\n').count() as u64, count);
                prop_assert!(count >= 1 && count <= records);
                prop_assert!(length as u64 <= bytes || count == 1);
                prop_assert_eq!(batch.last(), Some(&b'\n'));
                whole.extend_from_slice(batch);
                rest = later;
            }
            prop_assert_eq!(whole, lines);
        }
    }

    #[test]
    fn a_batch_goes_on() {
        let limits = Limits {
            bytes: 10,
            records: 3,
            age: Duration::ZERO,
        };
        let fill = |bytes, records| Fill { bytes, records };
        assert_eq!(limits.split(fill(6, 1), b"1\n22\n3\n"), (2, 1));
        assert_eq!(limits.split(fill(2, 2), b"1\n2\n3\n"), (2, 1));
        assert_eq!(limits.split(fill(2, 3), b"1\n"), (0, 0));
        assert_eq!(limits.split(fill(8, 1), b"333\n"), (0, 0));
        assert_eq!(limits.split(fill(0, 0), b"12345678901234\n1\n"), (15, 1));
        assert!(limits.is_reached(fill(15, 1)) && limits.is_reached(fill(3, 3)));
        assert!(!limits.is_reached(fill(9, 2)));
    }
}

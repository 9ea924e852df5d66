//! Memory for frames. PINs pass through it: whatever is given back to the allocator is cleared first.

use core::fmt;
use std::vec;
use std::vec::Vec;

use zeroize::Zeroize as _;

/// What nearly every message fits into, and a longest PIN with room to spare.
const USUAL: usize = 8 << 10;

/// Bytes between a start and an end. It grows as they come, never by what a length promises.
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            bytes: vec![0; USUAL],
            start: 0,
            end: 0,
        }
    }
}

impl Buffer {
    /// What is in it.
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The same, to be changed.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Takes so many bytes from the front. They stay readable until more is put in.
    pub fn take(&mut self, len: usize) -> &[u8] {
        let taken = self.start..self.start + len;
        self.start += len;
        if self.start == self.end {
            self.clear();
        }
        &self.bytes[taken]
    }

    /// Forgets what is in it, and leaves it in memory.
    pub fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Forgets all but so many bytes.
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }

    /// Forgets what was taken, and clears every byte of it; what was not taken yet stays.
    pub fn wipe(&mut self) {
        if self.filled().is_empty() && self.bytes.len() == USUAL {
            self.bytes.as_mut_slice().zeroize();
        } else {
            let mut fresh = Self::default();
            fresh.push(self.filled());
            *self = fresh;
        }
    }

    /// Puts bytes at the end.
    pub fn push(&mut self, bytes: &[u8]) {
        while self.bytes.len() - self.end < bytes.len() {
            self.make_room();
        }
        self.bytes[self.end..][..bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Room at the end, at least for a byte.
    pub fn spare(&mut self) -> &mut [u8] {
        if self.end == self.bytes.len() {
            self.make_room();
        }
        &mut self.bytes[self.end..]
    }

    /// So many bytes have been put into [`Buffer::spare`].
    pub fn advance(&mut self, len: usize) {
        self.end = (self.end + len).min(self.bytes.len());
    }

    /// Moves what is there to the front, and into twice the memory if it already was there.
    fn make_room(&mut self) {
        let filled = self.start..self.end;
        let len = filled.len();
        if self.start > 0 {
            self.bytes.copy_within(filled, 0);
        } else {
            let mut larger = vec![0; 2 * self.bytes.len()];
            larger[..len].copy_from_slice(&self.bytes[filled]);
            self.bytes.as_mut_slice().zeroize();
            self.bytes = larger;
        }
        (self.start, self.end) = (0, len);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.bytes.as_mut_slice().zeroize();
    }
}

/// Not what is in it.
impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.filled().len())
    }
}

#[cfg(test)]
impl Buffer {
    /// Whether it is somewhere in its memory, forgotten or not.
    pub fn holds(&self, secret: &[u8]) -> bool {
        let mut places = self.bytes.windows(secret.len());
        places.any(|bytes| bytes == secret)
    }

    pub fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_cleared_and_what_is_not_stays() {
        let mut buffer = Buffer::default();
        buffer.push(b"secret next");
        assert_eq!(buffer.take(7), b"secret ");
        assert!(buffer.holds(b"secret"));
        buffer.wipe();
        assert!(!buffer.holds(b"secret"));
        assert_eq!(buffer.filled(), b"next");
        buffer.take(4);
        buffer.wipe();
        assert!(!buffer.holds(b"next"));
    }

    #[test]
    fn it_grows_by_what_comes_and_shrinks_again() {
        let mut buffer = Buffer::default();
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let spare = buffer.spare();
            let len = spare.len().min(rest.len()).min(777);
            spare[..len].copy_from_slice(&rest[..len]);
            buffer.advance(len);
            rest = &rest[len..];
        }
        assert_eq!(buffer.filled(), bytes);
        assert!(buffer.bytes.len() < 2 * bytes.len());
        buffer.take(bytes.len());
        buffer.wipe();
        assert_eq!(buffer.bytes.len(), USUAL);
    }

    #[test]
    fn short_messages_never_need_more_memory() {
        let mut buffer = Buffer::default();
        for _ in 0..100_000 {
            buffer.push(&[1; 300]);
            buffer.take(300);
        }
        assert_eq!(buffer.bytes.len(), USUAL);
    }
}

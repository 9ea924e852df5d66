//! Where the bytes of an object are.

use core::fmt;
use std::boxed::Box;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::vec::Vec;

/// Bytes that can be read as often as needed, from anywhere, by several threads: parts are read when they are
/// sent, and again when they have to be sent again.
pub trait Content: Send + Sync {
    /// `length` bytes from `offset` on. A reader that ends before that is a content that is not whole.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    fn open(&self, offset: u64, length: u64) -> io::Result<Box<dyn Read + '_>>;
}

impl Content for [u8] {
    fn open(&self, offset: u64, length: u64) -> io::Result<Box<dyn Read + '_>> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| self.get(offset..));
        Ok(Box::new(rest.unwrap_or_default().take(length)))
    }
}

impl Content for Vec<u8> {
    fn open(&self, offset: u64, length: u64) -> io::Result<Box<dyn Read + '_>> {
        self.as_slice().open(offset, length)
    }
}

/// An open file, from its first byte on, whatever its position is.
impl Content for File {
    fn open(&self, offset: u64, length: u64) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Section {
            file: self,
            offset,
            left: length,
        }))
    }
}

/// A section of a file, read without moving the file's position.
struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buf[..most], self.offset)?;
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

impl fmt::Debug for dyn Content + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content")
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn read(content: &dyn Content, offset: u64, length: u64) -> Vec<u8> {
        let mut read = Vec::new();
        content
            .open(offset, length)
            .unwrap()
            .read_to_end(&mut read)
            .unwrap();
        read
    }

    #[test]
    fn a_file_and_bytes_give_the_same_sections() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let bytes = b"0123456789".to_vec();
        for (offset, length) in [(0, 10), (3, 4), (8, 9), (10, 1), (99, 1), (0, 0)] {
            let section = read(&file, offset, length);
            assert_eq!(section, read(&bytes, offset, length));
            let from = (offset as usize).min(10);
            assert_eq!(section, bytes[from..10.min(from + length as usize)]);
        }
    }
}

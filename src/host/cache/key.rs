//! What stands for everything that decides about the credentials.

use core::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::string::String;

use ring::digest;

use crate::core::text::Hex;

/// What a key means; another number makes all older ones unknown.
const DOMAIN: &str = "keystead cache key 1";

/// The hash of everything that decides about the credentials. It shows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// How many characters a key has.
    pub const LEN: usize = 64;

    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let is_ours = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != Self::LEN || !digits.iter().all(is_ours) {
            return None;
        }
        let mut key = [0; 32];
        for (byte, index) in key.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(text.get(index..index + 2)?, 16).ok()?;
        }
        Some(Self(key))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

/// Makes a [`Key`].
pub struct KeyBuilder(digest::Context);

impl KeyBuilder {
    /// Of nothing yet.
    pub fn new() -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(DOMAIN.as_bytes());
        Self(context)
    }

    /// Adds a value under a name: no two lists of values have the same key.
    pub fn value(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), value] {
            self.0.update(&(part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
    }

    /// Adds a file as it is now: which one it is, its size, and when it was changed. It is not read.
    ///
    /// # Errors
    /// [`io::Error`] if it is not there.
    pub fn file(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let file = fs::metadata(path)?;
        // Whoever changes a file can set its modification time back, and not that of its inode.
        let times = [
            (file.mtime(), file.mtime_nsec()),
            (file.ctime(), file.ctime_nsec()),
        ];
        let mut state = String::new();
        // Writing into a string does not fail.
        let _ = fmt::write(
            &mut state,
            format_args!("{} {} {} {times:?}", file.dev(), file.ino(), file.size()),
        );
        self.value(name, state.as_bytes());
        Ok(())
    }

    /// The key.
    pub fn finish(self) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.finish().as_ref());
        Key(key)
    }
}

impl Default for KeyBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBuilder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;
    use std::vec::Vec;

    fn key(values: &[(String, Vec<u8>)]) -> Key {
        let mut builder = KeyBuilder::new();
        for (name, value) in values {
            builder.value(name, value);
        }
        builder.finish()
    }

    fn of_file(path: &Path) -> Key {
        let mut builder = KeyBuilder::new();
        builder.file("certificate", path).unwrap();
        builder.finish()
    }

    #[test]
    fn a_file_counts_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.pem");
        fs::write(&path, "one").unwrap();
        let first = of_file(&path);
        assert_eq!(of_file(&path), first);
        fs::write(&path, "three").unwrap();
        let second = of_file(&path);
        assert_ne!(second, first);
        // The same size and the same modification time, and another file.
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let other = folder.path().join("new");
        fs::write(&other, "seven").unwrap();
        fs::File::options()
            .write(true)
            .open(&other)
            .and_then(|file| file.set_modified(modified))
            .unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(of_file(&path), second);
        let missing = KeyBuilder::new().file("certificate", &folder.path().join("x"));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    proptest! {
        #[test]
        fn other_values_have_another_key(
            one in proptest::collection::vec(("[a-c]{0,3}", proptest::collection::vec(0..3u8, 0..4)), 0..4),
            other in proptest::collection::vec(("[a-c]{0,3}", proptest::collection::vec(0..3u8, 0..4)), 0..4),
        ) {
            prop_assert_eq!(one == other, key(&one) == key(&other));
        }

        #[test]
        fn keys_are_read_as_they_are_written(text in "[0-9a-fA-F]{62,66}", values in any::<Vec<u8>>()) {
            let key = key(&[(String::from("x"), values)]);
            prop_assert_eq!(Key::parse(&key.to_string()), Some(key));
            if let Some(read) = Key::parse(&text) {
                prop_assert_eq!(read.to_string(), text);
            }
        }
    }
}

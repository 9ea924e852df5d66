//! What files are called in keys.

use core::fmt::Write as _;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};
use std::string::String;

/// What is uploaded is called so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceName {
    /// Its own name: `{name}`.
    pub name: Option<String>,
    /// Its path: `{path}`.
    pub path: Option<String>,
    /// Whether it was found in a folder that is uploaded as a whole.
    pub is_beneath: bool,
}

impl SourceName {
    /// A file that was named. A path from the root is as one without the `/`, and `..` are kept, for errors
    /// to show.
    pub fn of_file(path: &Path) -> Self {
        Self {
            name: path.file_name().map(|name| encoded(name.as_bytes())),
            path: Some(joined(path)),
            is_beneath: false,
        }
    }

    /// A file in a folder that is uploaded as a whole; `path` leads to it from there.
    pub fn beneath(path: &Path) -> Self {
        Self {
            is_beneath: true,
            ..Self::of_file(path)
        }
    }

    /// Something that is no file, under a name that was given to it.
    pub fn given(name: &OsStr) -> Self {
        let name = encoded(name.as_bytes());
        Self {
            path: Some(name.clone()),
            name: Some(name),
            is_beneath: false,
        }
    }

    /// What goes behind a prefix.
    pub(super) fn rest(&self) -> Option<&str> {
        match self.is_beneath {
            true => self.path.as_deref(),
            false => self.name.as_deref(),
        }
    }
}

fn joined(path: &Path) -> String {
    let mut text = String::new();
    for component in path.components() {
        if matches!(component, Component::RootDir | Component::CurDir) {
            continue;
        }
        if !text.is_empty() {
            text.push('/');
        }
        text += &encoded(component.as_os_str().as_bytes());
    }
    text
}

/// A name as keys have it. Keys are text without control characters: such characters, and bytes that are
/// no UTF-8, become `%` and two hexadecimal digits. So does a `%` before two such digits, so that no two names
/// become the same.
pub fn encoded(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    let escape = |text: &mut String, byte: u8| {
        // Writing into a string does not fail.
        let _ = write!(text, "%{byte:02X}");
    };
    let mut rest = name;
    for chunk in name.utf8_chunks() {
        let valid = chunk.valid();
        for (at, c) in valid.char_indices() {
            let after = &rest[at + c.len_utf8()..];
            let is_escape = c == '%'
                && after
                    .iter()
                    .take(2)
                    .filter(|b| b.is_ascii_hexdigit())
                    .count()
                    == 2;
            if c.is_control() || is_escape {
                let mut buffer = [0; 4];
                let bytes = c.encode_utf8(&mut buffer).as_bytes();
                bytes.iter().for_each(|&byte| escape(&mut text, byte));
            } else {
                text.push(c);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|&byte| escape(&mut text, byte));
        rest = &rest[valid.len() + chunk.invalid().len()..];
    }
    text
}

//! Opening files that were named to us: a directory, a FIFO that nobody writes to or a device without
//! an end must give a sentence, not an endless wait.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use rustix::fs::OFlags;

/// The most bytes that a text may have, far above what people write.
#[cfg_attr(not(feature = "host"), allow(dead_code))]
const MAX_LEN: u64 = 1 << 20;

/// Opens a regular file for reading.
///
/// # Errors
/// [`io::Error`], also if it is something other than a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Without O_NONBLOCK, opening a FIFO that nobody writes to would wait for ever.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        let error = "it is a directory, not a file";
        return Err(io::Error::new(io::ErrorKind::IsADirectory, error));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

/// Reads a regular file of text, of at most 1 MiB.
///
/// # Errors
/// [`io::Error`]: those of [`open`]; of kind `InvalidData` if it is not UTF-8, of kind `FileTooLarge`
/// if it is longer.
#[cfg_attr(not(feature = "host"), allow(dead_code))]
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LEN {
        let error = "it is larger than 1 MiB, too large for a file of settings";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, error));
    }
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "this is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::string::ToString as _;

    #[test]
    fn only_regular_files_of_text_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings");
        let why = |path: &Path| read_text(path).unwrap_err().to_string();
        assert_eq!(why(folder.path()), "it is a directory, not a file");
        assert_eq!(why(Path::new("/dev/zero")), "it is not a regular file");
        assert!(why(&path).contains("No such file"));

        fs::write(&path, "a = 'ü'").unwrap();
        assert_eq!(read_text(&path).unwrap(), "a = 'ü'");
        fs::write(&path, b"a = '\xff'").unwrap();
        assert_eq!(why(&path), "this is not UTF-8");
        fs::write(&path, std::vec![b' '; MAX_LEN as usize]).unwrap();
        assert_eq!(read_text(&path).unwrap().len() as u64, MAX_LEN);
        fs::write(&path, std::vec![b' '; MAX_LEN as usize + 1]).unwrap();
        assert!(why(&path).contains("larger than 1 MiB"));

        let fifo = folder.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, mode, 0).unwrap();
        assert_eq!(why(&fifo), "it is not a regular file");
    }
}

//! The calls, written down beside the module: one line each, of all processes.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process;

const FILE: &str = "calls";

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The process that made it.
    pub process: u32,
    /// The function: `C_Login`.
    pub function: String,
    /// Of its arguments what tests ask for.
    pub detail: String,
}

/// The calls that were made of the module in a folder, in order.
///
/// # Errors
/// [`io::Error`], if the journal cannot be read.
pub fn calls(folder: &Path) -> io::Result<Vec<Call>> {
    let text = match fs::read_to_string(folder.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let call = |line: &str| {
        let mut words = line.splitn(3, ' ');
        Some(Call {
            process: words.next()?.parse().ok()?,
            function: words.next()?.to_owned(),
            detail: words.next()?.to_owned(),
        })
    };
    Ok(text.lines().filter_map(call).collect())
}

pub(crate) fn length(folder: &Path) -> io::Result<u64> {
    match fs::metadata(folder.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        metadata => Ok(metadata?.len()),
    }
}

/// Writes a call down. Gives how many calls of the function there are since that place in the journal,
/// if anyone wants to know (`counting`).
pub(crate) fn record(
    folder: &Path,
    function: &str,
    detail: impl fmt::Display,
    since: u64,
    counting: bool,
) -> io::Result<usize> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(folder.join(FILE))?;
    let line = format!("{} {function} {detail}\n", process::id());
    if !counting {
        file.write_all(line.as_bytes())?;
        return Ok(0);
    }
    // No other process' line may come between writing and counting.
    file.lock()?;
    file.write_all(line.as_bytes())?;
    count(&mut file, function, since)
}

fn count(file: &mut File, function: &str, since: u64) -> io::Result<usize> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(since))?;
    file.read_to_string(&mut text)?;
    let of_function = |line: &&str| line.split(' ').nth(1) == Some(function);
    Ok(text.lines().filter(of_function).count())
}

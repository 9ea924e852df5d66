//! What is read once, standard input and pipes, is kept on disk until S3 has confirmed it: it may have to be sent
//! again.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How much is read at once.
const PIECE: usize = 128 * 1024;

/// How often somebody looks whether it is to be stopped.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Reads standard input to its end, or until `stopped`.
///
/// # Errors
/// As [`keep`].
pub fn keep_stdin(stopped: &dyn Fn() -> bool) -> io::Result<(File, u64)> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    keep(stdin, stopped)
}

/// Reads what is at `path` to its end, or until `stopped`.
///
/// # Errors
/// As [`keep`].
pub fn keep_at(path: &Path, stopped: &dyn Fn() -> bool) -> io::Result<(File, u64)> {
    keep(File::open(path)?, stopped)
}

/// Copies all of it into a file without a name, and gives that with its length.
fn keep(mut from: File, stopped: &dyn Fn() -> bool) -> io::Result<(File, u64)> {
    let mut kept = tempfile::tempfile()?;
    let mut piece = std::vec![0; PIECE];
    let mut length = 0;
    loop {
        let mut waiting = [PollFd::new(&from, PollFlags::IN)];
        let ready = match poll(&mut waiting, Some(&LOOK)) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        // Who writes to it may have been stopped as well: what has come so far is not all.
        if stopped() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if ready == 0 {
            continue;
        }
        match from.read(&mut piece) {
            Ok(0) => return Ok((kept, length)),
            Ok(read) => {
                kept.write_all(&piece[..read])?;
                length += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

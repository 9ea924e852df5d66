//! Who else may read a private key's file.

use std::borrow::ToOwned as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;

use super::Warning;

/// A warning, if others than the file's owner can read or write it. Symbolic links are followed.
///
/// A file of another owner that we may read by its group is one that an administrator shared with us
/// on purpose.
pub fn check(path: &Path) -> Option<Warning> {
    let metadata = path.metadata().ok()?;
    let user = geteuid();
    let too_much = if user.is_root() || metadata.uid() == user.as_raw() {
        0o077
    } else {
        0o027
    };
    let mode = metadata.mode() & 0o7777;
    (mode & too_much != 0).then(|| Warning::Exposed {
        path: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        mode,
        proper: mode & !too_much,
    })
}

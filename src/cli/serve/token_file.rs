//! The file with the token that clients of the container's endpoint send.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::string::String;
use std::{format, vec};

use rustix::fs::{Gid, Mode};
use zeroize::Zeroizing;

use crate::backend::secret::Environment;
use crate::cli::error::{CliError, Exit};
use crate::cli::plan;
use crate::output::serve;

/// Where the token is kept, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFile {
    /// The file.
    pub path: PathBuf,
    /// The group whose members may read it, too.
    pub group: Option<u32>,
}

/// In the folder of the service.
pub fn of_service(environment: &dyn Environment) -> Option<PathBuf> {
    Some(folder(environment, "RUNTIME_DIRECTORY")?.join(NAME))
}

/// In a folder of ours in that of the user, which is in memory and ends with his last session.
pub fn of_user(environment: &dyn Environment) -> Option<PathBuf> {
    Some(
        folder(environment, "XDG_RUNTIME_DIR")?
            .join("keystead")
            .join(NAME),
    )
}

fn folder(environment: &dyn Environment, name: &str) -> Option<PathBuf> {
    let folder = plan::first(&environment.var(name)?)?;
    folder.is_absolute().then_some(folder)
}

const NAME: &str = "serve.token";

impl TokenFile {
    /// The token that is there, or a new one. One that is there is kept if only this program can have put it
    /// there, and nobody else can have read it: so clients survive a restart.
    ///
    /// # Errors
    /// [`CliError`] if there is no token to be had, or the file cannot be written.
    pub fn token(&self) -> Result<Zeroizing<String>, CliError> {
        if let Some(token) = self.kept() {
            return Ok(token);
        }
        let token = serve::new_token()
            .map_err(|_| CliError::new(Exit::Internal, "the system has no randomness", ""))?;
        self.write(&token).map_err(|error| {
            CliError::new(
                Exit::Internal,
                format!(
                    "{}: the token cannot be written: {error}",
                    self.path.display()
                ),
                "--token-file FILE names another place",
            )
        })?;
        Ok(token)
    }

    fn mode(&self) -> u32 {
        if self.group.is_some() { 0o640 } else { 0o600 }
    }

    fn kept(&self) -> Option<Zeroizing<String>> {
        let flags = rustix::fs::OFlags::RDONLY
            | rustix::fs::OFlags::NOFOLLOW
            | rustix::fs::OFlags::NONBLOCK
            | rustix::fs::OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::open(&self.path, flags, Mode::empty()).ok()?);
        let metadata = file.metadata().ok()?;
        let is_ours = metadata.is_file()
            && metadata.nlink() == 1
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.mode() & 0o7777 == self.mode()
            && self.group.is_none_or(|group| metadata.gid() == group);
        if !is_ours {
            return None;
        }
        let mut bytes = Zeroizing::new(vec![0; MAX_LEN]);
        let len = read_up_to(&mut file, &mut bytes).ok()?;
        let token = core::str::from_utf8(bytes.get(..len)?).ok()?;
        serve::is_token(token.as_bytes()).then(|| Zeroizing::new(String::from(token)))
    }

    /// Puts the token in its place in one step: who reads it finds the old one or the new one. There is no
    /// newline at its end, which some SDKs would send with it.
    fn write(&self, token: &str) -> io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        if !folder.exists() {
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        if fs::symlink_metadata(&self.path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::other("something else than a file is there"));
        }
        let name = self.path.file_name().unwrap_or(OsStr::new(NAME));
        let mut prefix = name.to_os_string();
        prefix.push(".");
        // It is readable by its owner alone until it has its group.
        let mut file = tempfile::Builder::new()
            .prefix(&prefix)
            .tempfile_in(folder)?;
        // What belongs to the group already needs no right to be given to it.
        if let Some(group) = self.group
            && file.as_file().metadata()?.gid() != group
        {
            rustix::fs::fchown(file.as_file(), None, Some(Gid::from_raw(group)))?;
        }
        rustix::fs::fchmod(file.as_file(), Mode::from_raw_mode(self.mode()))?;
        file.write_all(token.as_bytes())?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// A token, and one byte more, to see that there is none.
const MAX_LEN: usize = 65;

fn read_up_to(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < bytes.len() {
        match file.read(&mut bytes[len..])? {
            0 => break,
            more => len += more,
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn file(folder: &tempfile::TempDir) -> TokenFile {
        TokenFile {
            path: folder.path().join("below").join("token"),
            group: None,
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_token_without_a_newline_that_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let token = file.token().unwrap();
        assert_eq!(fs::read_to_string(&file.path).unwrap(), *token);
        assert!(serve::is_token(token.as_bytes()));
        assert_eq!(mode(&file.path), 0o600);
        assert_eq!(mode(file.path.parent().unwrap()), 0o700);
        assert_eq!(file.token().unwrap(), token);
        // Nothing else is left in the folder.
        assert_eq!(
            fs::read_dir(file.path.parent().unwrap()).unwrap().count(),
            1
        );
    }

    #[test]
    fn what_others_may_have_seen_or_written_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(&folder);
        let first = file.token().unwrap();
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o644)).unwrap();
        let second = file.token().unwrap();
        assert_ne!(second, first);
        assert_eq!(mode(&file.path), 0o600);
        for text in ["", "short", &format!("{}\n", *second), &"x".repeat(64)] {
            fs::write(&file.path, text).unwrap();
            let next = file.token().unwrap();
            assert_eq!(fs::read_to_string(&file.path).unwrap(), *next);
        }
        fs::hard_link(&file.path, folder.path().join("other")).unwrap();
        let before = fs::read_to_string(&file.path).unwrap();
        assert_ne!(*file.token().unwrap(), before);
    }

    #[test]
    fn nothing_else_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let link = folder.path().join("link");
        fs::write(&target, "kept").unwrap();
        symlink(&target, &link).unwrap();
        for path in [link, folder.path().into()] {
            let file = TokenFile { path, group: None };
            let error = file.token().unwrap_err();
            assert!(error.what.contains("something else"), "{error}");
        }
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    }

    #[test]
    fn a_group_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let own = rustix::process::getegid().as_raw();
        let file = TokenFile {
            path: folder.path().join("token"),
            group: Some(own),
        };
        let token = file.token().unwrap();
        assert_eq!(mode(&file.path), 0o640);
        assert_eq!(fs::metadata(&file.path).unwrap().gid(), own);
        assert_eq!(file.token().unwrap(), token);
        // Without the group it is another file's mode: a new token.
        let alone = TokenFile {
            group: None,
            ..file
        };
        assert_ne!(alone.token().unwrap(), token);
    }
}

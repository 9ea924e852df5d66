//! The certificate that keys are made with, which may be renewed while the program runs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::error::CliError;
use crate::host::key_template::CertificateFacts;

/// Reads a certificate.
type Read = fn(&Path) -> Result<CertificateFacts, CliError>;

/// A certificate in a file. Its clones are the same one.
#[derive(Debug, Clone)]
pub struct OwnCertificate {
    path: PathBuf,
    read: Read,
    known: Arc<Mutex<(Version, CertificateFacts)>>,
}

/// What tells one state of a file from another: its number, its length, and the time of its last change.
type Version = Option<(u64, u64, i64, i64)>;

impl OwnCertificate {
    /// The one in the file at `path`.
    ///
    /// # Errors
    /// [`CliError`] if it cannot be read.
    pub fn open(path: &Path, read: Read) -> Result<Self, CliError> {
        // First how it looks: if it changes meanwhile it is read once more.
        let version = version(path);
        Ok(Self {
            path: path.into(),
            read,
            known: Arc::new(Mutex::new((version, read(path)?))),
        })
    }

    /// What is in it now; as long as that cannot be read, what was in it.
    pub fn facts(&self) -> CertificateFacts {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let now = version(&self.path);
        if now != known.0
            && let Ok(facts) = (self.read)(&self.path)
        {
            *known = (now, facts);
        }
        known.1.clone()
    }
}

fn version(path: &Path) -> Version {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::error::Exit;
    use std::string::String;

    fn of_text(path: &Path) -> Result<CertificateFacts, CliError> {
        match fs::read_to_string(path) {
            Ok(serial) if !serial.is_empty() => Ok(CertificateFacts {
                common_name: None,
                serial,
            }),
            _ => Err(CliError::new(Exit::Key, String::new(), "")),
        }
    }

    #[test]
    fn a_renewed_certificate_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.pem");
        assert!(OwnCertificate::open(&path, of_text).is_err());
        fs::write(&path, "01").unwrap();
        let certificate = OwnCertificate::open(&path, of_text).unwrap();
        assert_eq!(certificate.facts().serial, "01");
        // As whoever renews it does.
        let new = folder.path().join("new.pem");
        fs::write(&new, "02").unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(certificate.facts().serial, "02");
        // Half written, and gone.
        fs::write(&path, "").unwrap();
        assert_eq!(certificate.facts().serial, "02");
        fs::remove_file(&path).unwrap();
        assert_eq!(certificate.clone().facts().serial, "02");
        fs::write(&path, "003").unwrap();
        assert_eq!(certificate.facts().serial, "003");
    }
}

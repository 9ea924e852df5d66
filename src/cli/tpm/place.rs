//! A TPM's key that was named: by a `tpm:` URI, in the form of AWS's helper, or by its file.

use core::fmt;
use std::borrow::{Cow, ToOwned as _};
use std::format;
use std::io::{self, Read as _};
use std::path::Path;
use std::string::{String, ToString as _};
use std::vec::Vec;

use crate::backend::regular_file;
use crate::backend::secret::{SecretSource, UnknownSource};
use crate::backend::tpm::{KeyName, KeyPlace, SaltKey, Uri, key_file};
use crate::cli::error::{CliError, Exit};
use crate::cli::sources::Found;

/// The most that is read of a key file; real ones have less than 4 KiB.
const MAX_LEN: u64 = 1 << 20;

/// A key in a TPM.
#[derive(Debug, Clone)]
pub struct TpmPlace {
    /// Which key; a file with its whole path.
    pub key: KeyName,
    /// How the TPM is reached.
    pub tcti: Option<String>,
    /// Where its auth value comes from.
    pub auth: Option<SecretSource>,
    /// Where its parent's comes from.
    pub parent_auth: Option<SecretSource>,
    /// The key that sessions are salted to.
    pub salt: Option<SaltKey>,
}

impl TpmPlace {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`CliError`], a usage error that does not repeat what may be a secret.
    pub fn new(found: &Found) -> Result<Self, CliError> {
        let uri: Uri = found
            .text()?
            .parse()
            .map_err(|error| found.invalid(error))?;
        let source = |name, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| source(found, name, text)).transpose()
        };
        let key = match uri.key {
            KeyName::Handle(handle) => KeyName::Handle(handle),
            KeyName::File(path) => KeyName::File(found.beside(&path)),
        };
        Ok(Self {
            key,
            tcti: uri.tcti,
            auth: source("auth-source", &uri.auth_source)?,
            parent_auth: source("parent-auth-source", &uri.parent_auth_source)?,
            salt: uri.salt,
        })
    }

    /// The key in a file, if it is a `TSS2 PRIVATE KEY`.
    pub fn in_file(path: &Path) -> Option<Self> {
        let contents = read(path).ok()?;
        key_file::is_key_file(&contents).then(|| Self {
            key: KeyName::File(path.into()),
            tcti: None,
            auth: None,
            parent_auth: None,
            salt: None,
        })
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match &self.key {
            KeyName::Handle(_) => None,
            KeyName::File(path) => Some(path),
        }
    }

    /// What is opened.
    ///
    /// # Errors
    /// [`CliError`] if its file cannot be read.
    pub fn contents(&self) -> Result<KeyPlace, CliError> {
        match &self.key {
            KeyName::Handle(handle) => Ok(KeyPlace::Handle(*handle)),
            KeyName::File(path) => {
                let name = path.display().to_string();
                match read(path) {
                    Ok(contents) => Ok(KeyPlace::File { name, contents }),
                    Err(error) => Err(CliError::new(Exit::Key, format!("{name}: {error}"), "")),
                }
            }
        }
    }
}

/// Without any secret.
impl fmt::Display for TpmPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            KeyName::Handle(handle) => write!(f, "tpm:handle={handle:#010x}"),
            KeyName::File(path) => path.display().fmt(f),
        }
    }
}

fn source(found: &Found, name: &str, text: &str) -> Result<SecretSource, CliError> {
    // It is not repeated: it may be the secret itself, put there by mistake.
    let mut source: SecretSource = text
        .parse()
        .map_err(|error: UnknownSource| found.invalid(format!("{name}: {error}")))?;
    if let SecretSource::File(path) = &mut source {
        *path = found.beside(path);
    }
    Ok(source)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    let file = regular_file::open(path)?;
    file.take(MAX_LEN + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > MAX_LEN {
        let error = "it is larger than 1 MiB, too large for a key";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, error));
    }
    Ok(contents)
}

/// A URI as it may be shown: with the sources of auth values, but with nothing that may be one.
pub fn shown(text: &str) -> Cow<'_, str> {
    let Ok(mut uri) = text.parse::<Uri>() else {
        // An auth value may be anywhere in what cannot be read.
        return if text.starts_with("handle:") {
            "handle:…".into()
        } else {
            "tpm:…".into()
        };
    };
    if uri.auth_source.is_none() && uri.parent_auth_source.is_none() {
        return text.into();
    }
    let sources = [&mut uri.auth_source, &mut uri.parent_auth_source];
    for text in sources.into_iter().flatten() {
        let known = text.parse::<SecretSource>();
        *text = known.map_or_else(|_| "…".to_owned(), |known| known.to_string());
    }
    uri.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_holds_no_auth_value() {
        for (text, is) in [
            ("tpm:handle=0x81000011", "tpm:handle=0x81000011"),
            ("handle:0x81000011", "handle:0x81000011"),
            ("tpm:file=a;tcti=tabrmd", "tpm:file=a;tcti=tabrmd"),
            (
                "tpm:file=a?auth-source=cred:hub&parent-auth-source=hunter2",
                "tpm:file=a;auth-source=cred:hub;parent-auth-source=…",
            ),
            (
                "tpm:file=a;auth-source=cmd:pass -k hunter2",
                "tpm:file=a;auth-source=cmd:pass …",
            ),
            ("tpm:file=a;auth=hunter2", "tpm:…"),
            ("tpm:file=a;AUTH-SOURCE=hunter2", "tpm:…"),
            ("TPM:file=a;auth-source=hunter2;auth-source=x", "tpm:…"),
            ("handle:hunter2", "handle:…"),
        ] {
            assert_eq!(shown(text), is);
        }
    }
}

//! PINs and passwords, and where they come from.

mod command;
mod prompt;
mod refused;
mod refused_record;
mod source;

pub use command::words;
pub use prompt::terminal;
pub use refused::{DeviceLock, LockError, RefusedSecrets};
pub use source::{SecretSource, UnknownSource};

use core::fmt;
use std::ffi::OsString;
use std::io::{self, Read};
use std::string::String;
use std::vec::Vec;

use zeroize::Zeroizing;

/// A PIN or password. Its memory is cleared when it is dropped, and its `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The most bytes that a source may give.
    pub const MAX_LEN: usize = 4096;

    /// Takes over the bytes of a secret.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Reads up to the end of `reader` and takes the first line, without its LF or CRLF. An empty
    /// line is an empty secret.
    fn first_line(reader: impl Read) -> io::Result<Self> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::MAX_LEN + 1));
        reader
            .take(Self::MAX_LEN as u64 + 1)
            .read_to_end(&mut bytes)?;
        if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            bytes.truncate(end);
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        if bytes.len() > Self::MAX_LEN {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "its first line is longer than 4096 bytes",
            ));
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The environment variables of the process, which a library does not look up by itself.
pub trait Environment {
    /// The value of a variable; `None` if it is not set.
    fn var(&self, name: &str) -> Option<OsString>;

    /// The names of the variables that hold secrets. Programs that are started do not inherit them.
    fn secret_variables(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Why a source gave no secret. The secret itself is never in it.
#[derive(Debug)]
pub struct SecretError {
    what: String,
    source: String,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Io(io::Error),
    NotSet,
    OpenQuote,
    NoCredentials,
    BadName,
    Command(std::process::ExitStatus),
    NoTerminal(io::Error),
    Cancelled,
    #[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
    Relayed {
        sentence: String,
        cancelled: bool,
    },
}

impl SecretError {
    /// Whether a person at the terminal declined to answer.
    pub fn is_cancelled(&self) -> bool {
        match self.reason {
            #[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
            Reason::Relayed { cancelled, .. } => cancelled,
            Reason::Cancelled => true,
            _ => false,
        }
    }

    /// Its source and its reason, for a sentence that says by itself what cannot be read.
    pub fn in_brief(&self) -> impl fmt::Display + '_ {
        InBrief(self)
    }

    /// An error of another process: what it was there, [in brief](Self::in_brief).
    #[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
    pub(crate) fn relayed(sentence: String, cancelled: bool) -> Self {
        Self {
            what: String::new(),
            source: String::new(),
            reason: Reason::Relayed {
                sentence,
                cancelled,
            },
        }
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what.as_str() {
            "" => {}
            what => write!(f, "the {what} cannot be read from ")?,
        }
        self.in_brief().fmt(f)
    }
}

struct InBrief<'a>(&'a SecretError);

impl fmt::Display for InBrief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source.as_str() {
            "" => {}
            source => write!(f, "{source}: ")?,
        }
        match &self.0.reason {
            #[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
            Reason::Relayed { sentence, .. } => f.write_str(sentence),
            Reason::Io(error) => error.fmt(f),
            Reason::NotSet => f.write_str("the variable is not set"),
            Reason::OpenQuote => f.write_str("a quote is not closed"),
            Reason::NoCredentials => {
                f.write_str("CREDENTIALS_DIRECTORY is not set, so systemd passed no credentials")
            }
            Reason::BadName => f.write_str("a credential's name has no slash and is not empty"),
            Reason::Command(status) => write!(f, "the command failed ({status})"),
            Reason::NoTerminal(error) => write!(f, "there is no terminal to ask on ({error})"),
            Reason::Cancelled => f.write_str("the question was cancelled"),
        }
    }
}

impl core::error::Error for SecretError {}

impl From<io::ErrorKind> for Reason {
    fn from(kind: io::ErrorKind) -> Self {
        Self::Io(kind.into())
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, vec};

    #[test]
    fn only_the_first_line_counts() {
        let read = |text: &'static [u8]| Secret::first_line(text).unwrap().expose().to_vec();
        assert_eq!(read(b"1234"), b"1234");
        assert_eq!(read(b"1234\n"), b"1234");
        assert_eq!(read(b"1234\r\nnotes\n"), b"1234");
        assert_eq!(read(b" 12\t34 \n"), b" 12\t34 ");
        assert_eq!(read(b""), b"");
        assert_eq!(read(b"\n1234"), b"");
    }

    #[test]
    fn a_line_without_end_is_refused() {
        assert!(Secret::first_line(&*vec![b'x'; Secret::MAX_LEN]).is_ok());
        assert!(Secret::first_line(&*vec![b'x'; Secret::MAX_LEN + 1]).is_err());
    }

    #[test]
    fn debug_hides_it() {
        assert_eq!(format!("{:?}", Secret::new(b"1234".to_vec())), "Secret(…)");
    }
}

//! The forms in which a configuration names a secret.

use core::fmt;
use core::str::FromStr;
use std::borrow::ToOwned;
use std::fs::File;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::{format, io};

use super::{Environment, Reason, Secret, SecretError, command, prompt};

/// Where a secret comes from. Of files, descriptors, credentials and commands the first line counts.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// `file:PATH`.
    File(PathBuf),
    /// `env:NAME`: an environment variable, as it is.
    Env(String),
    /// `fd:N`: a descriptor that the process inherited, read to its end.
    Fd(i32),
    /// `cred:NAME`: a systemd credential, a file in `$CREDENTIALS_DIRECTORY`.
    Cred(String),
    /// `cmd:PROGRAM ARGUMENTS…`: what a program (a pinentry, a password manager) prints. There is no
    /// shell: words are separated by blanks, and single or double quotes keep blanks together.
    Cmd(String),
    /// `prompt`: asks on the terminal.
    Prompt,
    /// The secret itself, from one of the reference helper's password flags. It has no text form.
    Literal(Secret),
}

impl SecretSource {
    /// The environment variable that holds the secret, if one does: what
    /// [`Environment::secret_variables`] lists.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Env(name) => Some(name),
            _ => None,
        }
    }

    /// Reads the secret. `what` says which one it is, for the prompt and in errors: `password of
    /// hub.key`. An empty secret is one.
    ///
    /// # Errors
    /// [`SecretError`], if there is no answer or it is longer than [`Secret::MAX_LEN`].
    pub fn read(&self, what: &str, env: &dyn Environment) -> Result<Secret, SecretError> {
        self.read_from(what, env).map_err(|reason| SecretError {
            what: what.to_owned(),
            source: self.to_string(),
            reason,
        })
    }

    fn read_from(&self, what: &str, env: &dyn Environment) -> Result<Secret, Reason> {
        match self {
            Self::File(path) => read_file(path),
            Self::Env(name) => {
                let value = env.var(name).ok_or(Reason::NotSet)?.into_vec();
                if value.len() > Secret::MAX_LEN {
                    return Err(io::ErrorKind::FileTooLarge.into());
                }
                Ok(Secret::new(value))
            }
            // Opening it by this name needs no unsafe code and works for pipes and files alike.
            Self::Fd(fd) if cfg!(target_os = "linux") => {
                read_file(Path::new(&format!("/proc/self/fd/{fd}")))
            }
            Self::Fd(fd) => read_file(Path::new(&format!("/dev/fd/{fd}"))),
            Self::Cred(name) => {
                if name.is_empty() || name == ".." || name.contains('/') {
                    return Err(Reason::BadName);
                }
                let directory = env
                    .var("CREDENTIALS_DIRECTORY")
                    .ok_or(Reason::NoCredentials)?;
                read_file(&Path::new(&directory).join(name))
            }
            Self::Cmd(line) => command::read(line, &env.secret_variables()),
            Self::Prompt => prompt::read(what),
            Self::Literal(secret) => Ok(secret.clone()),
        }
    }
}

fn read_file(path: &Path) -> Result<Secret, Reason> {
    Ok(Secret::first_line(File::open(path)?)?)
}

/// For people: the form that [`FromStr`] reads, without what may itself be secret, such as a command's
/// arguments.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Fd(fd) => write!(f, "fd:{fd}"),
            Self::Cred(name) => write!(f, "cred:{name}"),
            Self::Cmd(line) => {
                let mut words = line.split_ascii_whitespace();
                write!(f, "cmd:{}", words.next().unwrap_or_default())?;
                f.write_str(if words.next().is_some() { " …" } else { "" })
            }
            Self::Prompt => f.write_str("prompt"),
            Self::Literal(_) => f.write_str("the command line"),
        }
    }
}

impl FromStr for SecretSource {
    type Err = UnknownSource;

    fn from_str(text: &str) -> Result<Self, UnknownSource> {
        if text == "prompt" {
            return Ok(Self::Prompt);
        }
        match text.split_once(':') {
            Some((_, "")) => Err(UnknownSource),
            Some(("file", path)) => Ok(Self::File(path.into())),
            Some(("env", name)) => Ok(Self::Env(name.to_owned())),
            Some(("fd", number)) => match number.parse() {
                Ok(fd @ 0..) => Ok(Self::Fd(fd)),
                _ => Err(UnknownSource),
            },
            Some(("cred", name)) => Ok(Self::Cred(name.to_owned())),
            Some(("cmd", line)) => Ok(Self::Cmd(line.to_owned())),
            _ => Err(UnknownSource),
        }
    }
}

/// A text names no source. It is not repeated: it may be the secret itself, put there by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownSource;

impl fmt::Display for UnknownSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a secret's source is one of file:PATH, env:NAME, fd:NUMBER, cred:NAME, cmd:PROGRAM, prompt",
        )
    }
}

impl core::error::Error for UnknownSource {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    use std::vec::Vec;
    use std::{fs, vec};

    struct Variables(BTreeMap<&'static str, OsString>);

    impl Environment for Variables {
        fn var(&self, name: &str) -> Option<OsString> {
            self.0.get(name).cloned()
        }
        fn secret_variables(&self) -> Vec<String> {
            vec!["CARGO_MANIFEST_DIR".to_owned()]
        }
    }

    fn read(source: &str, env: &Variables) -> Result<Vec<u8>, String> {
        let source: SecretSource = source.parse().map_err(|e: UnknownSource| e.to_string())?;
        source
            .read("password of hub.key", env)
            .map(|secret| secret.expose().to_vec())
            .map_err(|error| error.to_string())
    }

    fn no_variables() -> Variables {
        Variables(BTreeMap::new())
    }

    #[test]
    fn files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        let source = format!("file:{}", path.display());
        let error = read(&source, &no_variables()).unwrap_err();
        assert!(error.starts_with("the password of hub.key cannot be read from file:"));
        assert!(error.contains("No such file"), "{error}");
        fs::write(&path, "12:34\nsecond line").unwrap();
        assert_eq!(read(&source, &no_variables()).unwrap(), b"12:34");
        fs::write(&path, "").unwrap();
        assert_eq!(read(&source, &no_variables()).unwrap(), b"");
        let source = format!("file:{}", directory.path().display());
        assert!(
            read(&source, &no_variables())
                .unwrap_err()
                .contains("directory")
        );
    }

    #[test]
    fn variables_and_credentials() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("hub-auth"), "5678\n").unwrap();
        let env = Variables(BTreeMap::from([
            ("PIN", "1234\n".into()),
            ("EMPTY", "".into()),
            (
                "CREDENTIALS_DIRECTORY",
                directory.path().as_os_str().to_owned(),
            ),
        ]));
        assert_eq!(read("env:PIN", &env).unwrap(), b"1234\n");
        assert_eq!(read("env:EMPTY", &env).unwrap(), b"");
        assert!(read("env:NONE", &env).unwrap_err().contains("not set"));
        assert_eq!(read("cred:hub-auth", &env).unwrap(), b"5678");
        assert!(read("cred:../hub-auth", &env).is_err());
        assert!(read("cred:..", &env).is_err());
        let error = read("cred:hub-auth", &no_variables()).unwrap_err();
        assert!(error.contains("CREDENTIALS_DIRECTORY"), "{error}");
    }

    #[test]
    fn descriptors() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"1234\n").unwrap();
        drop(writer);
        let source = format!("fd:{}", reader.as_raw_fd());
        assert_eq!(read(&source, &no_variables()).unwrap(), b"1234");
        assert!(read("fd:987654", &no_variables()).is_err());
    }

    #[test]
    fn commands() {
        let env = no_variables();
        assert_eq!(
            read("cmd:/bin/echo 'two  words' \"it's\"", &env).unwrap(),
            b"two  words it's"
        );
        let error = read("cmd:/bin/false hunter2", &env).unwrap_err();
        assert!(
            error.ends_with("cmd:/bin/false …: the command failed (exit status: 1)"),
            "{error}"
        );
        assert!(
            read("cmd:/no/such/program", &env)
                .unwrap_err()
                .contains("No such file")
        );
        // Cargo sets both; the child inherits one of them.
        assert_eq!(
            read(
                "cmd:/bin/sh -c 'echo ${CARGO_PKG_NAME-none} ${CARGO_MANIFEST_DIR-none}'",
                &env
            )
            .unwrap(),
            b"keystead none"
        );
    }

    #[test]
    fn other_texts_name_no_source_and_are_not_repeated() {
        for text in [
            "",
            "hunter2",
            "file:",
            "fd:x",
            "fd:-1",
            "pass:1234",
            "PROMPT",
        ] {
            let error = text.parse::<SecretSource>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"));
            assert!(error.contains("file:PATH"));
        }
        for text in ["file:/a:b", "env:PIN", "fd:3", "cred:x", "cmd:a", "prompt"] {
            assert_eq!(text.parse::<SecretSource>().unwrap().to_string(), text);
        }
    }
}

//! Where a setting comes from: flags over environment over `keystead.toml`.
//!
//! The file is read only when it is asked for (`--config`, `--identity` or their variables) or when
//! flags and environment leave open what a command cannot do without. So a complete command line does
//! the same on every machine, and nothing is read that is not needed.

use core::fmt;
use std::borrow::ToOwned as _;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;
use std::{format, io, vec};

use super::context::Context;
use super::error::CliError;
use super::flags::Given;
use super::{flags, place};
use crate::backend::regular_file;
use crate::backend::secret::{Environment, SecretSource};
use crate::host::config::{Config, IdentityConfig, Setting};

/// A setting's value, and who says so.
pub struct Found {
    setting: Setting,
    /// The value; never empty.
    pub value: OsString,
    /// Who says so.
    pub origin: Origin,
}

/// Where a value was found.
pub enum Origin {
    /// An argument without a flag, by the name that the help has for it.
    Argument(&'static str),
    /// A flag, by its name without dashes.
    Flag(&'static str),
    /// An environment variable.
    Variable(String),
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
        }
    }
}

impl Found {
    /// What stands on the command line without a flag.
    pub fn argument(name: &'static str, value: OsString) -> Self {
        Self {
            setting: Setting::Key,
            value,
            origin: Origin::Argument(name),
        }
    }

    /// The value as it may be shown. What can hold a secret, if only by mistake, is left out.
    pub fn shown(&self) -> String {
        let text = self.value.to_string_lossy();
        match self.setting {
            Setting::PasswordSource | Setting::ParentAuthSource | Setting::OwnerAuthSource
                if text.parse::<SecretSource>().is_err() =>
            {
                String::from("…")
            }
            Setting::Proxy => match text.rsplit_once('@') {
                Some((_, host)) => format!("…@{host}"),
                None => text.into_owned(),
            },
            _ => place::shown(&text),
        }
    }

    /// The error for a value that cannot be used.
    pub fn invalid(&self, why: impl fmt::Display) -> CliError {
        CliError::usage(format!("{}: `{}`: {why}", self.origin, self.shown()), "")
    }

    /// The value as text.
    ///
    /// # Errors
    /// [`CliError`] if it is not UTF-8.
    pub fn text(&self) -> Result<&str, CliError> {
        self.value
            .to_str()
            .ok_or_else(|| self.invalid("this is not UTF-8"))
    }

    /// As a path, with or without `file:` before it.
    pub fn path(&self) -> PathBuf {
        let value = self.value.as_bytes();
        let value = OsStr::from_bytes(value.strip_prefix(b"file:").unwrap_or(value));
        self.beside(Path::new(value))
    }

    /// A path that this value names. One in a file is relative to the file's folder: the folder that a
    /// program is started in says nothing about it.
    pub fn beside(&self, path: &Path) -> PathBuf {
        match &self.origin {
            Origin::File { path: file, .. } => file.parent().unwrap_or(Path::new("")).join(path),
            Origin::Argument(_) | Origin::Flag(_) | Origin::Variable(_) => path.into(),
        }
    }
}

/// All sources of settings, in their order.
pub struct Sources<'a> {
    flags: &'a dyn Given,
    environment: &'a dyn Environment,
    /// The identity, where the command says which, instead of `--identity`.
    chosen: Option<&'a str>,
    file: Option<File>,
}

/// The identity of the file that is used.
struct File {
    path: PathBuf,
    identity: IdentityConfig,
}

impl<'a> Sources<'a> {
    /// Flags and variables.
    pub fn new(flags: &'a dyn Given, context: &Context<'a>) -> Self {
        Self::of_identity(flags, None, context)
    }

    /// The same, of the identity `chosen` of the file instead of the one that flags and environment name.
    pub fn of_identity(
        flags: &'a dyn Given,
        chosen: Option<&'a str>,
        context: &Context<'a>,
    ) -> Self {
        Self {
            flags,
            environment: context.environment,
            chosen,
            file: None,
        }
    }

    /// The same sources, with the configuration file if it is asked for or one of `required` is
    /// missing.
    ///
    /// # Errors
    /// [`CliError`] if a file or an identity was asked for and is not there, or the file is wrong.
    pub fn completed(self, required: &[Setting]) -> Result<Self, CliError> {
        let is_asked_for = self.identity().is_some() || self.path().is_some();
        let is_complete = required.iter().all(|&setting| self.get(setting).is_some());
        if is_complete && !is_asked_for {
            return Ok(self);
        }
        self.with_file(is_complete)
    }

    /// The configuration file, if it is asked for or one of `required` is missing: what it says beside
    /// identities.
    ///
    /// # Errors
    /// [`CliError`] if it was asked for and is not there, or is wrong.
    #[cfg(feature = "http-server")]
    pub fn document(&self, required: &[Setting]) -> Result<Option<(PathBuf, Config)>, CliError> {
        let is_asked_for = self.identity().is_some() || self.path().is_some();
        let is_complete = required.iter().all(|&setting| self.get(setting).is_some());
        if is_complete && !is_asked_for {
            return Ok(None);
        }
        open(self.path(), self.environment)
    }

    /// The configuration file, if there is one.
    ///
    /// # Errors
    /// [`CliError`] if it was asked for and is not there, or is wrong.
    #[cfg(feature = "http-server")]
    pub fn any_document(&self) -> Result<Option<(PathBuf, Config)>, CliError> {
        open(self.path(), self.environment)
    }

    /// The same sources with each identity that could be meant: the one that is named, or all of the
    /// file in turn. Without a file, these alone.
    ///
    /// # Errors
    /// As [`completed`](Self::completed).
    pub fn for_each_identity(self) -> Result<Vec<Self>, CliError> {
        if self.identity().is_some() {
            return Ok(vec![self.with_file(false)?]);
        }
        let (path, identities) = match open(self.path(), self.environment)? {
            Some((path, config)) if !config.identities().is_empty() => {
                (path, config.into_identities())
            }
            _ => return Ok(vec![self]),
        };
        let all = identities.into_iter().map(|identity| Self {
            file: Some(File {
                path: path.clone(),
                identity,
            }),
            ..self
        });
        Ok(all.collect())
    }

    /// The same sources, with the configuration file if there is one. Where they are complete, nobody
    /// has to choose one of several identities: none of them is used.
    fn with_file(mut self, is_complete: bool) -> Result<Self, CliError> {
        let identity = self.identity();
        let Some((path, config)) = open(self.path(), self.environment)? else {
            return match identity {
                None => Ok(self),
                Some(name) => Err(no_file(&name)),
            };
        };
        let is_optional = match config.identities() {
            [] => true,
            [_] => false,
            _ => is_complete,
        };
        if identity.is_none() && is_optional {
            return Ok(self);
        }
        let name = identity.as_deref().map(OsStr::to_string_lossy);
        let identity = config.into_identity(name.as_deref()).map_err(|error| {
            CliError::usage(
                format!("{}: {error}", path.display()),
                "--identity NAME or KEYSTEAD_IDENTITY chooses one",
            )
        })?;
        self.file = Some(File { path, identity });
        Ok(self)
    }

    fn identity(&self) -> Option<OsString> {
        match self.chosen {
            Some(name) => Some(name.into()),
            None => self.general("identity", "KEYSTEAD_IDENTITY"),
        }
    }

    fn path(&self) -> Option<PathBuf> {
        self.general("config", "KEYSTEAD_CONFIG").map(PathBuf::from)
    }

    /// The file that is read, and its identity that is used.
    pub fn configuration(&self) -> Option<(&Path, &IdentityConfig)> {
        let file = self.file.as_ref()?;
        Some((&file.path, &file.identity))
    }

    /// What a setting is, if anyone says so.
    pub fn get(&self, setting: Setting) -> Option<Found> {
        if let Some(value) = self.flags.value(setting.name()) {
            return Some(Found {
                setting,
                value: value.to_owned(),
                origin: Origin::Flag(setting.name()),
            });
        }
        let also = match setting {
            Setting::CaBundle => Some("AWS_CA_BUNDLE"),
            Setting::StateDir => Some("STATE_DIRECTORY"),
            _ => None,
        };
        for name in [Some(setting.variable()), also.map(String::from)] {
            let Some(name) = name else { continue };
            if let Some(value) = variable(self.environment, &name) {
                return Some(Found {
                    setting,
                    value,
                    origin: Origin::Variable(name),
                });
            }
        }
        let (path, identity) = self.configuration()?;
        let value = identity.value(setting)?;
        (!value.text.is_empty()).then(|| Found {
            setting,
            value: value.text.clone().into(),
            origin: Origin::File {
                path: path.to_owned(),
                line: value.line,
            },
        })
    }

    /// The variables of settings whose values are secrets, or have some in them.
    #[cfg(feature = "serve")]
    pub fn secret_variables(&self) -> Vec<String> {
        let holds_secret = |setting: &Setting| {
            let found = Found {
                setting: *setting,
                value: variable(self.environment, &setting.variable())?,
                origin: Origin::Variable(setting.variable()),
            };
            (found.value != *found.shown()).then(|| setting.variable())
        };
        Setting::ALL.iter().filter_map(holds_secret).collect()
    }

    /// A setting that is text.
    ///
    /// # Errors
    /// [`CliError`] if it is not UTF-8.
    pub fn text(&self, setting: Setting) -> Result<Option<String>, CliError> {
        self.parsed(setting, |text| Ok::<_, fmt::Error>(String::from(text)))
    }

    /// A setting that is a path.
    pub fn file(&self, setting: Setting) -> Option<PathBuf> {
        self.get(setting).map(|found| found.path())
    }

    /// A setting that is true or false; false if nobody says anything.
    ///
    /// # Errors
    /// [`CliError`] if it is neither.
    pub fn switch(&self, setting: Setting) -> Result<bool, CliError> {
        let Some(found) = self.get(setting) else {
            return Ok(false);
        };
        flags::parse_switch(&found.value)
            .ok_or_else(|| found.invalid("this is neither true nor false"))
    }

    /// A setting that `parse` reads.
    ///
    /// # Errors
    /// [`CliError`] with what `parse` says.
    pub fn parsed<T, E: fmt::Display>(
        &self,
        setting: Setting,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, CliError> {
        let Some(found) = self.get(setting) else {
            return Ok(None);
        };
        match parse(found.text()?) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(found.invalid(error)),
        }
    }

    /// Asserts that someone says what `required` are.
    ///
    /// # Errors
    /// [`CliError`], naming those of which nobody says anything.
    pub fn require(&self, required: &[Setting]) -> Result<(), CliError> {
        let is_missing = |setting: &&Setting| self.get(**setting).is_none();
        let missing: Vec<&Setting> = required.iter().filter(is_missing).collect();
        let Some(first) = missing.first() else {
            return Ok(());
        };
        let names: Vec<&str> = missing.iter().map(|setting| setting.name()).collect();
        let place = match self.configuration() {
            Some((path, identity)) => {
                format!("[identity.{}] of {}", identity.name(), path.display())
            }
            None => String::from("[identity.NAME] of keystead.toml"),
        };
        let (first, variable) = (first.name(), first.variable());
        Err(CliError::usage(
            format!("not given: {}", names.join(", ")),
            format!("give --{first}, set {variable}, or write `{first} = …` into {place}"),
        ))
    }

    fn general(&self, flag: &str, name: &str) -> Option<OsString> {
        self.flags
            .value(flag)
            .map(OsStr::to_owned)
            .or_else(|| variable(self.environment, name))
    }
}

/// A variable of the environment; an empty one counts as none.
fn variable(environment: &dyn Environment, name: &str) -> Option<OsString> {
    environment.var(name).filter(|value| !value.is_empty())
}

fn open(
    named: Option<PathBuf>,
    environment: &dyn Environment,
) -> Result<Option<(PathBuf, Config)>, CliError> {
    let candidates = match named {
        Some(path) => {
            let config = read(&path)?.ok_or_else(|| {
                CliError::usage(
                    format!("{}: there is no such file", path.display()),
                    "--config or KEYSTEAD_CONFIG names it",
                )
            })?;
            return Ok(Some((path, config)));
        }
        None => usual_places(environment),
    };
    for path in candidates {
        if let Some(config) = read(&path)? {
            return Ok(Some((path, config)));
        }
    }
    Ok(None)
}

/// `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Config>, CliError> {
    let name = path.display();
    let text = match regular_file::read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CliError::usage(format!("{name}: {error}"), "")),
    };
    Config::parse(&format!("{name}"), &text)
        .map(Some)
        .map_err(|error| {
            CliError::usage(
                format!("{error}"),
                "`keystead credential-process --help` lists the settings: each flag is a key",
            )
        })
}

fn usual_places(environment: &dyn Environment) -> impl Iterator<Item = PathBuf> {
    let user = variable(environment, "XDG_CONFIG_HOME")
        .map(PathBuf::from)
        // The specification wants relative ones ignored.
        .filter(|path| path.is_absolute())
        .or_else(|| variable(environment, "HOME").map(|home| Path::new(&home).join(".config")));
    let system = PathBuf::from("/etc");
    user.into_iter()
        .chain([system])
        .map(|folder| folder.join("keystead/keystead.toml"))
}

fn no_file(identity: &OsStr) -> CliError {
    CliError::usage(
        format!(
            "there is no keystead.toml to find identity `{}` in",
            identity.display()
        ),
        "it is looked for in --config, $KEYSTEAD_CONFIG, $XDG_CONFIG_HOME/keystead/ (~/.config/keystead/) \
         and /etc/keystead/",
    )
}

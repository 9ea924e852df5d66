//! Where the spool is, and how much it takes.

use std::format;
use std::path::{Path, PathBuf};
use std::string::String;

use super::failure;
use crate::backend::secret::Environment;
use crate::cli::daemon::accounts;
use crate::cli::error::CliError;
use crate::cli::settings::Settings;
use crate::host::push_config::SpoolSetting;
use crate::host::size;
use crate::host::spool::{Options, Spool, WhenFull};

/// The spool of the system.
const SYSTEM: &str = "/var/lib/keystead/spool";

/// Where the spool is, and how much it takes.
#[derive(Debug, Clone)]
pub struct SpoolPlan {
    /// The folder.
    pub dir: PathBuf,
    /// How it is opened.
    pub options: Options,
}

impl SpoolPlan {
    /// Checks what the settings say.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(settings: &Settings<'_>, environment: &dyn Environment) -> Result<Self, CliError> {
        let default = Options::default();
        let when_full = settings.parsed(SpoolSetting::WhenFull, |text| match text {
            "reject" => Ok(WhenFull::Reject),
            "drop-oldest" => Ok(WhenFull::DropOldest),
            _ => Err("a full spool is to reject or to drop-oldest"),
        })?;
        let reserve = settings.parsed(SpoolSetting::Reserve, size::parse)?;
        Ok(Self {
            dir: match settings.path(SpoolSetting::Dir) {
                Some(dir) => dir,
                None => usual(environment)?,
            },
            options: Options {
                max_bytes: settings.parsed(SpoolSetting::MaxSize, at_least_one)?,
                max_entries: settings.parsed(SpoolSetting::MaxEntries, entries)?,
                when_full: when_full.unwrap_or(default.when_full),
                reserve: reserve.unwrap_or(default.reserve),
                group: settings.parsed(SpoolSetting::Group, accounts::group)?,
            },
        })
    }

    /// Opens it, and makes what is missing.
    ///
    /// # Errors
    /// [`CliError`], naming the folder.
    pub fn open(&self) -> Result<Spool, CliError> {
        Spool::open(&self.dir, self.options.clone()).map_err(|error| failure::of(&error, ""))
    }

    /// Opens it if it is there: who asks about a spool makes none.
    ///
    /// # Errors
    /// [`CliError`], naming the folder.
    pub fn open_existing(&self) -> Result<Spool, CliError> {
        match self.dir.join("format").try_exists() {
            Ok(false) => Err(CliError::usage(
                format!("there is no spool in {}", self.dir.display()),
                "`keystead spool add` and `keystead spool run` make one; --spool names another folder",
            )),
            // What keeps it from being looked at, opening tells.
            Ok(true) | Err(_) => self.open(),
        }
    }
}

/// The system's, if there is one or this is root; else the user's own.
fn usual(environment: &dyn Environment) -> Result<PathBuf, CliError> {
    let system = Path::new(SYSTEM);
    if system.is_dir() || rustix::process::geteuid().is_root() {
        return Ok(system.into());
    }
    of_user(environment).ok_or_else(|| {
        CliError::usage(
            format!("there is no {SYSTEM}, and neither XDG_STATE_HOME nor HOME is set"),
            "--spool DIR names a folder for the spool",
        )
    })
}

fn of_user(environment: &dyn Environment) -> Option<PathBuf> {
    let folder = |name, below: &str| {
        let folder = PathBuf::from(environment.var(name)?);
        folder.is_absolute().then(|| folder.join(below))
    };
    folder("XDG_STATE_HOME", "keystead/spool")
        .or_else(|| folder("HOME", ".local/state/keystead/spool"))
}

fn at_least_one(text: &str) -> Result<u64, String> {
    match size::parse(text) {
        Ok(0) => Err("a spool that takes nothing is none".into()),
        Ok(size) => Ok(size),
        Err(error) => Err(format!("{error}")),
    }
}

fn entries(text: &str) -> Result<u64, &'static str> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("the number of entries is 1 or more"),
    }
}

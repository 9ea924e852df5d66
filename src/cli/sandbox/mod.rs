//! `keystead sandbox`: the local double of AWS on the command line.

mod child;
mod flags;

use core::fmt::Write as _;
use std::borrow::ToOwned as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::string::String;
use std::sync::Arc;
use std::{env, ffi::OsString, format, fs};

use clap::{CommandFactory as _, FromArgMatches as _};
use tempfile::TempDir;

use self::flags::Flags;
use super::context::{self, Context, tell};
use super::error::{CliError, Exit};
use super::parse;
use crate::core::time::Clock as _;
use crate::sandbox::device::{self, Authority, ClientIdentity};
use crate::sandbox::{
    ClientFiles, Config, ConfigError, Observer, Running, Sandbox, SandboxClock, Scheme, StartError,
};

/// One line about it.
pub const ABOUT: &str = "Run a local double of IAM Roles Anywhere, STS and S3";

/// Runs the command.
///
/// # Errors
/// [`CliError`] if the sandbox or the command does not start.
pub fn run(arguments: &[OsString], _: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Flags::command().arg(super::flags::error_format());
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let flags =
        Flags::from_arg_matches(&matches).map_err(|error| parse::usage_error("sandbox", &error))?;
    let state = State::new(flags.state.as_deref())?;
    let (config, identity) = configure(&flags, state.path())?;
    if identity.is_none() && !flags.command.is_empty() {
        return Err(CliError::usage(
            "the command needs a certificate that the sandbox trusts",
            "name one with --certificate FILE and --key FILE",
        ));
    }
    let running = Sandbox::start(config).map_err(start_error)?;
    let program = env::current_exe().map_err(|error| {
        let what = format!("the path of this program is not known: {error}");
        CliError::new(Exit::Internal, what, "")
    })?;
    let files = ClientFiles::write(&running, identity.as_ref(), &program, state.path())
        .map_err(start_error)?;
    match flags.command.split_first() {
        Some((command, arguments)) => child::run(command, arguments, &files),
        None => {
            let introduction = introduction(&running, &files, &state);
            child::wait_for_the_end(|| context::print(introduction.as_bytes()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The directory for all that the sandbox writes.
enum State {
    Kept(PathBuf),
    /// Removed in the end.
    Temporary(TempDir),
}

impl State {
    fn new(path: Option<&Path>) -> Result<Self, CliError> {
        let failed = |what: String| {
            let remedy = "name a directory that can be written with --state DIR";
            CliError::new(Exit::Internal, what, remedy)
        };
        match path {
            None => match TempDir::with_prefix("keystead-sandbox-") {
                Ok(directory) => Ok(Self::Temporary(directory)),
                Err(error) => Err(failed(format!(
                    "no temporary directory can be made: {error}"
                ))),
            },
            Some(path) => fs::create_dir_all(path)
                .and_then(|()| path.canonicalize())
                .map(Self::Kept)
                .map_err(|error| failed(format!("{} cannot be used: {error}", path.display()))),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

/// What the sandbox is, and who its clients are.
fn configure(flags: &Flags, state: &Path) -> Result<(Config, Option<ClientIdentity>), CliError> {
    let given = match (&flags.certificate, &flags.key) {
        (Some(certificate), Some(key)) => Some(ClientIdentity {
            certificate: match certificate.to_str() {
                // In a token it has no folder.
                Some(uri) if uri.starts_with("pkcs11:") => certificate.clone(),
                _ => absolute(certificate)?,
            },
            key: match Path::new(key).exists() {
                true => format!("{}", absolute(Path::new(key))?.display()),
                false => key.clone(),
            },
        }),
        _ => None,
    };
    let ready_made = |authority: Authority| {
        Config::ready_made(authority.certificate, Some(authority.crl)).map_err(config_error)
    };
    let (mut config, identity) = match (&flags.config, &flags.ca) {
        (Some(path), _) => (Config::read(path).map_err(config_error)?, given),
        (None, Some(directory)) => {
            let authority = Authority::of_directory(directory).map_err(start_error)?;
            (ready_made(authority)?, given)
        }
        (None, None) => {
            let now = SandboxClock::system().now();
            let (authority, device) = device::in_state(state, now).map_err(start_error)?;
            (ready_made(authority)?, Some(device))
        }
    };
    let objects = state.join("objects");
    fs::create_dir_all(&objects).map_err(|error| {
        let what = format!("{} cannot be made: {error}", objects.display());
        CliError::new(Exit::Internal, what, "")
    })?;
    config.storage = Some(objects);
    config.listen = flags.listen;
    if flags.http {
        config.scheme = Scheme::Http;
    }
    for fault in &flags.fault {
        config.faults.add(fault.clone());
    }
    if flags.log || flags.command.is_empty() {
        let log: Observer = Arc::new(|request| tell(format_args!("{request}")));
        config.observer = Some(log);
    }
    Ok((config, identity))
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    path.canonicalize().map_err(|error| {
        let what = format!("{} cannot be read: {error}", path.display());
        CliError::new(Exit::Key, what, "")
    })
}

/// What a shell is to evaluate, with comments for people.
fn introduction(running: &Running, files: &ClientFiles, state: &State) -> String {
    let account = &running.config().account;
    let mut text = format!(
        "# AWS account {}, region {}, on this machine only. Stop it with Ctrl-C.\n",
        account.id, account.region
    );
    // Writing into a string does not fail.
    for (name, value) in files.variables() {
        let value = value.replace('\'', r"'\''");
        let _ = writeln!(text, "export {name}='{value}'");
    }
    let _ = writeln!(text, "unset {}", child::CREDENTIAL_VARIABLES.join(" "));
    if !files.has_identity() {
        text += "# For AWS profiles with credentials, start it with --certificate FILE and --key FILE.\n";
    }
    for anchor in &account.trust_anchors {
        let _ = writeln!(text, "# trust anchor {}", anchor.arn);
    }
    for profile in &account.profiles {
        let (name, arn) = (&profile.name, &profile.arn);
        let _ = writeln!(text, "# profile {name}: {arn}");
        for role in &profile.roles {
            let _ = writeln!(text, "#   role {role}");
        }
    }
    if let State::Kept(path) = state {
        let _ = writeln!(
            text,
            "# objects are kept in {}",
            path.join("objects").display()
        );
    }
    text
}

fn config_error(error: ConfigError) -> CliError {
    CliError::usage(format!("{error}"), "")
}

fn start_error(error: StartError) -> CliError {
    let (exit, remedy) = match &error {
        StartError::NotLoopback(_) => (Exit::Usage, "leave --listen out, or give 127.0.0.1:PORT"),
        StartError::Listen(..) => (Exit::Usage, "port 0 takes one that is free"),
        StartError::Authority(_) => (Exit::Key, "`keystead ca init` makes an authority"),
        _ => (Exit::Internal, ""),
    };
    CliError::new(exit, format!("{error}"), remedy.to_owned())
}

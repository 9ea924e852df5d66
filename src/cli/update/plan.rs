//! Which profile of which file is written, and how often.

use std::borrow::ToOwned as _;
use std::ffi::{OsStr, OsString};
use std::format;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::backend::secret::Environment;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::flags::{self, Given};
use crate::output::credentials_file::{CredentialsFile, Profile};

pub const PROFILE: &str = "profile";
pub const ONCE: &str = "once";
pub const FILE: &str = "credentials-file";
pub const REMOVE_AT_EXIT: &str = "remove-at-exit";
pub const RETRY_ERRORS: &str = "retry-errors";

/// The profile that counts where none is named.
const DEFAULT: &str = "default";

/// Where all of AWS's programs look for another file.
const VARIABLE: &str = "AWS_SHARED_CREDENTIALS_FILE";

/// Which profile of which file is written, and how often.
#[derive(Debug)]
pub struct UpdatePlan {
    /// The profile.
    pub file: CredentialsFile,
    /// Whether once is enough.
    pub once: bool,
    /// Whether the credentials are removed in the end.
    pub remove_at_exit: bool,
}

impl UpdatePlan {
    /// Checks the flags and variables.
    ///
    /// # Errors
    /// [`CliError`], a usage error.
    pub fn new(given: &dyn Given, context: &Context<'_>) -> Result<Self, CliError> {
        let once = flags::switch(given, ONCE)?;
        for (flag, why) in [
            (RETRY_ERRORS, "nothing is tried again"),
            (REMOVE_AT_EXIT, "nothing would be left"),
        ] {
            if flags::switch(given, flag)? && once {
                return Err(CliError::usage(
                    format!("--once and --{flag} are both given"),
                    format!("with --once {why}: leave one of them out"),
                ));
            }
        }
        Ok(Self {
            file: CredentialsFile::new(path(given, context.environment)?, profile(given)?),
            once,
            remove_at_exit: flags::switch(given, REMOVE_AT_EXIT)?,
        })
    }
}

fn profile(given: &dyn Given) -> Result<Profile, CliError> {
    let name = given.value(PROFILE).unwrap_or(OsStr::new(DEFAULT));
    let shown = name.to_string_lossy();
    let name = name
        .to_str()
        .ok_or_else(|| CliError::usage(format!("--{PROFILE}: `{shown}`: this is not UTF-8"), ""))?;
    Profile::new(name).map_err(|error| {
        let what = format!("--{PROFILE}: `{}`: {error}", name.escape_debug());
        CliError::usage(what, "")
    })
}

fn path(given: &dyn Given, environment: &dyn Environment) -> Result<PathBuf, CliError> {
    // A shell has expanded it.
    if let Some(path) = given.value(FILE) {
        return Ok(path.into());
    }
    let not_empty = |value: &OsString| !value.is_empty();
    let home = environment.var("HOME").filter(not_empty);
    if let Some(path) = environment.var(VARIABLE).filter(not_empty) {
        return Ok(match (path.as_bytes().strip_prefix(b"~/"), home) {
            (Some(below), Some(home)) => PathBuf::from(home).join(OsStr::from_bytes(below)),
            _ => path.into(),
        });
    }
    let home = home.ok_or_else(|| {
        CliError::usage(
            "there is no home, and so no ~/.aws/credentials: HOME is not set",
            format!("--{FILE} FILE, or {VARIABLE}, names the file"),
        )
    })?;
    Ok(PathBuf::from(home).join(".aws/credentials").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::string::ToString as _;

    struct Variables(BTreeMap<&'static str, &'static str>);

    impl Environment for Variables {
        fn var(&self, name: &str) -> Option<OsString> {
            self.0.get(name).map(OsString::from)
        }
    }

    struct Flags(BTreeMap<&'static str, &'static str>);

    impl Given for Flags {
        fn value(&self, name: &str) -> Option<&OsStr> {
            self.0.get(name).map(OsStr::new)
        }

        fn has_extra(&self) -> bool {
            false
        }
    }

    #[test]
    fn where_the_file_is() {
        let path = |flags: &[_], variables: &[_]| {
            let flags = Flags(flags.iter().copied().collect());
            let variables = Variables(variables.iter().copied().collect());
            path(&flags, &variables).map_err(|error| error.to_string())
        };
        let home = ("HOME", "/home/hub");
        let is = |path: &str| Ok(PathBuf::from(path));
        assert_eq!(path(&[], &[home]), is("/home/hub/.aws/credentials"));
        let variable = |value| path(&[], &[home, (VARIABLE, value)]);
        assert_eq!(variable("/x/y"), is("/x/y"));
        assert_eq!(variable("~/x"), is("/home/hub/x"));
        assert_eq!(variable("~hub/x"), is("~hub/x"));
        assert_eq!(variable(""), is("/home/hub/.aws/credentials"));
        assert_eq!(path(&[(FILE, "z")], &[home, (VARIABLE, "/x/y")]), is("z"));
        assert!(path(&[], &[]).unwrap_err().contains("HOME"));
        assert!(path(&[], &[("HOME", "")]).is_err());
    }

    #[test]
    fn names_that_no_section_can_have() {
        let profile = |name| profile(&Flags([(PROFILE, name)].into_iter().collect()));
        assert_eq!(profile("hub").unwrap().as_str(), "hub");
        let error = profile("a]\n[b").unwrap_err().to_string();
        assert!(error.starts_with("--profile: `a]\\n[b`: "), "{error}");
    }
}

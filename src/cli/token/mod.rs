//! Keys and certificates in PKCS#11 tokens: which module, which PIN, and whom to ask.

pub mod identity;
mod module;
mod notice;
mod operator;
pub mod place;

pub use operator::{ConsoleOperator, Pins};

use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::vec::Vec;

use self::place::TokenPlace;
use super::attended;
use super::context::{self, Console, Context};
use super::error::{CliError, Exit};
use super::plan;
use super::signer_process;
use super::sources::Sources;
use crate::backend::isolated::{self, Environment, Isolated};
use crate::backend::pkcs11::{Access, Local, PinProblem, TokenError, Tokens};
use crate::backend::secret::{self, SecretSource};
use crate::host::config::Setting;

/// How tokens are reached, and where their PINs come from.
#[derive(Debug)]
pub struct TokenPlan {
    /// The module for URIs that name none; p11-kit's proxy if there is none here either.
    pub module: Option<PathBuf>,
    /// Where refused PINs are remembered.
    pub state: Option<PathBuf>,
    /// Whether a PIN serves for each signature.
    pub reuse_pin: bool,
    /// Whether modules run in a process of their own.
    pub isolate: bool,
    /// How long one call of an isolated module may take.
    pub timeout: Duration,
    /// The PIN's source, where a URI names none.
    pub pin: Option<SecretSource>,
    /// The security officer's, for commands that change a token.
    pub security_officer: Option<SecretSource>,
    /// What tells a person what to do, where there is no terminal: a program and its arguments.
    pub notify: Vec<String>,
}

impl TokenPlan {
    /// Checks what is said of tokens.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(sources: &Sources<'_>, context: &Context<'_>) -> Result<Self, CliError> {
        let notify = sources.parsed(Setting::NotifyCmd, |line| match secret::words(line) {
            Some(words) if !words.is_empty() => Ok(words),
            Some(_) => Err("this names no program"),
            None => Err("a quote is not closed"),
        })?;
        Ok(Self {
            module: sources
                .get(Setting::Pkcs11Lib)
                .map(|found| module::file(&found)),
            state: plan::state_dir(sources, context.environment),
            reuse_pin: sources.switch(Setting::ReusePin)?,
            isolate: sources.switch(Setting::Isolate)?,
            timeout: plan::device_timeout(sources)?,
            pin: plan::secret_source(Setting::PasswordSource, sources)?,
            security_officer: None,
            notify: notify.unwrap_or_default(),
        })
    }

    /// The module that `place` is reached through.
    pub fn module_of(&self, place: Option<&TokenPlace>) -> PathBuf {
        let named = place.and_then(|place| place.module.clone());
        named
            .or_else(|| self.module.clone())
            .unwrap_or_else(module::proxy)
    }

    /// What reaches the tokens of a module: of the one that the first of `places` has. What starts
    /// programs hands on none of the PINs.
    ///
    /// # Errors
    /// [`CliError`] if there is no process to load the module in.
    pub fn tokens(&self, places: &[Option<&TokenPlace>]) -> Result<Box<dyn Tokens>, CliError> {
        let module = self.module_of(places.iter().copied().flatten().next());
        let access = Access {
            module,
            state: self.state.clone(),
            reuse_pin: self.reuse_pin,
            timeout: self.timeout,
        };
        if self.isolate || isolated::REQUIRED || signer_process::is_launched() {
            let starter = signer_process::starter(Environment {
                without: self.secret_variables(places),
                ..Environment::default()
            })?;
            return Ok(Box::new(Isolated::new(starter, access)));
        }
        context::reserve_stdout().map_err(|error| {
            let what = format!("standard output cannot be kept from the module: {error}");
            CliError::new(Exit::Internal, what, "")
        })?;
        Ok(Box::new(Local::new(access)))
    }

    /// Who has the PIN: of the first of `places` that says so, else where the plan says.
    pub fn operator(&self, places: &[Option<&TokenPlace>], console: Console) -> ConsoleOperator {
        let named = places.iter().flatten().find_map(|place| place.pin.as_ref());
        let pins = Pins {
            user: named.or(self.pin.as_ref()).cloned(),
            security_officer: self.security_officer.clone(),
        };
        let without = self.secret_variables(places);
        ConsoleOperator::new(pins, without, self.notify.clone(), console)
    }

    /// The variables that hold PINs, whichever of them is used: no program inherits one.
    pub fn secret_variables(&self, places: &[Option<&TokenPlace>]) -> Vec<String> {
        let named = places
            .iter()
            .flatten()
            .filter_map(|place| place.pin.as_ref());
        named
            .chain(&self.pin)
            .chain(&self.security_officer)
            .filter_map(SecretSource::variable)
            .map(String::from)
            .collect()
    }
}

/// The error for a token that cannot do what is asked of it.
pub fn error(error: &TokenError) -> CliError {
    if let TokenError::Pin { problem, .. } = error {
        match problem {
            PinProblem::FinalTry => attended::told_tries(Some(1)),
            PinProblem::Locked => attended::told_tries(Some(0)),
            _ => {}
        }
    }
    let exit = if error.concerns_pin() {
        Exit::Pin
    } else {
        Exit::Key
    };
    CliError::new(exit, error.to_string(), error.remedy().unwrap_or_default())
}

//! Keys in TPMs: which TPM, which auth values, and whom to ask.

pub mod attest;
pub mod command;
mod ek;
pub mod generate;
pub mod identity;
mod operator;
pub mod place;
pub mod refusal;
mod report;
mod tcti;
mod transport;

use operator::{Auths, ConsoleOperator, Failure};
use transport::Transport;

use core::time::Duration;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::vec::Vec;

use self::place::TpmPlace;
use super::context::Context;
use super::error::{CliError, Exit};
use super::plan;
use super::signer_process;
use super::sources::Sources;
use crate::backend::isolated::{self, IsolatedTpm};
use crate::backend::secret::{Environment, SecretSource};
use crate::backend::tpm::{Access, Device, Direct, OpenKey, Preferred, TpmError};
use crate::host::config::Setting;

/// How TPMs are reached, and where auth values come from.
#[derive(Debug)]
pub struct TpmPlan {
    /// The TCTI for URIs that name none.
    pub tcti: Option<String>,
    /// Where refused auth values, and what has to be cleared away, are remembered.
    pub state: Option<PathBuf>,
    /// Whether auth values go to the TPM in clear.
    pub plain_auth: bool,
    /// Who speaks to it to use a key.
    transport: Transport,
    /// How long one command may take.
    pub timeout: Duration,
    /// The sources of auth values, where a URI names none.
    pub auths: Auths,
    /// Why a key that was opened by this plan did not sign.
    pub failure: Failure,
}

impl TpmPlan {
    /// Checks what is said of TPMs; `key` is where the key's auth value comes from.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(
        key: Option<SecretSource>,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        Ok(Self {
            tcti: sources.text(Setting::Tcti)?,
            state: plan::state_dir(sources, context.environment),
            plain_auth: sources.switch(Setting::TpmPlainAuth)?,
            transport: sources
                .parsed(Setting::TpmTransport, str::parse)?
                .unwrap_or_default(),
            timeout: plan::device_timeout(sources)?,
            failure: Failure::default(),
            auths: Auths {
                key,
                parent: plan::secret_source(Setting::ParentAuthSource, sources)?,
                owner: plan::secret_source(Setting::OwnerAuthSource, sources)?,
            },
        })
    }

    /// How the TPM of a key is reached.
    ///
    /// # Errors
    /// [`CliError`] if there is none to be found.
    pub fn tcti(
        &self,
        place: Option<&TpmPlace>,
        environment: &dyn Environment,
    ) -> Result<String, CliError> {
        let named = place.and_then(|place| place.tcti.as_ref());
        match named.or(self.tcti.as_ref()) {
            Some(tcti) => Ok(tcti.clone()),
            None => tcti::usual(environment),
        }
    }

    /// What reaches the TPM of a key. What starts programs hands on none of the auth values.
    ///
    /// # Errors
    /// [`CliError`] if there is no TPM to be found, or no process to speak to it.
    pub fn device(
        &self,
        place: Option<&TpmPlace>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Device>, CliError> {
        let access = self.access(place, context.environment)?;
        Ok(Box::new(self.isolated(place, access, context)?))
    }

    /// The same for a key that is used, and nothing else.
    ///
    /// # Errors
    /// As [`device`](Self::device).
    pub fn key_device(
        &self,
        place: Option<&TpmPlace>,
        context: &Context<'_>,
    ) -> Result<Box<dyn Device>, CliError> {
        let access = self.access(place, context.environment)?;
        let direct = Direct::new(access.clone());
        Ok(match self.transport {
            Transport::Direct => Box::new(direct),
            Transport::Auto if Direct::reaches(&access.tcti) => {
                let other = self.isolated(place, access, context)?;
                Box::new(Preferred::new(direct, other))
            }
            Transport::Auto | Transport::Tss => Box::new(self.isolated(place, access, context)?),
        })
    }

    /// Through which TCTI a key is used in this process; `None` if it is `keystead-signer` that uses it.
    pub fn direct_tcti(
        &self,
        place: Option<&TpmPlace>,
        environment: &dyn Environment,
    ) -> Option<String> {
        let tcti = self.tcti(place, environment).ok()?;
        match self.transport {
            Transport::Direct => Some(tcti),
            Transport::Auto => Direct::reaches(&tcti).then_some(tcti),
            Transport::Tss => None,
        }
    }

    /// Whether a key that is used in this process may turn out to take `keystead-signer`. A daemon has to know before
    /// it gives up starting programs.
    pub fn may_take_signer(&self, place: &TpmPlace, environment: &dyn Environment) -> bool {
        if self.transport != Transport::Auto {
            return false;
        }
        let (Ok(access), Ok(key)) = (self.access(Some(place), environment), place.contents())
        else {
            return false;
        };
        let request = OpenKey {
            key,
            certificates: Vec::new(),
            salt: place.salt.clone(),
        };
        // A TPM that is not there yet may be one of those.
        Direct::new(access).leaves(&request).unwrap_or(true)
    }

    fn access(
        &self,
        place: Option<&TpmPlace>,
        environment: &dyn Environment,
    ) -> Result<Access, CliError> {
        Ok(Access {
            tcti: self.tcti(place, environment)?,
            state: self.state.clone(),
            plain_auth: self.plain_auth,
            timeout: self.timeout,
        })
    }

    fn isolated(
        &self,
        place: Option<&TpmPlace>,
        access: Access,
        context: &Context<'_>,
    ) -> Result<IsolatedTpm, CliError> {
        let starter = signer_process::starter(isolated::Environment {
            without: self.secret_variables(place),
            quiet: context.environment.var("TSS2_LOG").is_none(),
        })?;
        Ok(IsolatedTpm::new(starter, access))
    }

    /// The sources of a key's auth values: what its URI says, else what the plan says.
    pub fn auths(&self, place: Option<&TpmPlace>) -> Auths {
        let Auths { key, parent, owner } = self.auths.clone();
        Auths {
            key: place.and_then(|place| place.auth.clone()).or(key),
            parent: place.and_then(|place| place.parent_auth.clone()).or(parent),
            owner,
        }
    }

    /// Who has the auth values of a key.
    pub fn operator(&self, place: Option<&TpmPlace>) -> ConsoleOperator {
        self.operator_with(self.auths(place), place)
    }

    /// The same with other sources.
    fn operator_with(&self, auths: Auths, place: Option<&TpmPlace>) -> ConsoleOperator {
        let secret_variables = self.secret_variables(place);
        ConsoleOperator::new(auths, &secret_variables, self.failure.clone())
    }

    /// The variables that hold auth values, whichever of them is used.
    pub fn secret_variables(&self, place: Option<&TpmPlace>) -> Vec<String> {
        let mut variables = self.auths.variables();
        variables.extend(self.auths(place).variables());
        variables
    }
}

/// The error for a TPM that cannot do what is asked of it.
pub fn error(error: &TpmError) -> CliError {
    let exit = if error.concerns_auth() {
        Exit::Pin
    } else {
        Exit::Key
    };
    CliError::new(exit, error.to_string(), error.remedy().unwrap_or_default())
}

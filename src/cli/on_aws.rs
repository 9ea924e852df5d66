//! `--unless-on-aws`: what the environment says of the machine, and what its role gives.

#[cfg(feature = "http-server")]
use std::boxed::Box;
use std::format;
use std::path::PathBuf;
use std::string::String;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::context::{Context, tell};
use super::error::{CliError, Exit};
use super::plan::{NetworkPlan, SessionPlan};
use super::sources::Sources;
use crate::backend::secret::Environment;
use crate::host::clock::HostClock;
use crate::host::config::Setting;
use crate::host::endpoint::{self, Endpoint};
#[cfg(feature = "http-server")]
use crate::host::on_aws::UsedRole;
use crate::host::on_aws::{self, Found, Look, RoleError, RoleErrorKind, StsOptions, Surroundings};
#[cfg(feature = "http-server")]
use crate::host::refresh::Opened;
use crate::host::session::Credentials;
use crate::host::transport::TransportOptions;

/// How the role is looked for that a machine in AWS has by itself.
#[derive(Debug)]
pub struct OnAwsPlan {
    surroundings: Surroundings,
    expect_account: Option<String>,
    sts: StsOptions,
}

impl OnAwsPlan {
    /// Checks what is said of it; `None` if the role is not asked for.
    ///
    /// # Errors
    /// [`CliError`], a usage error: also if what is configured is of another account than is expected.
    pub fn new(
        sources: &Sources<'_>,
        session: &SessionPlan,
        network: &NetworkPlan,
        context: &Context<'_>,
    ) -> Result<Option<Self>, CliError> {
        let expect_account = sources.parsed(Setting::ExpectAccount, |text| {
            if on_aws::is_account(text) {
                Ok(String::from(text))
            } else {
                Err("an account is twelve digits")
            }
        })?;
        if let Some(expected) = &expect_account
            && session.arns.role().account() != expected
        {
            let account = session.arns.role().account();
            return Err(CliError::usage(
                format!("the role is of account {account}, and {expected} is expected"),
                "correct --role-arn or --expect-account",
            ));
        }
        if !sources.switch(Setting::UnlessOnAws)? {
            return Ok(None);
        }
        let environment = context.environment;
        Ok(Some(Self {
            surroundings: surroundings(environment),
            expect_account,
            sts: sts(session, network, environment)?,
        }))
    }

    fn look(&self, clock: &Arc<HostClock>) -> Look {
        Look {
            surroundings: self.surroundings.clone(),
            expect_account: self.expect_account.clone(),
            sts: self.sts.clone(),
            clock: clock.clone(),
        }
    }

    /// The credentials of the machine's role, if it has one. With `debug` people see why not.
    ///
    /// # Errors
    /// [`CliError`] if it has one that gives none.
    pub fn credentials(
        &self,
        clock: &Arc<HostClock>,
        debug: bool,
    ) -> Result<Option<Credentials>, CliError> {
        let note = |what: &str| {
            if debug {
                tell(format_args!("--- role of this machine: {what}"));
            }
        };
        match self.look(clock).credentials() {
            Ok(Found::Role(role)) => {
                note("used");
                Ok(Some(role.credentials))
            }
            Ok(Found::None(why)) => {
                note(&format!("none: {why}"));
                Ok(None)
            }
            Err(error) => Err(refusal(error)),
        }
    }

    /// The machine's role for a refresher, if it has one.
    ///
    /// # Errors
    /// [`CliError`] if it has one that gives no credentials, or had one that `role` does not leave.
    #[cfg(feature = "http-server")]
    pub fn open(
        &self,
        role: &mut UsedRole,
        clock: &Arc<HostClock>,
    ) -> Result<Option<Box<dyn Opened>>, CliError> {
        role.open(&self.look(clock)).map_err(refusal)
    }
}

fn refusal(error: RoleError) -> CliError {
    let exit = match error.kind {
        RoleErrorKind::Unanswered | RoleErrorKind::Gone => Exit::Network,
        RoleErrorKind::Refused => Exit::Refused,
        RoleErrorKind::Misconfigured | RoleErrorKind::WrongAccount => Exit::Usage,
    };
    let remedy = error.remedy();
    CliError::new(exit, error.what, remedy)
}

fn surroundings(environment: &dyn Environment) -> Surroundings {
    let text = |name| environment.var(name)?.into_string().ok();
    let is = |name, expected: &str| {
        text(name).is_some_and(|value: String| value.eq_ignore_ascii_case(expected))
    };
    let path = |name| environment.var(name).map(PathBuf::from);
    Surroundings {
        relative_uri: text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
        full_uri: text("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        authorization: text("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Zeroizing::new),
        authorization_file: path("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        metadata_endpoint: text("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
        is_metadata_ipv6: is("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6"),
        is_metadata_disabled: is("AWS_EC2_METADATA_DISABLED", "true"),
        ..Surroundings::default()
    }
}

/// Whom to ask for an account: the endpoint that SDKs ask as well.
fn sts(
    session: &SessionPlan,
    network: &NetworkPlan,
    environment: &dyn Environment,
) -> Result<StsOptions, CliError> {
    const ENDPOINT: &str = "AWS_ENDPOINT_URL_STS";
    let set = |name: &str| {
        let value = environment.var(name)?.into_string().ok()?;
        (!value.is_empty()).then_some(value)
    };
    let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
    let region = region.filter(|region| endpoint::is_region(region));
    let region = region.unwrap_or_else(|| session.region.clone());
    let endpoint = match set(ENDPOINT) {
        None => Endpoint::sts(&region),
        Some(url) => {
            let invalid = |why: String| CliError::usage(format!("{ENDPOINT}: `{url}`: {why}"), "");
            let endpoint = Endpoint::custom(&url).map_err(|error| invalid(format!("{error}")))?;
            if !endpoint.tls && !endpoint.is_loopback() {
                let why = "it is on another machine and has no TLS";
                return Err(invalid(String::from(why)));
            }
            endpoint
        }
    };
    Ok(StsOptions {
        region,
        endpoint,
        transport: TransportOptions {
            timeout: network.transport.timeout.min(network.retry.within),
            ..network.transport.clone()
        },
    })
}

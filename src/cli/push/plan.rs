//! What is uploaded, where to, with whose credentials: one typed value, everything checked.

use clap::ArgMatches;

use super::place::PlacePlan;
use super::transfer::TransferPlan;
use crate::backend::secret::Environment;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::flags::Given;
use crate::cli::plan::{NetworkPlan, Plan, REQUIRED};
use crate::cli::settings::Settings;
use crate::cli::sources::Sources;
use crate::host::config::Setting;
use crate::host::endpoint::Endpoint;
use crate::host::push_config::PushSetting;

/// What says that the environment has credentials.
const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";

/// Whose credentials are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsPlan {
    /// Sessions of the identity.
    Identity,
    /// Those of the environment.
    Environment,
}

/// How S3 is reached, and as whom.
#[derive(Debug)]
pub struct UploadPlan {
    /// Whose credentials.
    pub credentials: CredentialsPlan,
    /// Where buckets are.
    pub place: PlacePlan,
    /// How uploads go.
    pub transfer: TransferPlan,
}

impl UploadPlan {
    /// Checks everything that flags, environment and file say.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(
        settings: &Settings<'_>,
        given: &dyn Given,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        let credentials = credentials(settings, sources, context.environment)?;
        let of_identity = match credentials {
            CredentialsPlan::Identity => Some(Plan::new(given, sources, context)?.session.region),
            CredentialsPlan::Environment => None,
        };
        Ok(Self {
            credentials,
            place: PlacePlan::new(settings, sources, of_identity.as_deref(), context)?,
            transfer: TransferPlan::new(settings)?,
        })
    }

    /// Trust, proxy and time-outs for a server of S3.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn network(
        endpoint: &Endpoint,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<NetworkPlan, CliError> {
        NetworkPlan::new(sources, endpoint, context)
    }
}

/// The sources of the identity: the one that flags and environment name, else that of `[push]`, else the only
/// one of the file.
///
/// # Errors
/// As [`Sources::completed`].
pub fn sources<'a>(
    matches: &'a ArgMatches,
    identity: Option<&'a str>,
    context: &Context<'a>,
) -> Result<Sources<'a>, CliError> {
    Sources::of_identity(matches, identity, context).completed(&REQUIRED)
}

/// The name of the identity, if anybody says one.
///
/// # Errors
/// [`CliError`] if it is not UTF-8.
pub fn identity(settings: &Settings<'_>) -> Result<Option<std::string::String>, CliError> {
    settings.parsed(PushSetting::Identity, |text| {
        Ok::<_, core::fmt::Error>(text.into())
    })
}

/// Whose credentials: the identity's, where anything is said of one.
fn credentials(
    settings: &Settings<'_>,
    sources: &Sources<'_>,
    environment: &dyn Environment,
) -> Result<CredentialsPlan, CliError> {
    let given = settings.parsed(PushSetting::Credentials, |text| match text {
        "identity" => Ok(CredentialsPlan::Identity),
        "environment" => Ok(CredentialsPlan::Environment),
        _ => Err("credentials are those of the identity or of the environment"),
    })?;
    let has = |name| environment.var(name).is_some_and(|value| !value.is_empty());
    let says_identity =
        sources.configuration().is_some() || sources.get(Setting::Certificate).is_some();
    Ok(match given {
        Some(given) => given,
        None if !says_identity && has(ACCESS_KEY) => CredentialsPlan::Environment,
        None => CredentialsPlan::Identity,
    })
}

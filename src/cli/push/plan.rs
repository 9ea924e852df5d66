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
use crate::host::push_config::PushSetting;
use crate::host::s3::Bucket;
use crate::output::push::UploadOptions;

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
    /// How sessions of the identity are had, if its credentials are used.
    pub identity: Option<Plan>,
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
        let identity = match credentials {
            CredentialsPlan::Identity => Some(Plan::new(given, sources, context)?),
            CredentialsPlan::Environment => None,
        };
        let region = identity.as_ref().map(|plan| plan.session.region.as_str());
        Ok(Self {
            credentials,
            place: PlacePlan::new(settings, sources, region, context)?,
            identity,
            transfer: TransferPlan::new(settings)?,
        })
    }

    /// How a bucket is reached, and how uploads to it go.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn way(
        &self,
        bucket: &str,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Way, CliError> {
        let bucket = self.place.bucket(bucket)?;
        let network = NetworkPlan::new(sources, bucket.endpoint(), context)?;
        let options = UploadOptions {
            // TLS protects the content as well, and costs no SHA-256.
            sign_payload: !bucket.is_encrypted(),
            ..self.transfer.options
        };
        Ok(Way {
            bucket,
            network,
            options,
        })
    }
}

/// How a bucket is reached, and how uploads to it go.
#[derive(Debug)]
pub struct Way {
    /// The bucket.
    pub bucket: Bucket,
    /// Trust, proxy and time-outs.
    pub network: NetworkPlan,
    /// Part size, checksum, what confirms.
    pub options: UploadOptions,
}

/// The sources of the identity: the one that flags and environment name, else that of `[push]`, else the only one
/// of the file. Where credentials of the environment are asked for, nobody has to choose one of several.
///
/// # Errors
/// As [`Sources::completed`].
pub fn sources<'a>(
    matches: &'a ArgMatches,
    identity: Option<&'a str>,
    context: &Context<'a>,
) -> Result<Sources<'a>, CliError> {
    let sources = Sources::of_identity(matches, identity, context);
    let settings = Settings::with_file(matches, context)?;
    match asked(&settings)? {
        Some(CredentialsPlan::Environment) if identity.is_none() => Ok(sources),
        _ => sources.completed(&REQUIRED),
    }
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
    let given = asked(settings)?;
    let has = |name| environment.var(name).is_some_and(|value| !value.is_empty());
    let says_identity =
        sources.configuration().is_some() || sources.get(Setting::Certificate).is_some();
    Ok(match given {
        Some(given) => given,
        None if !says_identity && has(ACCESS_KEY) => CredentialsPlan::Environment,
        None => CredentialsPlan::Identity,
    })
}

/// Whose credentials, if anybody says so.
fn asked(settings: &Settings<'_>) -> Result<Option<CredentialsPlan>, CliError> {
    settings.parsed(PushSetting::Credentials, |text| match text {
        "identity" => Ok(CredentialsPlan::Identity),
        "environment" => Ok(CredentialsPlan::Environment),
        _ => Err("credentials are those of the identity or of the environment"),
    })
}

//! What `keystead spool run` does, everything checked before anything is opened.

use core::net::SocketAddr;
use core::str::FromStr as _;
use std::boxed::Box;
use std::string::String;
use std::sync::Arc;

use clap::ArgMatches;

use super::buckets::{self, Buckets};
use crate::cli::context::Context;
use crate::cli::daemon::Configured;
use crate::cli::daemon::is_remote;
use crate::cli::error::CliError;
use crate::cli::plan::{NetworkPlan, state_dir};
use crate::cli::push::attributes::AttributesPlan;
use crate::cli::push::environment;
use crate::cli::push::moment;
use crate::cli::push::plan::{self, CredentialsPlan, UploadPlan};
use crate::cli::push::target::Target;
use crate::cli::settings::Settings;
use crate::cli::sources::Sources;
use crate::cli::spool::intake::{IntakePlan, Namer};
use crate::cli::spool::place::SpoolPlan;
use crate::host::clock::{ConfirmedTime, HostClock};
use crate::host::config::Setting;
use crate::host::endpoint::Endpoint;
use crate::host::push_config::{PushSetting, SpoolSetting};
use crate::host::session::Credentials;
use crate::host::transport::TransportOptions;
use crate::output::push::UploadOptions;
use crate::output::push::deliver::{Between, Options};

/// Whose credentials are used.
pub enum Identity {
    /// Sessions of an identity.
    Configured(Box<Configured>),
    /// What the environment has.
    Environment(Credentials),
}

/// What is run.
pub struct RunPlan {
    /// The spool.
    pub spool: SpoolPlan,
    /// Whose credentials.
    pub identity: Identity,
    /// Where entries go.
    pub buckets: Buckets,
    /// How S3 is reached, where a bucket's name does not matter.
    pub endpoint: Endpoint,
    /// The same: whom to trust, and a proxy.
    pub transport: TransportOptions,
    /// How entries are sent.
    pub options: Options,
    /// What is taken over meanwhile.
    pub intake: IntakePlan,
    /// What that is called, if anything is.
    pub namer: Option<Namer>,
    /// Where Prometheus asks.
    pub metrics: Option<SocketAddr>,
    /// The clock that everything goes by.
    pub clock: Arc<HostClock>,
    /// Why the daemon does not confine itself, if somebody says so.
    pub unconfined: Option<String>,
}

impl RunPlan {
    /// Checks everything that flags, environment and file say. `has_socket` says whether the service manager has
    /// opened one for records.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(
        matches: &ArgMatches,
        has_socket: bool,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        let settings = Settings::with_file(matches, context)?;
        let name = plan::identity(&settings)?;
        let sources = plan::sources(matches, name.as_deref(), context)?;
        let upload = UploadPlan::new(&settings, matches, &sources, context)?;
        let endpoint = buckets::endpoint(&upload.place)?;
        let network = NetworkPlan::new(&sources, &endpoint, context)?;
        let (identity, clock) = match upload.credentials {
            CredentialsPlan::Identity => {
                let source = Configured::new(matches, name.as_deref(), context)?;
                let clock = source.clock().clone();
                (Identity::Configured(Box::new(source)), clock)
            }
            CredentialsPlan::Environment => {
                let credentials = environment::credentials(context.environment)?;
                let state = state_dir(&sources, context.environment);
                let confirmed = state.and_then(|dir| ConfirmedTime::at(dir.join("time")).load());
                let clock = Arc::new(HostClock::new(confirmed));
                (Identity::Environment(credentials), clock)
            }
        };
        let transfer = upload.transfer;
        let spool = SpoolPlan::new(&settings, context.environment)?;
        let mut intake = IntakePlan::new(&settings, spool.options.max_bytes)?;
        intake.records.options.clock = Some(clock.clone());
        let namer = match intake.is_empty() && !has_socket {
            true => None,
            false => Some(namer(&settings, &sources, &clock, context)?),
        };
        let no_confine = sources.switch(Setting::NoConfine)?;
        Ok(Self {
            spool,
            intake,
            namer,
            identity,
            buckets: Buckets::new(upload.place, network.transport.clone(), clock.clone()),
            options: Options {
                concurrency: transfer.concurrency,
                upload: UploadOptions {
                    // TLS protects the content, and costs no second pass.
                    sign_payload: !endpoint.tls,
                    ..transfer.options
                },
                bandwidth: transfer.bandwidth,
                between: settings.parsed(SpoolSetting::Between, Between::from_str)?,
                ..Options::default()
            },
            endpoint,
            transport: network.transport,
            metrics: settings.parsed(SpoolSetting::Metrics, address)?,
            clock,
            unconfined: no_confine.then(|| "no-confine is set".into()),
        })
    }
}

/// What files and records are called in S3.
fn namer(
    settings: &Settings<'_>,
    sources: &Sources<'_>,
    clock: &HostClock,
    context: &Context<'_>,
) -> Result<Namer, CliError> {
    let target = Target::of_settings(settings)?;
    let facts = moment::facts(&target.template, sources, clock, context)?;
    let has_type = settings.get(PushSetting::ContentType).is_some();
    Namer::new(target, AttributesPlan::new(settings)?, facts, has_type)
}

/// An address of this machine alone: nothing is asked of whoever comes.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "metrics are at an address with a port, such as 127.0.0.1:9913")?;
    match is_remote(address.ip()) {
        false => Ok(address),
        true => Err(
            "other machines reach this address, and metrics are for this one: use 127.0.0.1 or [::1], and a \
             proxy in front of it",
        ),
    }
}

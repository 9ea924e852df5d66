//! What a command is going to do: one typed value, everything checked, before anything is opened or
//! sent.

use core::time::Duration;
use std::ffi::OsStr;
use std::format;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::string::String;

use super::cache::CachePlan;
use super::context::Context;
use super::error::CliError;
use super::flags::Given;
use super::identity_plan::IdentityPlan;
use super::on_aws::OnAwsPlan;
use super::proxy;
use super::sources::Sources;
use crate::backend::secret::{Environment, SecretSource};
use crate::host::arn::SessionArns;
use crate::host::config::Setting;
use crate::host::endpoint::{self, Endpoint, Variant};
use crate::host::session::Retry;
use crate::host::tls::Trust;
use crate::host::transport::TransportOptions;

/// What a session cannot be had without.
pub const REQUIRED: [Setting; 4] = [
    Setting::Certificate,
    Setting::TrustAnchorArn,
    Setting::ProfileArn,
    Setting::RoleArn,
];

/// As AWS's helper asks for; the service takes the profile's value if that is shorter.
const DEFAULT_DURATION: u32 = 3600;

/// What the service takes.
const DURATIONS: core::ops::RangeInclusive<u64> = 900..=43_200;

/// A session and how to get it.
#[derive(Debug)]
pub struct Plan {
    /// Certificate and key, and how strictly they are looked at.
    pub identity: IdentityPlan,
    /// What is asked for.
    pub session: SessionPlan,
    /// How the service is reached.
    pub network: NetworkPlan,
    /// Where credentials are kept.
    pub cache: CachePlan,
    /// How the machine's own role is looked for, if it goes before the certificate.
    pub on_aws: Option<OnAwsPlan>,
}

/// What is asked for.
#[derive(Debug)]
pub struct SessionPlan {
    /// Trust anchor, profile and role.
    pub arns: SessionArns,
    /// The region to sign for.
    pub region: String,
    /// Where the request goes.
    pub endpoint: Endpoint,
    /// How long the credentials are to live, in seconds.
    pub duration: u32,
    /// The name of the role session.
    pub role_session_name: Option<String>,
}

/// How the service is reached.
#[derive(Debug)]
pub struct NetworkPlan {
    /// Trust, proxy, timeouts.
    pub transport: TransportOptions,
    /// How often and how long to try.
    pub retry: Retry,
    /// Whether the service's clock corrects ours.
    pub correct_clock: bool,
    /// Where the last verified time is kept.
    pub state: Option<PathBuf>,
}

impl Plan {
    /// Checks everything that flags, environment and file say.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(
        given: &dyn Given,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        let identity = IdentityPlan::new(given, sources, context)?;
        sources.require(&REQUIRED)?;
        let session = SessionPlan::new(sources, context)?;
        let network = NetworkPlan::new(sources, &session.endpoint, context)?;
        Ok(Self {
            on_aws: OnAwsPlan::new(sources, &session, &network, context)?,
            identity,
            session,
            network,
            cache: CachePlan::new(sources, context)?,
        })
    }
}

/// No call of a device takes longer, if nobody has to do anything at it.
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
const DEFAULT_DEVICE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one call of a device may take.
///
/// # Errors
/// [`CliError`] if that is no duration.
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
pub fn device_timeout(sources: &Sources<'_>) -> Result<Duration, CliError> {
    let timeout = sources.parsed(Setting::TokenTimeout, positive)?;
    Ok(timeout.unwrap_or(DEFAULT_DEVICE_TIMEOUT))
}

/// Where a secret comes from.
///
/// # Errors
/// [`CliError`] if that is no source of secrets.
pub fn secret_source(
    setting: Setting,
    sources: &Sources<'_>,
) -> Result<Option<SecretSource>, CliError> {
    let mut source = sources.parsed(setting, str::parse::<SecretSource>)?;
    if let Some(SecretSource::File(path)) = &mut source
        && let Some(whole) = sources.file(setting)
    {
        *path = whole;
    }
    Ok(source)
}

impl SessionPlan {
    fn new(sources: &Sources<'_>, context: &Context<'_>) -> Result<Self, CliError> {
        let text = |setting| sources.text(setting).map(Option::unwrap_or_default);
        let arns = SessionArns::new(
            &text(Setting::TrustAnchorArn)?,
            &text(Setting::ProfileArn)?,
            &text(Setting::RoleArn)?,
        )
        .map_err(|error| {
            CliError::usage(
                format!("{error}"),
                "trust anchor, profile and role are all of one account and one partition; copy the \
                 ARNs from the console or from `aws rolesanywhere list-trust-anchors`",
            )
        })?;
        let region = region(sources, &arns)?;
        Ok(Self {
            endpoint: endpoint(sources, &region, context)?,
            region,
            arns,
            duration: session_duration(sources)?,
            role_session_name: sources.parsed(Setting::RoleSessionName, role_session_name)?,
        })
    }
}

fn region(sources: &Sources<'_>, arns: &SessionArns) -> Result<String, CliError> {
    let region = sources.parsed(Setting::Region, |region| {
        let partition = endpoint::Partition::of_region(region);
        if !endpoint::is_region(region) {
            Err(String::from("this is no region such as eu-west-1"))
        } else if partition != arns.partition() {
            let (is, should) = (partition.name, arns.partition().name);
            Err(format!(
                "this is in partition {is}, the ARNs are in {should}"
            ))
        } else {
            Ok(String::from(region))
        }
    })?;
    Ok(region.unwrap_or_else(|| String::from(arns.region())))
}

fn endpoint(
    sources: &Sources<'_>,
    region: &str,
    context: &Context<'_>,
) -> Result<Endpoint, CliError> {
    let variant = Variant {
        fips: sources.switch(Setting::Fips)?,
        dual_stack: sources.switch(Setting::DualStack)?,
    };
    let Some(custom) = sources.parsed(Setting::Endpoint, Endpoint::custom)? else {
        if variant.fips && !endpoint::has_fips(region) {
            context.console.warn(
                &format!("AWS lists no FIPS endpoint of IAM Roles Anywhere in {region}"),
                "there are some in us-east-1, us-east-2, us-west-1, us-west-2, us-gov-east-1 and \
                 us-gov-west-1",
            );
        }
        return Ok(Endpoint::rolesanywhere(region, variant));
    };
    if variant != Variant::default() {
        return Err(CliError::usage(
            "an endpoint of your own goes together with neither fips nor dual-stack",
            "they choose among AWS's own endpoints; name the one that you want with --endpoint",
        ));
    }
    if !custom.tls && !custom.is_loopback() && !sources.switch(Setting::AllowHttp)? {
        return Err(CliError::usage(
            format!(
                "the endpoint {} is on another machine and has no TLS: the credentials would \
                 cross the network in clear",
                custom.url("")
            ),
            "use https://, or --allow-http where the network is protected otherwise",
        ));
    }
    Ok(custom)
}

fn session_duration(sources: &Sources<'_>) -> Result<u32, CliError> {
    let duration = sources.parsed(Setting::SessionDuration, |text| {
        let seconds = crate::host::duration::parse(text).map(|duration| duration.as_secs());
        match seconds {
            Ok(seconds) if DURATIONS.contains(&seconds) => {
                u32::try_from(seconds).map_err(|error| format!("{error}"))
            }
            Ok(_) => Err(String::from(
                "sessions last from 900 seconds (15m) to 43200 (12h)",
            )),
            Err(error) => Err(format!("{error}")),
        }
    })?;
    Ok(duration.unwrap_or(DEFAULT_DURATION))
}

/// STS's rule; Roles Anywhere publishes none of its own.
fn role_session_name(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if (2..=64).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(String::from(text))
    } else {
        Err("a role session name has 2 to 64 letters, digits and _+=,.@-")
    }
}

impl NetworkPlan {
    /// Checks what is said of the way to a service.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(
        sources: &Sources<'_>,
        endpoint: &Endpoint,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        let default = TransportOptions::default();
        let timeout = sources.parsed(Setting::Timeout, positive)?;
        let retry = Retry::default();
        let connect_timeout = sources.parsed(Setting::ConnectTimeout, positive)?;
        Ok(Self {
            transport: TransportOptions {
                trust: trust(sources, endpoint, context)?,
                proxy: chosen_proxy(sources, endpoint, context.environment)?,
                connect_timeout: connect_timeout.unwrap_or(default.connect_timeout),
                timeout: timeout.map_or(default.timeout, |all| all.min(default.timeout)),
            },
            retry: Retry {
                attempts: sources
                    .parsed(Setting::MaxAttempts, attempts)?
                    .unwrap_or(retry.attempts),
                within: timeout.unwrap_or(retry.within),
                ..retry
            },
            correct_clock: sources.switch(Setting::CorrectClock)?,
            state: state_dir(sources, context.environment),
        })
    }
}

/// Where what has to outlive the process is kept: what is asked for (systemd may name several folders
/// there), or the usual place of the user or, without a home, of the system.
pub fn state_dir(sources: &Sources<'_>, environment: &dyn Environment) -> Option<PathBuf> {
    if let Some(found) = sources.get(Setting::StateDir) {
        return first(&found.value);
    }
    let folder = |name, below: &str| {
        let folder = PathBuf::from(environment.var(name)?);
        folder.is_absolute().then(|| folder.join(below))
    };
    folder("XDG_STATE_HOME", "keystead")
        .or_else(|| folder("HOME", ".local/state/keystead"))
        .or_else(|| Some(PathBuf::from("/var/lib/keystead")))
}

/// The first of the folders in one of systemd's variables.
pub fn first(folders: &OsStr) -> Option<PathBuf> {
    let first = folders.as_bytes().split(|&byte| byte == b':').next()?;
    Some(OsStr::from_bytes(first).into())
}

/// A duration that is not zero.
pub fn positive(text: &str) -> Result<Duration, String> {
    match crate::host::duration::parse(text) {
        Ok(Duration::ZERO) => Err(String::from("this has to be longer than nothing")),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}")),
    }
}

fn attempts(text: &str) -> Result<u32, &'static str> {
    match text.parse() {
        Ok(attempts @ 1..=100) => Ok(attempts),
        _ => Err("the number of attempts is from 1 to 100"),
    }
}

fn trust(
    sources: &Sources<'_>,
    endpoint: &Endpoint,
    context: &Context<'_>,
) -> Result<Trust, CliError> {
    if sources.switch(Setting::NoVerifySsl)? {
        context.console.warn(
            &format!(
                "THE CERTIFICATE OF {} IS NOT VERIFIED: whoever is on the way can answer in its \
                 place and take the credentials",
                endpoint.authority
            ),
            "leave --no-verify-ssl out; for a certificate of your own, --ca-bundle FILE",
        );
        return Ok(Trust::Anyone);
    }
    Ok(match sources.file(Setting::CaBundle) {
        Some(bundle) => Trust::Bundle(bundle),
        None => Trust::System,
    })
}

fn chosen_proxy(
    sources: &Sources<'_>,
    endpoint: &Endpoint,
    environment: &dyn Environment,
) -> Result<Option<String>, CliError> {
    let proxy = sources.text(Setting::Proxy)?;
    if proxy.is_some() || !sources.switch(Setting::WithProxy)? {
        return Ok(proxy);
    }
    Ok(proxy::from_environment(endpoint, environment))
}

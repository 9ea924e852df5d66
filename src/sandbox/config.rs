//! What the sandbox is: `sandbox.toml`, or the ready-made set.
//!
//! ```toml
//! account = "111122223333"        # these are the defaults
//! region = "eu-west-1"
//! date-window = "5m"              # how far a request's date may be off
//! certificate-rules = true        # refuse device certificates that AWS refuses
//! buckets = ["sensor-logs"]       # made at the start
//!
//! [trust-anchor.devices]          # the ARN's UUID is made from the name, or given as `id`
//! certificates = ["root.pem"]     # PEM or DER, paths relative to this file; at most two
//! crls = ["root.crl"]             # read again for each request
//! enabled = true
//!
//! [profile.sensor-hub]
//! roles = ["SensorWriter"]        # names from below
//! session-duration = "30m"        # 15 minutes to 12 hours
//! accept-role-session-name = false
//! session-policy = "writer.json"  # a path, or the JSON itself; none by default
//! enabled = true
//!
//! [role.SensorWriter]
//! policy = '''{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
//!   "Action": "s3:PutObject", "Resource": "arn:aws:s3:::sensor-logs/sensors/*"}}'''
//! max-session-duration = "1h"
//! trusted = true                  # the trust policy lets Roles Anywhere assume it
//! ```

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use s3s::path::check_bucket_name;

use super::account::{Account, Profile, Role, TrustAnchor};
use super::clock::SandboxClock;
use super::faults::Faults;
use super::policy::{Policy, PolicyError};
use super::record::Observer;
use crate::backend::file::read_certificates;
use crate::backend::regular_file;
use crate::host::document::{DocumentError, Table};
use crate::host::endpoint::{Partition, is_region};

/// Everything that [`Sandbox::start`](super::Sandbox::start) needs.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; only on loopback. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Plain HTTP or HTTPS.
    pub scheme: Scheme,
    /// The account.
    pub account: Account,
    /// The buckets that there are from the start.
    pub buckets: Vec<String>,
    /// Where objects are kept: a directory that is there. `None` keeps them in a temporary one.
    pub storage: Option<PathBuf>,
    /// How far the date of a request to IAM Roles Anywhere and STS may be off.
    pub date_window: Duration,
    /// Whether device certificates have to follow AWS's rules for them.
    pub certificate_rules: bool,
    /// The clock.
    pub clock: SandboxClock,
    /// What goes wrong.
    pub faults: Faults,
    /// Sees each request when it is answered.
    pub observer: Option<Observer>,
}

/// How the sandbox is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// TLS with a certificate from an authority of its own.
    Https,
}

/// Why there is no configuration.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file cannot be read.
    Read(PathBuf, std::io::Error),
    /// The document is wrong.
    Document(DocumentError),
    /// A policy of the ready-made set is wrong.
    ReadyMade(PolicyError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Document(error) => error.fmt(f),
            Self::ReadyMade(error) => write!(f, "the ready-made policies: {error}"),
        }
    }
}

impl core::error::Error for ConfigError {}

impl From<DocumentError> for ConfigError {
    fn from(error: DocumentError) -> Self {
        Self::Document(error)
    }
}

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const BUCKET: &str = "sensor-logs";

/// The ready-made hub role may do nothing else.
const HUB_POLICY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    "Action": "s3:PutObject", "Resource": "arn:aws:s3:::sensor-logs/sensors/*"}}"#;

/// The ready-made developer role may do everything that the sandbox can.
const DEVELOPER_POLICY: &str = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
    "Action": "s3:*", "Resource": "*"}}"#;

impl Config {
    /// An account over HTTPS on a free port, with AWS's own limits.
    pub fn new(account: Account) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            scheme: Scheme::Https,
            account,
            buckets: Vec::new(),
            storage: None,
            date_window: Duration::from_secs(300),
            certificate_rules: true,
            clock: SandboxClock::system(),
            faults: Faults::default(),
            observer: None,
        }
    }

    /// The ready-made set: one trust anchor; the profile of a sensor hub, whose sessions of 30
    /// minutes may write below `s3://sensor-logs/sensors/`; the profile of a developer.
    ///
    /// # Errors
    /// None in practice: the policies are part of the program.
    pub fn ready_made(certificate: Vec<u8>, crl: Option<PathBuf>) -> Result<Self, ConfigError> {
        let policy = |json| Policy::parse(json).map_err(ConfigError::ReadyMade);
        let mut account = Account::new(ACCOUNT, REGION);
        account.trust_anchors.push(TrustAnchor {
            arn: account.trust_anchor_arn("devices"),
            certificates: std::vec![certificate],
            crls: crl.into_iter().collect(),
            enabled: true,
        });
        let hub = Profile {
            duration_seconds: 1800,
            ..Profile::new(&account, "sensor-hub", &["SensorWriter"])
        };
        let developer = Profile {
            accept_role_session_name: true,
            ..Profile::new(&account, "developer", &["Developer"])
        };
        let writer = Role::new(&account, "SensorWriter", policy(HUB_POLICY)?);
        let everything = Role::new(&account, "Developer", policy(DEVELOPER_POLICY)?);
        account.profiles = [hub, developer].map(Arc::new).into();
        account.roles = [writer, everything].map(Arc::new).into();
        Ok(Self {
            buckets: std::vec![BUCKET.to_owned()],
            ..Self::new(account)
        })
    }

    /// Reads `sandbox.toml`.
    ///
    /// # Errors
    /// [`ConfigError`], with file, line and key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        let name = path.display().to_string();
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut top = Table::parse(&name, &text)?;
        let account = top.string("account")?.unwrap_or_else(|| ACCOUNT.to_owned());
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(top.error("`account` has to be twelve digits").into());
        }
        let region = top.string("region")?.unwrap_or_else(|| REGION.to_owned());
        if !is_region(&region) || Partition::of_region(&region).name != "aws" {
            let what = format!("`region` has to be one of the partition aws, not {region:?}");
            return Err(top.error(&what).into());
        }
        let mut account = Account::new(&account, &region);
        for (name, table) in top.tables("trust-anchor")? {
            let anchor = trust_anchor(&account, &name, table, directory)?;
            account.trust_anchors.push(anchor);
        }
        for (name, table) in top.tables("role")? {
            let role = role(&account, &name, table, directory)?;
            account.roles.push(Arc::new(role));
        }
        for (name, table) in top.tables("profile")? {
            let profile = profile(&account, &name, table, directory)?;
            account.profiles.push(Arc::new(profile));
        }
        let mut this = Self::new(account);
        this.buckets = top.strings("buckets")?;
        if let Some(wrong) = this.buckets.iter().find(|name| !check_bucket_name(name)) {
            let what = format!("`buckets`: S3 takes no bucket named {wrong:?}");
            return Err(top.error(&what).into());
        }
        if let Some(window) = top.duration("date-window")? {
            this.date_window = window;
        }
        if let Some(rules) = top.boolean("certificate-rules")? {
            this.certificate_rules = rules;
        }
        top.finish()?;
        Ok(this)
    }
}

fn trust_anchor(
    account: &Account,
    name: &str,
    mut table: Table<'_>,
    directory: &Path,
) -> Result<TrustAnchor, ConfigError> {
    let id = table.string("id")?;
    let mut certificates = Vec::new();
    for path in table.strings("certificates")? {
        let read = read_certificates(&directory.join(path));
        certificates.extend(read.map_err(|error| table.error(&error.to_string()))?);
    }
    if !matches!(certificates.len(), 1 | 2) {
        let what = format!(
            "a trust anchor has one or two certificates, not {}",
            certificates.len()
        );
        return Err(table.error(&what).into());
    }
    let mut crls = Vec::new();
    for path in table.strings("crls")? {
        let path = directory.join(path);
        if !path.is_file() {
            return Err(table
                .error(&format!("{} is no file", path.display()))
                .into());
        }
        crls.push(path);
    }
    let anchor = TrustAnchor {
        arn: account.trust_anchor_arn(id.as_deref().unwrap_or(name)),
        certificates,
        crls,
        enabled: table.boolean("enabled")?.unwrap_or(true),
    };
    table.finish()?;
    Ok(anchor)
}

fn profile(
    account: &Account,
    name: &str,
    mut table: Table<'_>,
    directory: &Path,
) -> Result<Profile, ConfigError> {
    // It becomes the name of an AWS profile and of an identity of keystead.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(plain) {
        let what = "a profile's name has letters, digits, `-` and `_` only";
        return Err(table.error(what).into());
    }
    let id = table.string("id")?;
    let roles = table.strings("roles")?;
    let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
    let mut profile = Profile::new(account, name, &roles);
    if let Some(id) = id {
        profile.arn = account.profile_arn(&id);
    }
    if let Some(unknown) = profile
        .roles
        .iter()
        .find(|arn| !account.roles.iter().any(|role| role.arn == **arn))
    {
        let name = unknown.rsplit('/').next().unwrap_or(unknown);
        let what = format!("there is no role `{name}`: write a table [role.{name}]");
        return Err(table.error(&what).into());
    }
    if let Some(seconds) = session_seconds(&mut table, "session-duration")? {
        profile.duration_seconds = seconds;
    }
    if let Some(accept) = table.boolean("accept-role-session-name")? {
        profile.accept_role_session_name = accept;
    }
    profile.session_policy = policy(&mut table, "session-policy", directory)?;
    profile.enabled = table.boolean("enabled")?.unwrap_or(true);
    table.finish()?;
    Ok(profile)
}

fn role(
    account: &Account,
    name: &str,
    mut table: Table<'_>,
    directory: &Path,
) -> Result<Role, ConfigError> {
    let Some(policy) = policy(&mut table, "policy", directory)? else {
        return Err(table.error("a role needs a `policy`").into());
    };
    let mut role = Role::new(account, name, policy);
    if let Some(seconds) = session_seconds(&mut table, "max-session-duration")? {
        role.max_session_seconds = seconds;
    }
    role.trusts_roles_anywhere = table.boolean("trusted")?.unwrap_or(true);
    table.finish()?;
    Ok(role)
}

/// The shortest and the longest session, in seconds (CreateSession, `durationSeconds`).
pub(super) const SESSION_SECONDS: core::ops::RangeInclusive<u32> = 900..=43_200;

fn session_seconds(table: &mut Table<'_>, key: &'static str) -> Result<Option<u32>, DocumentError> {
    let Some(duration) = table.duration(key)? else {
        return Ok(None);
    };
    match u32::try_from(duration.as_secs()) {
        Ok(seconds) if SESSION_SECONDS.contains(&seconds) => Ok(Some(seconds)),
        _ => Err(table.error(&format!("`{key}` has to be between 15m and 12h"))),
    }
}

/// A policy: the JSON itself, or the path of a file that holds it.
fn policy(
    table: &mut Table<'_>,
    key: &'static str,
    directory: &Path,
) -> Result<Option<Policy>, ConfigError> {
    let Some(value) = table.string(key)? else {
        return Ok(None);
    };
    let (json, place) = if value.trim_start().starts_with('{') {
        (value, format!("`{key}`"))
    } else {
        let path = directory.join(value);
        (read_text(&path)?, path.display().to_string())
    };
    match Policy::parse(&json) {
        Ok(policy) => Ok(Some(policy)),
        Err(error) => Err(table
            .error(&format!("{place} is no policy: {error}"))
            .into()),
    }
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    regular_file::read_text(path).map_err(|error| ConfigError::Read(path.to_owned(), error))
}

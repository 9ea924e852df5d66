//! An identity in files as a source.

use core::time::Duration;
use core::{fmt, iter};
use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use super::source::{Failure, FailureKind, Opened, Source};
use crate::backend::file::{self, FileIdentity};
use crate::backend::secret::Secret;
use crate::core::x509::Certificate;
use crate::host::arn::SessionArns;
use crate::host::clock::HostClock;
use crate::host::endpoint::{Endpoint, Variant};
use crate::host::requester::{Requester, SessionRequest};
use crate::host::rules;
use crate::host::session::Retry;
use crate::host::transport::{HttpTransport, TransportOptions};

/// What a session is asked to live if nobody says.
const DEFAULT_DURATION: u32 = 3600;

/// Certificate and key in files, and what is asked for with them. The files are read when a refresher
/// opens the identity, and again when they change.
#[derive(Debug, Clone)]
pub struct IdentityFiles {
    certificate: PathBuf,
    private_key: Option<PathBuf>,
    intermediates: Option<PathBuf>,
    password: Option<Secret>,
    arns: SessionArns,
    duration_seconds: u32,
    role_session_name: Option<String>,
    endpoint: Endpoint,
    transport: TransportOptions,
    clock: Arc<HostClock>,
}

impl IdentityFiles {
    /// A certificate, alone or with its chain and its key, PEM, DER or PKCS#12; sessions of an hour from
    /// the endpoint of the trust anchor's region.
    pub fn new(certificate: impl Into<PathBuf>, arns: SessionArns) -> Self {
        Self {
            certificate: certificate.into(),
            private_key: None,
            intermediates: None,
            password: None,
            duration_seconds: DEFAULT_DURATION,
            role_session_name: None,
            endpoint: Endpoint::rolesanywhere(arns.region(), Variant::default()),
            transport: TransportOptions::default(),
            clock: Arc::new(HostClock::new(None)),
            arns,
        }
    }

    /// The private key, where it is not in the certificate's file.
    pub fn private_key(mut self, path: impl Into<PathBuf>) -> Self {
        self.private_key = Some(path.into());
        self
    }

    /// The certificates up to the trust anchor, where they are not in the certificate's file.
    pub fn intermediates(mut self, path: impl Into<PathBuf>) -> Self {
        self.intermediates = Some(path.into());
        self
    }

    /// The password of the private key, or of the PKCS#12 file.
    pub fn password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// How long sessions are asked to live: 15 minutes to 12 hours. The profile may shorten it.
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.duration_seconds = u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        self
    }

    /// The name of the role session; the profile has to allow it.
    pub fn role_session_name(mut self, name: impl Into<String>) -> Self {
        self.role_session_name = Some(name.into());
        self
    }

    /// Another endpoint: a VPC endpoint, FIPS, a sandbox.
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = endpoint;
        self
    }

    /// How the endpoint is reached: whom to trust, a proxy, timeouts.
    pub fn transport(mut self, options: TransportOptions) -> Self {
        self.transport = options;
        self
    }

    /// The clock that this identity goes by.
    pub fn clock(&self) -> &Arc<HostClock> {
        &self.clock
    }

    /// The file of the certificate.
    pub fn certificate_path(&self) -> &Path {
        &self.certificate
    }

    /// Opens the identity. Nothing is sent.
    ///
    /// # Errors
    /// [`Failure`] naming the file or the rule.
    pub fn requester(&self) -> Result<Requester, Failure> {
        let files = FileIdentity {
            certificate: &self.certificate,
            private_key: self.private_key.as_deref(),
            intermediates: self.intermediates.as_deref(),
        };
        let (identity, _) = file::open(&files, &mut || Ok(self.password.clone()))
            .map_err(|error| lasting(&error, error.remedy().unwrap_or_default()))?;
        let certificate = self.certificate.display();
        let leaf = Certificate::from_der(identity.leaf())
            .map_err(|error| lasting(&std::format!("{certificate}: {error}"), String::new()))?;
        if let Some(violation) = rules::check(&leaf, self.clock.trusted()).first() {
            let what = std::format!("{certificate}: Roles Anywhere does not take it: {violation}");
            return Err(lasting(&what, violation.remedy().to_owned()));
        }
        let url = self.endpoint.url("");
        let transport = HttpTransport::new(url, &self.transport, self.clock.clone())
            .map_err(|error| lasting(&error, String::new()))?;
        Ok(Requester {
            request: SessionRequest {
                host: self.endpoint.authority.clone(),
                region: self.arns.region().to_owned(),
                trust_anchor_arn: self.arns.trust_anchor().as_str().to_owned(),
                profile_arn: self.arns.profile().as_str().to_owned(),
                role_arn: self.arns.role().as_str().to_owned(),
                duration_seconds: self.duration_seconds,
                role_session_name: self.role_session_name.clone(),
            },
            identity,
            transport,
            clock: self.clock.clone(),
            correct_clock: false,
            // Who is throttled waits for much longer than a moment, and the refresher knows how long.
            retry: Retry {
                when_throttled: false,
                ..Retry::default()
            },
        })
    }
}

/// A failure that a person has to do something about.
fn lasting(what: &dyn fmt::Display, remedy: String) -> Failure {
    Failure {
        kind: FailureKind::Lasting,
        what: what.to_string(),
        remedy,
    }
}

impl Source for IdentityFiles {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        Ok(Box::new(self.requester()?))
    }

    fn files(&self) -> Vec<PathBuf> {
        let others = [&self.private_key, &self.intermediates];
        let others = others.into_iter().flatten().cloned();
        iter::once(self.certificate.clone()).chain(others).collect()
    }
}

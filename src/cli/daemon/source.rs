//! An identity as flags, environment and `keystead.toml` have it at the moment.

use core::time::Duration;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::thread;
use std::vec::Vec;

use clap::ArgMatches;

use super::footprint::Footprint;
use crate::backend::Identity;
use crate::backend::secret::SecretSource;
use crate::cli::attended::{self, unattended};
use crate::cli::context::{Console, Context, ProcessEnvironment};
use crate::cli::debug::Debug;
use crate::cli::error::{CliError, Exit};
use crate::cli::identity_plan::IdentityPlan;
use crate::cli::plan::{Plan, REQUIRED};
use crate::cli::sources::Sources;
use crate::cli::{flags, refusal, session};
use crate::core::key::SignError;
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::host::clock::HostClock;
use crate::host::on_aws::UsedRole;
use crate::host::refresh::{Failure, FailureKind, Fresh, Meter, Opened, Source};
use crate::host::requester::Requester;
use crate::host::session::{CreateErrorKind, Retry, Watcher};
use crate::host::tls::Trust;

/// One identity, read anew each time that it is opened.
pub struct Configured {
    flags: ArgMatches,
    identity: Option<String>,
    drop_in: bool,
    console: Console,
    clock: Arc<HostClock>,
    meter: Meter,
    files: Vec<PathBuf>,
    footprint: Footprint,
    has_device: bool,
    role: UsedRole,
    about: About,
    /// What [`opened`](Self::opened) has opened, until it is taken.
    first: Option<Box<dyn Opened>>,
}

/// What outputs tell about an identity.
#[derive(Debug, Clone)]
pub struct About {
    /// Its name in `keystead.toml`; `default`, if flags and variables alone say what it is.
    pub name: String,
    /// The role.
    pub role_arn: String,
    /// The region.
    pub region: String,
}

impl About {
    fn new(plan: &Plan, sources: &Sources<'_>) -> Self {
        let configuration = sources.configuration();
        Self {
            name: configuration
                .map_or("default", |(_, identity)| identity.name())
                .into(),
            role_arn: plan.session.arns.role().as_str().into(),
            region: plan.session.region.clone(),
        }
    }
}

impl Configured {
    /// The identity `identity` of `keystead.toml`; without a name, what `flags` and environment say.
    ///
    /// # Errors
    /// [`CliError`] if what is configured now cannot be used.
    pub fn new(
        flags: &ArgMatches,
        identity: Option<&str>,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        let sources = Sources::of_identity(flags, identity, context).completed(&REQUIRED)?;
        let plan = Plan::new(flags, &sources, context)?;
        Ok(Self {
            flags: flags.clone(),
            identity: identity.map(String::from),
            drop_in: context.drop_in,
            console: context.console,
            clock: session::clock(&plan, context),
            meter: Meter::default(),
            files: files(&plan, &sources),
            footprint: Footprint::of(&plan, &sources, context)?,
            has_device: has_device(&plan.identity),
            role: UsedRole::default(),
            about: About::new(&plan, &sources),
            first: None,
        })
    }

    /// What it needs of the system for as long as it runs.
    pub fn footprint(&self) -> &Footprint {
        &self.footprint
    }

    /// The same, opened on this thread: what is wrong with certificate or key ends the program here, and
    /// whoever is asked for a PIN is asked before anything runs in the background. Later nobody is.
    ///
    /// # Errors
    /// [`CliError`] if certificate or key cannot be opened.
    pub fn opened(mut self) -> Result<Self, CliError> {
        self.first = Some(self.reopen()?);
        Ok(self)
    }

    /// What outputs tell about it.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The clock that everything about this identity goes by.
    pub fn clock(&self) -> &Arc<HostClock> {
        &self.clock
    }

    fn reopen(&mut self) -> Result<Box<dyn Opened>, CliError> {
        let environment = ProcessEnvironment::default();
        let context = Context {
            drop_in: self.drop_in,
            environment: &environment,
            console: self.console,
        };
        let identity = self.identity.as_deref();
        let sources = Sources::of_identity(&self.flags, identity, &context).completed(&REQUIRED)?;
        let plan = Plan::new(&self.flags, &sources, &context)?;
        self.files = files(&plan, &sources);
        self.has_device = has_device(&plan.identity);
        if let Some(on_aws) = &plan.on_aws
            && let Some(role) = on_aws.open(&mut self.role, &self.clock)?
        {
            return Ok(role);
        }
        let requester = session::open(&plan, &context, &self.clock)?;
        let (chain, signer) = requester.identity.into_parts();
        let identity = Identity::new(chain, self.meter.count(signer))
            .map_err(|error| CliError::new(Exit::Key, error.to_string(), ""))?;
        // Who is throttled waits for much longer than a moment.
        let retry = Retry {
            when_throttled: false,
            ..requester.retry
        };
        let requester = Requester {
            identity,
            retry,
            ..requester
        };
        Ok(self.role.unless(Box::new(OpenedIdentity {
            plan,
            requester,
            debug: flags::switch(&self.flags, "debug")?,
        })))
    }
}

impl Source for Configured {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        if let Some(opened) = self.first.take() {
            return Ok(opened);
        }
        match unattended(|| self.reopen()) {
            Ok(opened) => Ok(opened),
            Err(error) => {
                let kind = match error.exit {
                    // What is not plugged in now may be soon.
                    Exit::Key if self.has_device => FailureKind::Temporary,
                    Exit::Network | Exit::Internal => FailureKind::Temporary,
                    _ => FailureKind::Lasting,
                };
                Err(failure(kind, error))
            }
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files.clone()
    }

    fn reload(&mut self) {
        // What the start has opened is not opened again.
        if self.first.is_none() {
            self.role.may_be_left();
        }
    }

    fn has_device(&self) -> bool {
        // A machine's role is looked at with each session.
        self.has_device && !self.role.is_used()
    }

    fn meter(&self) -> Option<Meter> {
        Some(self.meter.clone())
    }

    fn pin_tries(&self) -> Option<u32> {
        attended::tries()
    }
}

/// The files that decide about the identity.
fn files(plan: &Plan, sources: &Sources<'_>) -> Vec<PathBuf> {
    let identity = &plan.identity;
    let places = [&identity.certificate, &identity.key].into_iter().flatten();
    let mut files: Vec<PathBuf> = places
        .filter_map(|place| place.file().map(PathBuf::from))
        .chain(identity.intermediates.clone())
        .collect();
    if let Some(SecretSource::File(path)) = &identity.password {
        files.push(path.clone());
    }
    if let Trust::Bundle(path) = &plan.network.transport.trust {
        files.push(path.clone());
    }
    if let Some((path, _)) = sources.configuration() {
        files.push(path.into());
    }
    files
}

/// Whether a certificate or a key is somewhere else than in a file.
fn has_device(plan: &IdentityPlan) -> bool {
    let mut places = [&plan.certificate, &plan.key].into_iter().flatten();
    places.any(|place| place.file().is_none())
}

fn failure(kind: FailureKind, error: CliError) -> Failure {
    Failure {
        kind,
        what: error.what,
        remedy: error.remedy,
    }
}

/// An identity that is open.
struct OpenedIdentity {
    plan: Plan,
    requester: Requester,
    debug: bool,
}

impl Opened for OpenedIdentity {
    fn create(&mut self) -> Result<Fresh, Failure> {
        let watcher: &mut dyn Watcher = if self.debug { &mut Debug } else { &mut () };
        match unattended(|| self.requester.create(&mut thread::sleep, watcher)) {
            Ok(created) => {
                session::keep_confirmed(&self.plan, created.confirmed);
                Ok(Fresh {
                    credentials: created.credentials,
                    date: created.date,
                })
            }
            Err(error) => {
                if matches!(error.kind, CreateErrorKind::Sign(SignError::PinLocked)) {
                    attended::told_tries(Some(0));
                }
                Err(failure(
                    FailureKind::from(&error),
                    refusal::of(&error, &self.plan),
                ))
            }
        }
    }

    fn certificate_expires(&self) -> Option<UnixTime> {
        let leaf = Certificate::from_der(self.requester.identity.leaf()).ok()?;
        Some(leaf.not_after)
    }

    fn certificate(&self) -> Option<&[u8]> {
        Some(self.requester.identity.leaf())
    }

    fn session(&self) -> Option<Duration> {
        let seconds = self.requester.request.duration_seconds;
        Some(Duration::from_secs(seconds.into()))
    }
}

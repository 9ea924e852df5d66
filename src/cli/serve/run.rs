//! Serving, from the plan to the end.

use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::string::String;
use std::vec;
use std::vec::Vec;

use clap::ArgMatches;

use super::doors::{self, Open};
use super::exports;
use super::handed::Handed;
use super::plan::ServePlan;
use crate::cli::context::{self, Context, tell};
use crate::cli::daemon::{Configured, Footprint, Log, Reporter, Service};
use crate::cli::error::{CliError, Exit};
use crate::host::refresh::{Options, Refresher};
use crate::output::http::{Handler, Limits, Outcome, Request, Server};
use crate::output::serve::{Authorization, Served, Site, new_token};

/// How long a request waits for the first credentials: botocore gives IMDS a second.
const PATIENCE: Duration = Duration::from_millis(900);

/// Opens everything, says so, and serves until the end.
///
/// # Errors
/// [`CliError`] if something cannot be opened; nothing is served then.
pub fn run(
    plan: &ServePlan,
    handed: Handed,
    matches: &ArgMatches,
    service: &Service,
    context: &Context<'_>,
) -> Result<ExitCode, CliError> {
    // Before a key is opened and somebody asked for its PIN.
    let open = doors::open(plan, handed)?;
    let token = match &plan.token {
        Some(file) => file.token()?,
        // Nobody can ask for what it would open.
        None => new_token().map_err(|_| no_randomness())?,
    };
    let identities = configured(plan, matches, context)?;
    service.confine(&footprint(plan, &identities), context)?;
    let identities = identities.into_iter().map(Configured::opened);
    let identities = identities.collect::<Result<Vec<_>, _>>()?;
    let announcement = Announcement::new(plan, &open, &identities);
    let clock = identities.first().map(|first| first.clock().clone());
    let clock = clock.ok_or_else(|| CliError::usage("there is no identity to serve", ""))?;
    let (listeners, doors) = open.into_iter().map(|one| (one.listener, one.door)).unzip();
    let limits = Limits {
        park: PATIENCE,
        ..Limits::default()
    };
    let mut server = Server::new(listeners, limits).map_err(|error| failed(&error))?;
    let (served, refreshers) = refreshed(identities, &server, context)?;
    let waker = server.waker();
    let reporter = service.watch(refreshers, Box::new(move || waker.stop()))?;
    let authorization = Authorization::new(&token).map_err(|_| no_randomness())?;
    let site = Site::new(served, doors, authorization, clock).map_err(|_| no_randomness())?;
    announcement.tell()?;
    service.ready();
    let mut reported = Reported { site, reporter };
    server.run(&mut reported).map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// A site of which the service manager hears.
struct Reported {
    site: Site,
    reporter: Reporter,
}

impl Handler for Reported {
    fn handle(&mut self, request: &Request<'_>) -> Outcome {
        self.site.handle(request)
    }

    fn woken(&mut self) {
        self.site.woken();
        self.reporter.changed();
    }

    fn tick(&mut self) -> Option<Duration> {
        self.reporter.beat()
    }
}

/// What the daemon needs from here on: its identities, and the folder of its socket, which it removes.
fn footprint(plan: &ServePlan, identities: &[Configured]) -> Footprint {
    let mut all = Footprint::default();
    for identity in identities {
        all.add(identity.footprint());
    }
    let folder = plan.socket.as_ref().and_then(|socket| socket.parent());
    all.needs.write.extend(folder.map(Path::to_path_buf));
    all
}

/// The identities as they are configured.
fn configured(
    plan: &ServePlan,
    matches: &ArgMatches,
    context: &Context<'_>,
) -> Result<Vec<Configured>, CliError> {
    let one = |name| Configured::new(matches, name, context);
    if plan.identities.is_empty() {
        return Ok(vec![one(None)?]);
    }
    let names = plan.identities.iter();
    names.map(|name| one(Some(name))).collect()
}

/// Starts a thread for each identity. The first credentials are asked for when the first program wants them,
/// or some time before: a fleet that gets its power back does not ask at once.
fn refreshed(
    identities: Vec<Configured>,
    server: &Server,
    context: &Context<'_>,
) -> Result<(Vec<Served>, Vec<Refresher>), CliError> {
    let mut all = vec![];
    let mut refreshers = vec![];
    for identity in identities {
        let about = identity.about().clone();
        let options = Options::new(identity.clock().clone());
        let log = Box::new(Log::new(&about.name, context.console));
        let refresher = Refresher::start(&about.name, Box::new(identity), options, log)
            .map_err(|error| failed(&error))?;
        let waker = server.waker();
        refresher.on_change(Box::new(move || waker.wake()));
        refreshers.push(refresher.clone());
        all.push(Served::new(
            about.name,
            about.role_arn,
            about.region,
            Box::new(refresher),
        ));
    }
    Ok((all, refreshers))
}

/// What is said when everything is open.
struct Announcement {
    exports: String,
    as_helper: Option<String>,
}

impl Announcement {
    fn new(plan: &ServePlan, open: &[Open], identities: &[Configured]) -> Self {
        let names: Vec<_> = identities
            .iter()
            .map(|identity| identity.about().name.clone())
            .collect();
        let token = plan.token.as_ref().map(|token| token.path.as_path());
        Self {
            exports: exports::text(open, &names, token.map(absolute).as_deref()),
            as_helper: exports::as_helper(open).filter(|_| plan.drop_in),
        }
    }

    fn tell(&self) -> Result<(), CliError> {
        match &self.as_helper {
            Some(text) => tell(format_args!("{text}")),
            None => context::print(self.exports.as_bytes())?,
        }
        Ok(())
    }
}

/// Programs are started in other folders.
fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

fn failed(error: &io::Error) -> CliError {
    CliError::new(Exit::Internal, format!("the system refuses: {error}"), "")
}

fn no_randomness() -> CliError {
    CliError::new(Exit::Internal, "the system has no randomness", "")
}

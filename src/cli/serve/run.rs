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
use super::plan::ServePlan;
use crate::cli::context::{self, Context, tell};
use crate::cli::daemon::{Configured, Log};
use crate::cli::error::{CliError, Exit};
use crate::host::refresh::{Options, Refresher};
use crate::output::http::{Limits, Server};
use crate::output::serve::{Authorization, Served, Site, new_token};

/// How long a request waits for the first credentials: botocore gives IMDS a second.
const PATIENCE: Duration = Duration::from_millis(900);

/// Opens everything, says so, and serves until the end.
///
/// # Errors
/// [`CliError`] if something cannot be opened; nothing is served then.
pub fn run(
    plan: &ServePlan,
    matches: &ArgMatches,
    context: &Context<'_>,
) -> Result<ExitCode, CliError> {
    // Before a key is opened and somebody asked for its PIN.
    let open = doors::open(plan)?;
    let token = match &plan.token {
        Some(file) => file.token()?,
        // Nobody can ask for what it would open.
        None => new_token().map_err(|_| no_randomness())?,
    };
    let identities = configured(plan, matches, context)?;
    let announcement = Announcement::new(plan, &open, &identities);
    let clock = identities.first().map(|first| first.clock().clone());
    let clock = clock.ok_or_else(|| CliError::usage("there is no identity to serve", ""))?;
    let (listeners, doors) = open.into_iter().map(|one| (one.listener, one.door)).unzip();
    let limits = Limits {
        park: PATIENCE,
        ..Limits::default()
    };
    let mut server = Server::new(listeners, limits).map_err(|error| failed(&error))?;
    let served = refreshed(identities, &server, context)?;
    let authorization = Authorization::new(&token).map_err(|_| no_randomness())?;
    let mut site = Site::new(served, doors, authorization, clock).map_err(|_| no_randomness())?;
    announcement.tell()?;
    server.run(&mut site).map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// The identities, with their certificates and keys open.
fn configured(
    plan: &ServePlan,
    matches: &ArgMatches,
    context: &Context<'_>,
) -> Result<Vec<Configured>, CliError> {
    let one = |name| Configured::new(matches, name, context)?.opened();
    if plan.identities.is_empty() {
        return Ok(vec![one(None)?]);
    }
    let names = plan.identities.iter();
    names.map(|name| one(Some(name))).collect()
}

/// Starts a thread for each identity. The first credentials are asked for at once: they are there when the
/// first program wants them.
fn refreshed(
    identities: Vec<Configured>,
    server: &Server,
    context: &Context<'_>,
) -> Result<Vec<Served>, CliError> {
    let mut all = vec![];
    for identity in identities {
        let about = identity.about().clone();
        let options = Options::new(identity.clock().clone());
        let log = Box::new(Log::new(&about.name, context.console));
        let refresher = Refresher::start(&about.name, Box::new(identity), options, log)
            .map_err(|error| failed(&error))?;
        let waker = server.waker();
        refresher.on_change(Box::new(move || waker.wake()));
        let _ = refresher.credentials();
        all.push(Served::new(
            about.name,
            about.role_arn,
            about.region,
            Box::new(refresher),
        ));
    }
    Ok(all)
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

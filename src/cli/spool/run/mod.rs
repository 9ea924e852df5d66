//! `keystead spool run`: delivers what is in the spool, for as long as the machine runs.

mod buckets;
mod log;
mod plan;
mod site;

use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use clap::{ArgMatches, Command};

use self::log::DeliveryLog;
use self::plan::{Identity, RunPlan};
use self::site::Site;
use super::failure;
use super::intake::Intake;
use super::report::SOCKET;
use crate::cli::context::Context;
use crate::cli::daemon::{Activated, Footprint, Log, Service, Socket};
use crate::cli::error::{CliError, Exit};
use crate::cli::{flags, push};
use crate::core::time::Clock as _;
use crate::host::config::Setting;
use crate::host::push_config::{PushSetting, SpoolSetting};
use crate::host::refresh::{Options, Refresher, SystemClocks};
use crate::host::spool::Spool;
use crate::output::http::{Limits, Listener, Server};
use crate::output::push::Sessions;
use crate::output::push::deliver::{Deliverer, Fixed, OfIdentity, StartError};

/// The name of the command.
pub const NAME: &str = "run";

const ABOUT: &str = "Deliver what is in the spool, as long as it runs";

const DETAILS: &str = "\
    keystead spool run --identity hub
    keystead spool run --watch /var/spool/sensors --record-socket /run/keystead/records.sock

Uploads the oldest entries first, and deletes each when S3 has confirmed its checksum. Nothing is given up: \
offline, throttled, refused or with a wrong clock it goes on trying. Entries that are refused for themselves are set \
aside (`keystead spool retry`, `keystead spool drop`). `keystead spool status` says how it is.";

/// How long what is under way may take when the program is to end. systemd waits for 30 seconds.
const DRAIN: Duration = Duration::from_secs(20);

/// The command.
pub fn command() -> Command {
    let command = Command::new(NAME).about(ABOUT).after_help(DETAILS);
    let command = flags::signing(command, &Setting::ALL);
    let command = push::flags::add(command, &[PushSetting::To]);
    let command = push::flags::add(command, &PushSetting::OF_OBJECT);
    let command = push::flags::add(command, &PushSetting::OF_DELIVERY);
    push::flags::add_spool(command, &SpoolSetting::ALL)
}

/// Runs the command.
///
/// # Errors
/// [`CliError`] if it cannot begin. From then on failures are told, and tried again.
pub fn run(matches: &ArgMatches, context: &Context<'_>) -> Result<ExitCode, CliError> {
    // First of all: what the service manager hands over is taken before there is a second thread.
    let mut service = Service::begin(context)?;
    let handed = handed(service.take_sockets())?;
    let plan = RunPlan::new(matches, handed.is_some(), context)?;
    let spool = plan.spool.open()?;
    let listeners = listeners(&plan, &spool)?;
    service.confine(&footprint(&plan, &spool), context)?;
    let (sessions, refreshers) = sessions(plan.identity, context)?;
    let deliverer = Deliverer::start(
        spool.clone(),
        Box::new(plan.buckets),
        sessions,
        Arc::new(SystemClocks(plan.clock.clone())),
        plan.options,
        Box::new(DeliveryLog::new(context.console)),
    )
    .map_err(|error| match error {
        StartError::Spool(error) => failure::of(&error, ""),
        StartError::System(error) => failed(&error),
    })?;
    let deliverer = Arc::new(deliverer);
    // Whoever delivers alone takes over as well.
    let intake = Intake::start(
        &plan.intake,
        &spool,
        plan.namer,
        handed,
        plan.spool.options.group,
        context.console,
    )?;
    let mut server = Server::new(listeners, Limits::default()).map_err(|error| failed(&error))?;
    let waker = server.waker();
    deliverer.on_change(Box::new({
        let waker = waker.clone();
        move || waker.wake()
    }));
    for refresher in &refreshers {
        let deliverer = Arc::downgrade(&deliverer);
        refresher.on_change(Box::new(move || {
            if let Some(deliverer) = deliverer.upgrade() {
                deliverer.session_changed();
            }
        }));
    }
    let drain = Arc::downgrade(&deliverer);
    let drain = move || {
        if let Some(deliverer) = drain.upgrade() {
            deliverer.drain();
        }
        waker.stop();
    };
    let ask = Arc::downgrade(&deliverer);
    let ask = move || {
        if let Some(deliverer) = ask.upgrade() {
            deliverer.ask();
        }
    };
    let reporter = service.watch_with(refreshers.clone(), Box::new(drain), Box::new(ask))?;
    context.console.note(&format!(
        "delivering {}",
        deliverer.spool().path().display()
    ));
    service.ready();
    let mut site = Site::new(
        deliverer.clone(),
        intake.tally(),
        refreshers,
        plan.clock.now(),
        reporter,
    );
    let served = server.run(&mut site).map_err(|error| failed(&error));
    drop(intake);
    deliverer.finish(DRAIN);
    site.leave();
    served.map(|()| ExitCode::SUCCESS)
}

/// The socket in the spool's folder, and the address that was asked for.
fn listeners(plan: &RunPlan, spool: &Spool) -> Result<Vec<Listener>, CliError> {
    let path = spool.path().join(SOCKET);
    // Whoever may add may ask how it is.
    let is_shared = fs::metadata(spool.path()).is_ok_and(|folder| folder.mode() & 0o020 != 0);
    let mode = if is_shared { 0o660 } else { 0o600 };
    let socket = Listener::bind_unix(&path, mode).map_err(|error| {
        let what = format!("cannot listen at {}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::AddrInUse => CliError::new(
                Exit::Internal,
                format!(
                    "the spool {} is being delivered by another process",
                    spool.path().display()
                ),
                "stop the other one first: `systemctl status keystead-spool`",
            ),
            _ => CliError::new(
                Exit::Internal,
                what,
                "name a shorter folder, or one that may be written",
            ),
        }
    })?;
    let mut all = Vec::from([socket]);
    if let Some(address) = plan.metrics {
        all.push(Listener::bind_tcp(address).map_err(|error| {
            CliError::new(
                Exit::Internal,
                format!("cannot listen at {address}: {error}"),
                "--metrics names another address",
            )
        })?);
    }
    Ok(all)
}

/// The socket for records that the service manager has opened.
fn handed(sockets: Vec<Activated>) -> Result<Option<UnixListener>, CliError> {
    let mut records = None;
    for Activated { name, socket } in sockets {
        match socket {
            Socket::Unix(socket) if records.is_none() => records = Some(socket),
            _ => {
                return Err(CliError::usage(
                    format!(
                        "the service manager has opened the socket `{name}`, and nothing is served there"
                    ),
                    "one socket with ListenStream=PATH is for records",
                ));
            }
        }
    }
    Ok(records)
}

/// What the daemon needs from here on: the identity, the spool, and the way to S3.
fn footprint(plan: &RunPlan, spool: &Spool) -> Footprint {
    let mut all = Footprint::default();
    match &plan.identity {
        Identity::Configured(source) => all.add(source.footprint()),
        Identity::Environment(_) => all.needs.read_system(),
    }
    all.reach(&plan.endpoint, &plan.transport);
    all.unconfined = all.unconfined.or_else(|| plan.unconfined.clone());
    all.needs.write.push(spool.path().into());
    all.needs.write.extend(plan.intake.writes());
    all.needs.moves_files = true;
    all
}

type SessionsAndRefreshers = (Arc<dyn Sessions>, Vec<Refresher>);

/// Opens the identity, so that what is wrong with it is said now; no session is begun before there is something to
/// send.
fn sessions(identity: Identity, context: &Context<'_>) -> Result<SessionsAndRefreshers, CliError> {
    let source = match identity {
        Identity::Environment(credentials) => {
            return Ok((Arc::new(Fixed(Arc::new(credentials))), Vec::new()));
        }
        Identity::Configured(source) => source.opened()?,
    };
    let name: String = source.about().name.to_string();
    let options = Options::new(source.clock().clone()).on_demand();
    let log = Box::new(Log::new(&name, context.console));
    let refresher =
        Refresher::start(&name, Box::new(source), options, log).map_err(|error| failed(&error))?;
    Ok((
        Arc::new(OfIdentity(refresher.clone())),
        Vec::from([refresher]),
    ))
}

fn failed(error: &io::Error) -> CliError {
    CliError::new(Exit::Internal, format!("the system refuses: {error}"), "")
}

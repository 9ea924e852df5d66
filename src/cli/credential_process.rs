//! `keystead credential-process`: a session's credentials for the AWS command line and SDKs.

use std::ffi::OsString;
use std::format;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::Command;

use super::cache::{self, Fresh};
use super::context::{self, Context};
use super::debug::Debug;
use super::error::CliError;
use super::plan::{Plan, REQUIRED};
use super::sources::Sources;
use super::{flags, identity, parse, refusal};
use crate::core::create_session::CreateSession;
use crate::host::clock::{ConfirmedTime, HostClock};
use crate::host::config::Setting;
use crate::host::session::{self, Watcher};
use crate::host::transport::HttpTransport;
use crate::output::credential_process;

/// One line about it.
pub const ABOUT: &str = "Print credentials in the form of AWS's credential_process";

const DETAILS: &str = "\
In ~/.aws/config:

    [profile hub]
    credential_process = keystead credential-process --identity hub

The flags for identity, AWS and network can also be set as variables (--role-arn: KEYSTEAD_ROLE_ARN) \
or as keys of [identity.NAME] in keystead.toml, which is looked for in $XDG_CONFIG_HOME/keystead/ \
(~/.config/keystead/) and /etc/keystead/. The file is read if --config or --identity ask for it, or if \
flags and variables leave open one of certificate, trust-anchor-arn, profile-arn and role-arn. \
`keystead config check` shows what each value is and where it comes from.";

const USER_AGENT: &str = concat!("keystead/", env!("CARGO_PKG_VERSION"));

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Command::new("credential-process")
        .about(ABOUT)
        .after_help(DETAILS);
    let command = flags::common(command, &Setting::ALL);
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let sources = Sources::new(&matches, context).completed(&REQUIRED)?;
    let plan = Plan::new(&matches, &sources, context)?;
    let debug = flags::switch(&matches, "debug")?;
    let clock = clock(&plan, context);
    let credentials = cache::credentials(&plan, context, &clock, debug, || {
        if debug {
            begin(&plan, context, &clock, &mut Debug)
        } else {
            begin(&plan, context, &clock, &mut ())
        }
    })?;
    context::print(credential_process::document(&credentials).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Where the last verified time is kept.
fn confirmed(plan: &Plan) -> Option<ConfirmedTime> {
    let folder = plan.network.state.as_ref()?;
    Some(ConfirmedTime::at(folder.join("time")))
}

/// The clock, of which people are told if it is wrong.
fn clock(plan: &Plan, context: &Context<'_>) -> Arc<HostClock> {
    let confirmed = confirmed(plan);
    let clock = HostClock::new(confirmed.as_ref().and_then(ConfirmedTime::load));
    if clock.trusted().is_none() {
        context.console.warn(
            &format!(
                "this machine's clock is wrong: it is {} at the earliest, which is taken for now",
                clock.floor()
            ),
            "set the clock, or let --correct-clock sign with the service's time",
        );
    }
    Arc::new(clock)
}

/// Opens the identity and begins a session.
fn begin(
    plan: &Plan,
    context: &Context<'_>,
    clock: &Arc<HostClock>,
    watcher: &mut dyn Watcher,
) -> Result<Fresh, CliError> {
    let mut identity = identity::open(&plan.identity, clock.trusted(), context)?;
    let session = &plan.session;
    let transport = HttpTransport::new(
        session.endpoint.url(""),
        &plan.network.transport,
        clock.clone(),
    );
    let mut transport = transport.map_err(|error| refusal::transport(&error, &session.endpoint))?;
    let request = CreateSession {
        host: &session.endpoint.authority,
        region: &session.region,
        trust_anchor_arn: session.arns.trust_anchor().as_str(),
        profile_arn: session.arns.profile().as_str(),
        role_arn: session.arns.role().as_str(),
        duration_seconds: Some(session.duration),
        role_session_name: session.role_session_name.as_deref(),
        user_agent: USER_AGENT,
    };
    let mut environment = session::Environment {
        clock,
        correct_clock: plan.network.correct_clock,
        retry: plan.network.retry,
        sleep: &mut thread::sleep,
        watcher,
    };
    let asked = cache::moment(clock);
    let created = session::create(&request, &mut identity, &mut transport, &mut environment)
        .map_err(|error| refusal::of(&error, plan))?;
    if let (Some(file), Some(time)) = (confirmed(plan), created.confirmed) {
        // It only makes the next start surer: a read-only system works as well.
        let _ = file.store(time);
    }
    Ok(Fresh { created, asked })
}

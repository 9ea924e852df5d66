//! From the plan to what asks for sessions.

use std::format;
use std::string::String;
use std::sync::Arc;
use std::thread;

use super::cache::{self, Fresh};
use super::context::Context;
use super::debug::Debug;
use super::error::CliError;
use super::plan::Plan;
use super::{identity, refusal};
use crate::core::time::UnixTime;
use crate::host::arn::Arn;
use crate::host::clock::{ConfirmedTime, HostClock};
use crate::host::requester::{Requester, SessionRequest};
use crate::host::session::{Credentials, Watcher};
use crate::host::transport::HttpTransport;

/// The credentials of a command that asks once: of the machine's own role if that is to go first, from the
/// cache, or of a session that is begun. With `debug` people see how.
///
/// # Errors
/// [`CliError`], if there is neither.
pub fn credentials(
    plan: &Plan,
    debug: bool,
    context: &Context<'_>,
) -> Result<Credentials, CliError> {
    let clock = clock(plan, context);
    if let Some(on_aws) = &plan.on_aws
        && let Some(credentials) = on_aws.credentials(&clock, debug)?
    {
        return Ok(credentials);
    }
    cache::credentials(plan, context, &clock, debug, || {
        if debug {
            begin(plan, context, &clock, &mut Debug)
        } else {
            begin(plan, context, &clock, &mut ())
        }
    })
}

/// Credentials of a new session, for whom the service has refused those that there were.
///
/// # Errors
/// [`CliError`], if there are none.
#[cfg(feature = "push")]
pub fn begun_anew(
    plan: &Plan,
    debug: bool,
    context: &Context<'_>,
) -> Result<Credentials, CliError> {
    let clock = clock(plan, context);
    let watcher: &mut dyn Watcher = if debug { &mut Debug } else { &mut () };
    let fresh = begin(plan, context, &clock, watcher)?;
    Ok(fresh.created.credentials)
}

/// Opens the identity and begins a session.
fn begin(
    plan: &Plan,
    context: &Context<'_>,
    clock: &Arc<HostClock>,
    watcher: &mut dyn Watcher,
) -> Result<Fresh, CliError> {
    let mut requester = open(plan, context, clock)?;
    let asked = cache::moment(clock);
    let created = requester
        .create(&mut thread::sleep, watcher)
        .map_err(|error| refusal::of(&error, plan))?;
    keep_confirmed(plan, created.confirmed);
    Ok(Fresh { created, asked })
}

/// The clock, of which people are told if it is wrong.
pub fn clock(plan: &Plan, context: &Context<'_>) -> Arc<HostClock> {
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

/// Opens the identity, and prepares everything for asking. Nothing is sent.
///
/// # Errors
/// [`CliError`] naming the file, the token, the rule or the setting.
pub fn open(
    plan: &Plan,
    context: &Context<'_>,
    clock: &Arc<HostClock>,
) -> Result<Requester, CliError> {
    let identity = identity::open(&plan.identity, clock.trusted(), context)?;
    let session = &plan.session;
    let transport = HttpTransport::new(
        session.endpoint.url(""),
        &plan.network.transport,
        clock.clone(),
    );
    let transport = transport.map_err(|error| refusal::transport(&error, &session.endpoint))?;
    let arn = |arn: &Arn| String::from(arn.as_str());
    Ok(Requester {
        request: SessionRequest {
            host: session.endpoint.authority.clone(),
            region: session.region.clone(),
            trust_anchor_arn: arn(session.arns.trust_anchor()),
            profile_arn: arn(session.arns.profile()),
            role_arn: arn(session.arns.role()),
            duration_seconds: session.duration,
            role_session_name: session.role_session_name.clone(),
        },
        identity,
        transport,
        clock: clock.clone(),
        correct_clock: plan.network.correct_clock,
        retry: plan.network.retry,
    })
}

/// Keeps a time that verified TLS has confirmed.
pub fn keep_confirmed(plan: &Plan, time: Option<UnixTime>) {
    if let (Some(file), Some(time)) = (confirmed(plan), time) {
        // It only makes the next start surer: a read-only system works as well.
        let _ = file.store(time);
    }
}

/// Where the last verified time is kept.
fn confirmed(plan: &Plan) -> Option<ConfirmedTime> {
    let folder = plan.network.state.as_ref()?;
    Some(ConfirmedTime::at(folder.join("time")))
}

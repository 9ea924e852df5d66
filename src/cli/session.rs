//! From the plan to what asks for sessions.

use std::format;
use std::string::String;
use std::sync::Arc;

use super::context::Context;
use super::error::CliError;
use super::plan::Plan;
use super::{identity, refusal};
use crate::core::time::UnixTime;
use crate::host::arn::Arn;
use crate::host::clock::{ConfirmedTime, HostClock};
use crate::host::requester::{Requester, SessionRequest};
use crate::host::transport::HttpTransport;

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

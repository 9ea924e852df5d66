//! The cache of credentials: where it is, what a command takes from it, and `keystead cache`.

mod command;
mod failure;
mod key;
mod plan;

pub use command::{ABOUT, run};
pub use plan::CachePlan;

use core::fmt;
use core::time::Duration;
use std::format;
use std::string::ToString as _;
use std::sync::Arc;

use super::context::{Context, tell};
use super::error::CliError;
use super::identity_plan::IdentityPlan;
use super::place::Place;
use super::plan::Plan;
use crate::host::cache::{Cache, Clocks as _, Created, Moment, Source, SystemClocks, Wanted};
use crate::host::clock::HostClock;
use crate::host::session::{self, Credentials};

/// How long a process may take to say that it has failed.
const SAID: Duration = Duration::from_secs(1);

/// A session that was just begun.
pub struct Fresh {
    /// The session.
    pub created: session::Created,
    /// The time just before it was asked for, if the system has clocks that a cache can go by.
    pub asked: Option<Moment>,
}

/// The time, if the system has clocks that a cache can go by.
pub fn moment(clock: &Arc<HostClock>) -> Option<Moment> {
    SystemClocks::new(clock.clone()).map(|clocks| clocks.now())
}

/// Gives credentials from the cache, or those of the session that `create` begins. A cache that cannot be
/// used is none; with `debug` people are told why.
///
/// # Errors
/// That of `create`.
pub fn credentials(
    plan: &Plan,
    context: &Context<'_>,
    clock: &Arc<HostClock>,
    debug: bool,
    create: impl FnOnce() -> Result<Fresh, CliError>,
) -> Result<Credentials, CliError> {
    let note = |what: fmt::Arguments<'_>| {
        if debug {
            tell(format_args!("--- cache: {what}"));
        }
    };
    let Some((cache, clocks, wanted)) = usable(plan, context, clock, &note) else {
        return create().map(|fresh| fresh.created.credentials);
    };
    let obtained = cache.obtain(
        &wanted,
        &clocks,
        || {
            let fresh = create()?;
            Ok(Created {
                date: fresh.created.date,
                credentials: fresh.created.credentials,
                asked: fresh.asked.unwrap_or_else(|| clocks.now()),
            })
        },
        &mut |event| note(format_args!("{event}")),
    )?;
    if let Source::Remaining { left, error } = &obtained.source {
        let minutes = left.as_secs() / 60;
        let what = format!(
            "{}; credentials of the cache that live {minutes} minutes more are used instead",
            error.what
        );
        context.console.warn(&what, &error.remedy);
    }
    Ok(obtained.credentials)
}

/// The cache, its clocks, and what is wanted of it, if all of that can be had.
fn usable(
    plan: &Plan,
    context: &Context<'_>,
    clock: &Arc<HostClock>,
    note: &dyn Fn(fmt::Arguments<'_>),
) -> Option<(Cache, SystemClocks, Wanted)> {
    let cache = plan
        .cache
        .open(&Cache::open, context.console, &|why| note(why))?;
    note(format_args!("{}", cache.path().display()));
    let Some(clocks) = SystemClocks::new(clock.clone()) else {
        note(format_args!(
            "off: this system does not say when it was booted"
        ));
        return None;
    };
    let key = match key::of(plan, context) {
        Ok(key) => key,
        // Without the cache the error will say which file.
        Err(error) => {
            note(format_args!("off: {error}"));
            return None;
        }
    };
    let wanted = Wanted {
        key,
        identity: plan.cache.identity.clone(),
        certificate: certificate(&plan.identity),
        min_life: plan.cache.min_life,
        session: Duration::from_secs(plan.session.duration.into()),
        // Who asks gives up after that, and then has to say so.
        patience: plan.network.retry.within.saturating_add(SAID),
        way: key::of_way(plan),
    };
    Some((cache, clocks, wanted))
}

fn certificate(plan: &IdentityPlan) -> std::string::String {
    let place = plan.certificate.as_ref();
    place.map(Place::to_string).unwrap_or_default()
}

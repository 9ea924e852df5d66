//! Credentials for a command that uploads and ends: sessions from the cache, and new ones where they end on the way.

use core::time::Duration;
use std::boxed::Box;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::environment;
use super::plan::UploadPlan;
use crate::cli::context::{Console, Context, ProcessEnvironment};
use crate::cli::error::{CliError, Exit};
use crate::cli::plan::Plan;
use crate::cli::session;
use crate::host::clock;
use crate::host::refresh::{Failure, FailureKind};
use crate::host::session::Credentials;
use crate::output::push::Sessions;

/// So long before its end a session is not used any more: a request is on its way for a while.
const MARGIN: Duration = Duration::from_secs(120);

/// Opens what the plan says. The first session is begun here: whoever has to be asked for a PIN is asked before
/// anything else is on the terminal.
///
/// # Errors
/// [`CliError`] if there are no credentials.
pub fn open(
    plan: UploadPlan,
    debug: bool,
    context: &Context<'_>,
) -> Result<Box<dyn Sessions>, CliError> {
    let Some(plan) = plan.identity else {
        let fixed = environment::credentials(context.environment)?;
        return Ok(Box::new(Fixed(Arc::new(fixed))));
    };
    let sessions = OfIdentity {
        plan,
        debug,
        drop_in: context.drop_in,
        console: context.console,
        state: Mutex::default(),
    };
    sessions.lock().begin(&sessions)?;
    Ok(Box::new(sessions))
}

/// Those of the environment: there are no others.
struct Fixed(Arc<Credentials>);

impl Sessions for Fixed {
    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        Ok(self.0.clone())
    }

    fn refused(&self, _used: &Arc<Credentials>) {}
}

struct OfIdentity {
    plan: Plan,
    debug: bool,
    drop_in: bool,
    console: Console,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// The cache has nothing that is of use.
    refused: bool,
}

struct Current {
    credentials: Arc<Credentials>,
    /// When others are needed. With a clock that is wrong nobody knows: they are used until they are refused.
    until: Option<Instant>,
}

impl State {
    fn begin(&mut self, of: &OfIdentity) -> Result<Arc<Credentials>, CliError> {
        let environment = ProcessEnvironment::default();
        let context = Context {
            drop_in: of.drop_in,
            environment: &environment,
            console: of.console,
        };
        let credentials = match self.refused {
            true => session::begun_anew(&of.plan, of.debug, &context)?,
            false => session::credentials(&of.plan, of.debug, &context)?,
        };
        let left = credentials.expiration.since(clock::system_time());
        let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
        let credentials = Arc::new(credentials);
        self.refused = false;
        self.current = Some(Current {
            credentials: credentials.clone(),
            until: left
                .checked_sub(MARGIN)
                .filter(|left| !left.is_zero())
                .and_then(|left| Instant::now().checked_add(left)),
        });
        Ok(credentials)
    }
}

impl OfIdentity {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions for OfIdentity {
    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        let mut state = self.lock();
        if let Some(current) = &state.current {
            if current.until.is_none_or(|until| Instant::now() < until) {
                return Ok(current.credentials.clone());
            }
            // The cache may have the same.
            state.refused = true;
        }
        state.begin(self).map_err(|error| Failure {
            kind: match error.exit {
                Exit::Network => FailureKind::Temporary,
                _ => FailureKind::Lasting,
            },
            what: error.what,
            remedy: error.remedy,
        })
    }

    fn refused(&self, used: &Arc<Credentials>) {
        let mut state = self.lock();
        let is_current = |current: &Current| Arc::ptr_eq(&current.credentials, used);
        if state.current.as_ref().is_some_and(is_current) {
            state.current = None;
            state.refused = true;
        }
    }
}

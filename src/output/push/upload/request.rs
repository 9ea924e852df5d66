//! One request, with credentials that are good.

use std::sync::Arc;

use super::Sessions;
use crate::host::s3::FaultKind;
use crate::host::session::Credentials;
use crate::output::push::{Halt, Pace};

/// Makes a request with `once`. If its credentials are refused and others are to be had, it is made once more with
/// those; and once more if the clock was wrong, which the store has learned by then.
pub(super) fn request<T>(
    sessions: &dyn Sessions,
    pace: &Pace,
    once: impl FnMut(&Credentials) -> Result<T, Halt>,
) -> Result<T, Halt> {
    let current = || match pace.is_stopped() {
        true => Err(Halt::Stopped),
        false => sessions.credentials().map_err(Halt::Session),
    };
    repeat(sessions, current, once)
}

/// The same, also after a stop: for what is to be left in order.
pub(super) fn last_request<T>(
    sessions: &dyn Sessions,
    once: impl FnMut(&Credentials) -> Result<T, Halt>,
) -> Result<T, Halt> {
    let current = || sessions.credentials().map_err(Halt::Session);
    repeat(sessions, current, once)
}

fn repeat<T>(
    sessions: &dyn Sessions,
    current: impl Fn() -> Result<Arc<Credentials>, Halt>,
    mut once: impl FnMut(&Credentials) -> Result<T, Halt>,
) -> Result<T, Halt> {
    let mut credentials = current()?;
    let (mut renewed, mut clock_set) = (false, false);
    loop {
        let error = match once(&credentials) {
            Err(Halt::Store(error)) => error,
            other => return other,
        };
        match error.kind {
            FaultKind::Credentials if !renewed => {
                sessions.refused(&credentials);
                let next = current()?;
                if Arc::ptr_eq(&next, &credentials) {
                    return Err(Halt::Store(error));
                }
                credentials = next;
                renewed = true;
            }
            FaultKind::Clock if !clock_set => clock_set = true,
            _ => return Err(Halt::Store(error)),
        }
    }
}

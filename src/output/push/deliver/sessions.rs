//! Where the credentials for uploads come from.

use core::time::Duration;
use std::sync::Arc;

use crate::host::refresh::{Failure, Refresher};
use crate::host::session::Credentials;
use crate::output::push::Sessions;

/// How long an upload waits for a session: longer than one takes, with its few quick attempts.
const PATIENCE: Duration = Duration::from_secs(90);

/// Sessions of an identity, begun [on demand](crate::host::refresh::Options::on_demand).
pub struct OfIdentity(pub Refresher);

impl Sessions for OfIdentity {
    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        self.0.wait(PATIENCE)
    }

    fn refused(&self, used: &Arc<Credentials>) {
        self.0.refused(used);
    }

    fn network_changed(&self) {
        self.0.network_changed();
    }
}

/// Credentials that somebody has given once and for all: access keys of a user, or of a server that is not
/// AWS.
pub struct Fixed(pub Arc<Credentials>);

impl Sessions for Fixed {
    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        Ok(self.0.clone())
    }

    fn refused(&self, _used: &Arc<Credentials>) {
        // There are no others.
    }
}

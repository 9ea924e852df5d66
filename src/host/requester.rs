//! Everything that sessions of one identity are asked for with, in one value to keep.

use core::time::Duration;
use std::string::String;
use std::sync::Arc;

use super::clock::HostClock;
use super::session::{self, CreateError, Created, Retry, Watcher};
use super::transport::HttpTransport;
use crate::backend::Identity;
use crate::core::create_session::CreateSession;

const USER_AGENT: &str = concat!("keystead/", env!("CARGO_PKG_VERSION"));

/// What is asked for: the fields of [`CreateSession`], to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRequest {
    /// The value of the `Host` header: a name, and a port unless it is the scheme's own.
    pub host: String,
    /// The region to sign for.
    pub region: String,
    /// The trust anchor that the certificate chains to.
    pub trust_anchor_arn: String,
    /// The profile that lists the role.
    pub profile_arn: String,
    /// The role to assume.
    pub role_arn: String,
    /// How long the credentials are to live, 900 to 43,200 seconds.
    pub duration_seconds: u32,
    /// The name of the role session; the profile has to allow it.
    pub role_session_name: Option<String>,
}

/// An identity, a request, and the way to the service.
pub struct Requester {
    /// What is asked for.
    pub request: SessionRequest,
    /// Who asks.
    pub identity: Identity,
    /// The way to the service.
    pub transport: HttpTransport,
    /// The clock to sign by.
    pub clock: Arc<HostClock>,
    /// Whether to sign with the service's time where ours is wrong.
    pub correct_clock: bool,
    /// How often to try.
    pub retry: Retry,
}

impl Requester {
    /// Asks for a session, as often as [`Retry`] says, with `sleep` between the attempts.
    ///
    /// # Errors
    /// [`CreateError`]: the last attempt's.
    pub fn create(
        &mut self,
        sleep: &mut dyn FnMut(Duration),
        watcher: &mut dyn Watcher,
    ) -> Result<Created, CreateError> {
        let request = CreateSession {
            host: &self.request.host,
            region: &self.request.region,
            trust_anchor_arn: &self.request.trust_anchor_arn,
            profile_arn: &self.request.profile_arn,
            role_arn: &self.request.role_arn,
            duration_seconds: Some(self.request.duration_seconds),
            role_session_name: self.request.role_session_name.as_deref(),
            user_agent: USER_AGENT,
        };
        let mut environment = session::Environment {
            clock: &self.clock,
            correct_clock: self.correct_clock,
            retry: self.retry,
            sleep,
            watcher,
        };
        session::create(
            &request,
            &mut self.identity,
            &mut self.transport,
            &mut environment,
        )
    }
}

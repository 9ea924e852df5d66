//! Credentials where programs look for them on this machine: at an endpoint like that of a container, and
//! at one like EC2's instance metadata service. What is answered follows from a request and from the
//! credentials that there are; sockets are the HTTP server's (`output::http`).

mod authorization;
mod container;
mod documents;
mod health;
mod host;
mod identity;
mod imds;
mod metrics;
mod session_token;
mod uri;

#[cfg(test)]
mod tests;

pub use authorization::{Authorization, is_token, new_token};
pub use host::Hosts;
pub use identity::{Provider, Served};

use std::format;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use ring::error::Unspecified;

use self::metrics::Counts;
use self::session_token::SessionTokens;
use crate::core::time::Clock as _;
use crate::host::clock::HostClock;
use crate::output::http::{Handler, Outcome, Request, Response};

/// What one of the server's listeners is.
#[derive(Debug, Clone)]
pub struct Door {
    /// What is behind it.
    pub gives: Gives,
    /// What `Host` may be; nothing is asked where no browser comes: at a Unix socket, and at TLS, whose
    /// certificate is for other names.
    pub hosts: Option<Hosts>,
    /// Whether other machines come here: then nothing is told without the token.
    pub is_remote: bool,
}

/// What is behind a [`Door`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// All identities, to those with the token.
    Container,
    /// One identity, to everyone on this machine.
    Imds {
        /// Its index.
        identity: usize,
    },
}

/// Everything that is served.
pub struct Site {
    doors: Vec<Door>,
    identities: Vec<Served>,
    authorization: Authorization,
    tokens: SessionTokens,
    clock: Arc<HostClock>,
    counts: Counts,
}

impl Site {
    /// `identities` behind `doors`, which are in the order of the server's listeners.
    ///
    /// # Errors
    /// [`Unspecified`] if the system has no randomness.
    pub fn new(
        identities: Vec<Served>,
        doors: Vec<Door>,
        authorization: Authorization,
        clock: Arc<HostClock>,
    ) -> Result<Self, Unspecified> {
        Ok(Self {
            doors,
            identities,
            authorization,
            tokens: SessionTokens::new()?,
            clock,
            counts: Counts::default(),
        })
    }

    /// From now on another token opens the container's endpoint.
    pub fn authorize(&mut self, authorization: Authorization) {
        self.authorization = authorization;
    }
}

/// The path of an identity at a container's endpoint. Names that can be part of it as they are have
/// [`is_name`].
pub fn container_path(name: &str) -> String {
    format!("/{}/{name}", container::FOLDER)
}

/// Whether an identity of that name has a path.
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
}

/// What a request asked for, to count it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Endpoint {
    Container,
    Imds,
    Health,
    Metrics,
}

impl Handler for Site {
    fn handle(&mut self, request: &Request<'_>) -> Outcome {
        let (endpoint, outcome) = self.answer(request);
        if let Outcome::Done(response) = &outcome {
            self.counts.add(endpoint, response.status);
        }
        outcome
    }
}

impl Site {
    fn answer(&mut self, request: &Request<'_>) -> (Endpoint, Outcome) {
        let Some(door) = self.doors.get(request.listener) else {
            let response = Response::text(404, "nothing is here");
            return (Endpoint::Container, Outcome::Done(response));
        };
        let endpoint = match door.gives {
            Gives::Imds { .. } => Endpoint::Imds,
            Gives::Container => match uri::trimmed(request.path) {
                "healthz" => Endpoint::Health,
                "metrics" => Endpoint::Metrics,
                _ => Endpoint::Container,
            },
        };
        (endpoint, self.outcome(request, endpoint))
    }

    fn outcome(&mut self, request: &Request<'_>, endpoint: Endpoint) -> Outcome {
        let door = &self.doors[request.listener];
        if let Some(refusal) = foreign(request, door) {
            return Outcome::Done(refusal);
        }
        match (door.gives, endpoint) {
            (Gives::Imds { identity }, _) => match self.identities.get_mut(identity) {
                Some(served) => imds::handle(request, served, &self.tokens, self.clock.now()),
                None => Outcome::Done(Response::text(404, "nothing is here")),
            },
            (Gives::Container, Endpoint::Container | Endpoint::Imds) => {
                container::handle(request, &mut self.identities, &self.authorization)
            }
            (Gives::Container, Endpoint::Health | Endpoint::Metrics) => {
                Outcome::Done(self.observed(request, endpoint, door.is_remote))
            }
        }
    }

    fn observed(&self, request: &Request<'_>, endpoint: Endpoint, is_remote: bool) -> Response {
        if is_remote && let Err(refusal) = container::authorized(request, &self.authorization) {
            return refusal;
        }
        if !matches!(request.method, "GET" | "HEAD") {
            let mut response = Response::text(405, "this is for GET and HEAD\n");
            response.headers.push(("Allow", "GET, HEAD".into()));
            return response;
        }
        let statuses: Vec<_> = self.identities.iter().map(Served::status).collect();
        match endpoint {
            Endpoint::Metrics => metrics::response(&statuses, &self.counts),
            _ => health::response(&statuses),
        }
    }
}

/// The refusal of a request that a website may have made a browser send.
fn foreign(request: &Request<'_>, door: &Door) -> Option<Response> {
    if request.headers.contains("Origin") {
        return Some(Response::text(403, "requests from websites are refused\n"));
    }
    let hosts = door.hosts.as_ref()?;
    let mut named = request.headers.all("Host");
    match (named.next(), named.next()) {
        (Some(host), None) if hosts.allow(host) => None,
        (Some(_), None) => Some(Response::text(
            403,
            "Host is not this machine: --allow-host names another name that it has\n",
        )),
        _ => Some(Response::text(400, "there has to be one Host\n")),
    }
}

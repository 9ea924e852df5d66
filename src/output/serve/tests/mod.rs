//! What is answered to requests, without sockets.

mod container;
mod doors;
mod imds;
mod observed;
mod properties;

use core::cell::RefCell;
use core::time::Duration;
use std::boxed::Box;
use std::rc::Rc;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;
use std::{format, vec};

use serde_json::Value;
use zeroize::Zeroizing;

use super::{Authorization, Door, Gives, Hosts, Provider, Served, Site};
use crate::core::time::UnixTime;
use crate::host::clock::HostClock;
use crate::host::refresh::{Failure, FailureKind, Signatures, Status};
use crate::host::session::Credentials;
use crate::output::http::{Body, Handler as _, Header, Headers, Outcome, Request, Response};

const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ROLE: &str = "arn:aws:iam::111122223333:role/hubs/SensorWriter";
const NOW: &str = "2036-11-22T12:00:00Z";
const EXPIRATION: &str = "2036-11-22T13:00:00Z";

/// What an identity's refresher would have to say.
#[derive(Default)]
struct State {
    live: Option<Arc<Credentials>>,
    failure: Option<Failure>,
    /// Whether another attempt is under way.
    is_busy: bool,
    asked: usize,
}

struct Fake {
    name: &'static str,
    state: Rc<RefCell<State>>,
}

impl Provider for Fake {
    fn credentials(&self) -> Option<Arc<Credentials>> {
        let mut state = self.state.borrow_mut();
        state.asked += 1;
        state.live.clone()
    }

    fn status(&self) -> Status {
        let state = self.state.borrow();
        Status {
            name: self.name.into(),
            expiration: state.live.as_ref().map(|live| live.expiration),
            failure: state.failure.clone(),
            next_attempt: state
                .failure
                .as_ref()
                .filter(|_| !state.is_busy)
                .map(|_| Duration::from_secs(1)),
            successes: 3,
            failures: 3,
            temporary: 1,
            throttled: 2,
            reloads_refused: 4,
            signatures: Signatures {
                made: 5,
                failed: 1,
                time: Duration::from_millis(1500),
            },
            pin_tries: (self.name == "hub").then_some(2),
            ..Status::default()
        }
    }
}

fn time(text: &str) -> UnixTime {
    UnixTime::parse_rfc3339(text).unwrap()
}

fn credentials(number: u32) -> Credentials {
    Credentials {
        access_key_id: format!("ASIA{number}"),
        secret_access_key: Zeroizing::new(format!("secret/{number}+\"")),
        session_token: Zeroizing::new(format!("token=={number}")),
        expiration: time(EXPIRATION),
        role_arn: ROLE.into(),
    }
}

fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind,
        what: "the service says \"no\"".into(),
        remedy: String::new(),
    }
}

/// Two identities, `hub` and `lab`, behind three doors: the container's endpoint, the IMDS of each.
struct Scene {
    site: Site,
    hub: Rc<RefCell<State>>,
    lab: Rc<RefCell<State>>,
}

const CONTAINER: usize = 0;
const IMDS: usize = 1;
const IMDS_OF_LAB: usize = 2;

impl Scene {
    /// Both have credentials.
    fn new() -> Self {
        let scene = Self::without_credentials();
        for (number, state) in [&scene.hub, &scene.lab].into_iter().enumerate() {
            state.borrow_mut().live = Some(Arc::new(credentials(number as u32)));
        }
        scene
    }

    fn without_credentials() -> Self {
        let served = |name| {
            let state = Rc::<RefCell<State>>::default();
            let provider = Fake {
                name,
                state: state.clone(),
            };
            let provider = Box::new(provider);
            let served = Served::new(name.into(), ROLE.into(), "eu-west-1".into(), provider);
            (state, served)
        };
        let (hub, hub_served) = served("hub");
        let (lab, lab_served) = served("lab");
        let door = |gives| Door {
            gives,
            hosts: Some(Hosts::default()),
            is_remote: false,
        };
        let doors = vec![
            door(Gives::Container),
            door(Gives::Imds { identity: 0 }),
            door(Gives::Imds { identity: 1 }),
        ];
        let clock = Arc::new(HostClock::with_system(|| time(NOW), None));
        let authorization = Authorization::new(TOKEN).unwrap();
        let identities = vec![hub_served, lab_served];
        Self {
            site: Site::new(identities, doors, authorization, clock).unwrap(),
            hub,
            lab,
        }
    }

    fn outcome(
        &mut self,
        listener: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        is_last: bool,
    ) -> Outcome {
        let host = headers.iter().any(|(name, _)| *name == "Host");
        let default = [("Host", "127.0.0.1:9911")];
        let all = default[usize::from(host)..].iter().chain(headers);
        let headers: Vec<_> = all
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        self.site.handle(&Request {
            method,
            path,
            query: None,
            headers: Headers::new(&headers),
            listener,
            is_last,
        })
    }

    #[track_caller]
    fn answer(
        &mut self,
        listener: usize,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        match self.outcome(listener, method, path, headers, false) {
            Outcome::Done(response) => Answer::from(response),
            Outcome::Wait => panic!("{method} {path} waits"),
        }
    }

    #[track_caller]
    fn get(&mut self, listener: usize, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.answer(listener, "GET", path, headers)
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(known, _)| *known == name);
        let (_, value) = named.next()?;
        assert!(named.next().is_none(), "{name} is there twice");
        Some(value)
    }

    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.content_type, "application/json");
        serde_json::from_str(&self.body).unwrap()
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let body = match response.body {
            Body::Static(text) => text.to_string(),
            Body::Text(text) => text.to_string(),
            Body::Shared(text) => text.to_string(),
        };
        Self {
            status: response.status,
            content_type: response.content_type,
            headers: response.headers,
            body,
        }
    }
}

//! Services that refuse, throttle, cannot be reached, or have another time.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use keystead::core::http::{Answer, Request, TooLong, Transport};
use keystead::core::time::UnixTime;
use keystead::host::transport::{HttpError, HttpTransport};

use crate::line::Other;
use crate::scene::{Scene, assert_said, image};

/// A request's method, and what was answered.
pub struct Answered {
    pub method: String,
    pub status: u16,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn set(&mut self, name: &str, value: &str) {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.into()));
    }

    fn date(&self) -> UnixTime {
        let mut headers = self.headers.iter();
        let (_, date) = headers
            .find(|(name, _)| name.eq_ignore_ascii_case("date"))
            .unwrap();
        UnixTime::parse_http(std::str::from_utf8(date).unwrap()).unwrap()
    }
}

/// The sandbox, whose answers a test changes.
pub struct Altered<'a, F> {
    real: HttpTransport,
    alter: &'a RefCell<F>,
}

impl<'a, F: FnMut(&mut Answered)> Altered<'a, F> {
    pub fn new(real: HttpTransport, alter: &'a RefCell<F>) -> Self {
        Self { real, alter }
    }
}

impl<F: FnMut(&mut Answered)> Transport for Altered<'_, F> {
    type Error = HttpError;

    fn exchange(
        &mut self,
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Result<(), HttpError> {
        let mut answered = Answered {
            method: request.method.into(),
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
        };
        self.real.exchange(request, &mut answered)?;
        (self.alter.borrow_mut())(&mut answered);
        answer.status(answered.status);
        for (name, value) in &answered.headers {
            answer.header(name, value);
        }
        answer.body(&answered.body).expect("answers here are short");
        Ok(())
    }
}

impl Answer for Answered {
    fn status(&mut self, status: u16) {
        self.status = status;
        self.headers.clear();
        self.body.clear();
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        self.headers.push((name.into(), value.into()));
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        self.body.extend(piece);
        Ok(())
    }
}

#[test]
fn who_is_refused_does_not_ask_again() {
    let scene = Scene {
        role: "Developer",
        ..Scene::new()
    };
    let outcome = scene.run_with_service(|_| {});
    assert_said(
        &outcome,
        &["failed: AccessDeniedException (HTTP 403): ", "gave up"],
    );
    assert_eq!(scene.sandbox.session_requests().len(), 1);

    let scene = Scene {
        prefix: "elsewhere/",
        ..Scene::new()
    };
    let outcome = scene.run_with_service(|_| {});
    assert_said(
        &outcome,
        &[
            "session until 2",
            "failed: S3 refused with status 403, AccessDenied: ",
            "gave up",
        ],
    );
    assert_eq!(scene.sandbox.session_requests().len(), 1);
}

#[test]
fn who_is_throttled_waits_longer_each_time_and_as_long_as_it_is_told() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    let fault = |text: &str| text.parse().unwrap();
    faults.add(fault("rolesanywhere/throttle:2"));
    // To the sandbox, the questions for the time are S3's: there are three before.
    faults.add(fault("s3/throttle:1@3"));
    let begun = Instant::now();
    let mut refusals = 0;
    let outcome = scene.run_with_service(|answered| match answered.status {
        400 => {
            refusals += 1;
            // As it comes from AWS, and with a status alone.
            if refusals == 2 {
                answered.status = 429;
                answered.headers.clear();
                answered.body.clear();
            }
        }
        503 => answered.set("retry-after", "1"),
        _ => {}
    });
    assert_said(
        &outcome,
        &[
            "failed: ThrottlingException (HTTP 400)",
            "again in 10 ms",
            "failed: no error code (HTTP 429)",
            "again in 40 ms",
            "session until 2",
            "failed: S3 refused with status 503, SlowDown",
            "again in 1000 ms",
            "session until 2",
            "stored ",
            "done",
        ],
    );
    assert!(begun.elapsed() > Duration::from_secs(1));
    assert_eq!(scene.readings(), 1);
}

#[test]
fn who_is_always_throttled_gives_up() {
    let scene = Scene::new();
    let fault = "rolesanywhere/throttle".parse().unwrap();
    scene.sandbox.config().faults.add(fault);
    let outcome = scene.run_with_service(|_| {});
    assert_said(
        &outcome,
        &[
            "again in 10 ms",
            "again in 40 ms",
            "again in 160 ms",
            "gave up",
        ],
    );
    assert_eq!(scene.sandbox.session_requests().len(), 4);
}

#[test]
fn a_clock_that_is_off_is_asked_for_anew() {
    for (off, said) in [
        (-3600, "the clock is off by -3"),
        (3600, "the clock is off by 3"),
    ] {
        let scene = Scene::new();
        let mut is_first = true;
        let outcome = scene.run_with_service(|answered| {
            if answered.method == "HEAD" && std::mem::take(&mut is_first) {
                let wrong = answered.date().offset_by(off);
                answered.set("date", &wrong.http().to_string());
            }
        });
        let refused = "failed: AccessDeniedException (HTTP 403): ";
        assert_said(
            &outcome,
            &["time 2", refused, said, "again in 10 ms", "stored ", "done"],
        );
        assert_eq!(scene.readings(), 1);
    }
}

#[test]
fn a_service_that_cannot_be_reached_or_answers_nonsense() {
    let scene = Scene::new();
    let mut exchanges = 0;
    let outcome = scene.run_with_service(|answered| {
        exchanges += 1;
        match exchanges {
            1 => answered.headers.clear(),
            // What else there may be in a year that no clock has.
            2 => answered.set("date", "Fri, 31 Dec 9999 23:59:59 GMT"),
            4 => assert_eq!(answered.method, "HEAD"),
            5 => answered.body = b"{\"credentialSet\":[{\"credentials\":{}}]}".to_vec(),
            _ => {}
        }
    });
    assert_said(
        &outcome,
        &[
            "failed: no time: an answer without a date (HTTP 5",
            "time 9999-12-31T23:59:59Z",
            "the clock is off by 2",
            "failed: the answer has no accessKeyId",
            "done",
        ],
    );

    let scene = Scene::new();
    let fault = "rolesanywhere/drop:1".parse().unwrap();
    scene.sandbox.config().faults.add(fault);
    let outcome = scene.run_with_service(|_| {});
    assert_said(
        &outcome,
        &["failed: BadGateway (HTTP 502): ", "again in 10 ms", "done"],
    );
}

#[test]
fn an_element_that_is_late_or_gone() {
    let scene = Scene::impatient();
    let image = image("secure-element");
    // The first signature comes when the device asks for the time again.
    let (go, wait) = mpsc::channel();
    let (came, has_come) = mpsc::channel();
    let mut questions = 0;
    let late = move |answered: &mut Answered| {
        questions += usize::from(answered.method == "HEAD");
        if answered.method == "HEAD" && questions == 2 {
            go.send(()).unwrap();
            has_come.recv().unwrap();
        }
    };
    let bridge = &scene;
    let link = move |line: &UnixStream| bridge.bridge(line, late);
    let key = &scene.key;
    let element = move |line: &UnixStream| {
        let late = Other::new(line, |count, answer: &[u8], mut line: &UnixStream| {
            // The public key comes first.
            if count == 1 {
                wait.recv().map_err(io::Error::other)?;
            }
            line.write_all(answer)?;
            if count == 1 {
                came.send(()).map_err(io::Error::other)?;
            }
            Ok(())
        });
        drop(key.serve(late));
    };
    let outcome = scene.run_with(&image, link, element);
    let slow = "failed: the token did not answer in time";
    assert_said(&outcome, &[slow, "again in 10 ms", "stored ", "done"]);
    assert_eq!(scene.readings(), 1);

    let outcome = scene.run_with(&image, |_| {}, |_| {});
    let gone = "failed: the secure element does not answer";
    assert_said(&outcome, &[gone, "gave up"]);
}

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Instant;
use std::{assert, assert_eq};

use super::super::{Handler, Limits, Outcome, Request, Response};
use super::support::{Echo, PATIENCE, Running, await_asked, told};

const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";

/// Answers `/wait` when it is told to; is told of wakes.
struct Gate {
    open: Arc<AtomicBool>,
    asked: Sender<bool>,
    woken: bool,
}

impl Handler for Gate {
    fn handle(&mut self, request: &Request<'_>) -> Outcome {
        let _ = self.asked.send(self.woken);
        if request.path != "/wait" {
            return Echo.handle(request);
        }
        match self.open.load(Ordering::Acquire) {
            true => Outcome::Done(Response::text(200, "open")),
            false => Outcome::Wait,
        }
    }

    fn woken(&mut self) {
        self.woken = true;
    }
}

#[test]
fn a_waiting_request_is_answered_when_there_is_an_answer() {
    let open = Arc::new(AtomicBool::new(false));
    let (asked, receiver) = mpsc::channel();
    let gate = Gate {
        open: open.clone(),
        asked,
        woken: false,
    };
    let server = Running::plain(Limits::default(), gate);
    let mut client = server.client();
    // What follows waits behind it.
    client.send(&[WAIT, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(false));
    // Others do not.
    assert_eq!(server.client().get("/other").body, "GET /other ");
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(false));
    server.waker.wake();
    assert_eq!(receiver.recv_timeout(PATIENCE), Ok(true));
    // What comes while it waits is kept.
    client.send("GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
    open.store(true, Ordering::Release);
    server.waker.wake();
    assert_eq!(client.answer().body, "open");
    assert_eq!(client.answer().body, "GET /next ");
    assert_eq!(client.answer().body, "GET /last ");
}

#[test]
fn waiting_ends() {
    let limits = Limits {
        park: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Running::plain(limits.clone(), Echo);
    assert_eq!(server.client().ask(WAIT).body, "GET /wait ");
    // A handler that has no answer even then.
    let (asked, _receiver) = mpsc::channel();
    let open = Arc::default();
    let gate = Gate {
        open,
        asked,
        woken: false,
    };
    let server = Running::plain(limits, gate);
    let mut client = server.client();
    assert_eq!(client.ask(WAIT).status, 503);
    assert_eq!(client.get("/next").status, 200);
}

#[test]
fn only_so_many_requests_wait() {
    let limits = Limits {
        parked: 1,
        ..Limits::default()
    };
    let (handler, asked) = told();
    let server = Running::plain(limits, handler);
    let mut first = server.client();
    first.send(WAIT);
    await_asked(&asked, "/wait");
    assert_eq!(server.client().ask(WAIT).body, "GET /wait ");
    // When the first one is gone, another may wait.
    drop(server);
    assert_eq!(first.answer().body, "GET /wait ");
}

#[test]
fn a_server_that_is_stopped_finishes_what_is_under_way() {
    let limits = Limits {
        drain: Duration::from_secs(6),
        ..Limits::default()
    };
    let (handler, asked) = told();
    let mut server = Running::plain(limits, handler);
    let address = server.addresses[0].unwrap();
    let mut waiting = server.client();
    waiting.send(WAIT);
    await_asked(&asked, "/wait");
    let mut reading = server.client();
    reading.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    await_asked(&asked, "/big");
    let mut begun = server.client();
    begun.send("GET /begun HTTP/1.1\r\n");
    let mut idle = server.client();
    assert_eq!(idle.get("/idle").status, 200);
    await_asked(&asked, "/idle");

    server.waker.stop();
    assert!(idle.is_closed());
    begun.send("Host: a\r\n\r\n");
    let answer = begun.answer();
    assert_eq!((&*answer.body, answer.closes()), ("GET /begun ", true));
    await_asked(&asked, "/begun");
    assert_eq!(reading.answer().body.len(), 8 << 20);
    // It waits until half of the time is over, for nobody has an answer before.
    let answer = waiting.answer();
    assert_eq!((&*answer.body, answer.closes()), ("GET /wait ", true));
    server.join();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_server_that_is_stopped_does_not_wait_for_ever() {
    let limits = Limits {
        drain: Duration::from_millis(100),
        ..Limits::default()
    };
    let (handler, asked) = told();
    let mut server = Running::plain(limits, handler);
    let mut never_read = server.client();
    never_read.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    await_asked(&asked, "/big");
    let before = Instant::now();
    server.waker.stop();
    server.join();
    assert!(before.elapsed() < Limits::default().write);
}

/// Ticks three times.
struct Clock(Sender<u32>, u32);

impl Handler for Clock {
    fn handle(&mut self, request: &Request<'_>) -> Outcome {
        Echo.handle(request)
    }

    fn tick(&mut self) -> Option<Duration> {
        let _ = self.0.send(self.1);
        self.1 = self.1.checked_sub(1)?;
        Some(Duration::from_millis(10))
    }
}

#[test]
fn a_handler_has_a_pulse_without_requests() {
    let (sender, ticks) = mpsc::channel();
    let _server = Running::plain(Limits::default(), Clock(sender, 2));
    for left in [2, 1, 0] {
        assert_eq!(ticks.recv_timeout(PATIENCE), Ok(left));
    }
}

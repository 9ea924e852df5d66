use core::time::Duration;
use std::net::TcpStream;
use std::vec::Vec;
use std::{assert, assert_eq, format, vec};

use super::super::Limits;
use super::super::connection::Connection;
use super::support::{Echo, PATIENCE, Running, await_asked, loopback, told};

const SOON: Duration = Duration::from_millis(150);

#[test]
fn connections_that_say_nothing_cost_nothing() {
    let server = Running::plain(Limits::default(), Echo);
    let address = server.addresses[0].unwrap();
    let silent: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut client = server.client();
    for _ in 0..100 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(
        size_of::<Connection>() <= 256,
        "{}",
        size_of::<Connection>()
    );
    drop(silent);
}

#[test]
fn who_says_nothing_or_no_more_is_closed_in_time() {
    let limits = Limits {
        request: SOON,
        ..Limits::default()
    };
    assert!(Running::plain(limits, Echo).client().is_closed());
    let limits = Limits {
        idle: SOON,
        ..Limits::default()
    };
    let server = Running::plain(limits, Echo);
    let mut client = server.client();
    assert_eq!(client.get("/").status, 200);
    assert!(client.is_closed());
}

#[test]
fn a_request_that_never_ends_is_refused_in_time() {
    let limits = Limits {
        // Long enough for a busy machine to send what it begins with.
        request: Duration::from_secs(1),
        ..Limits::default()
    };
    let server = Running::plain(limits, Echo);
    for start in [
        "GET /",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET ",
    ] {
        let mut client = server.client();
        client.send(start);
        if start.ends_with("\n\r\nGET ") {
            assert_eq!(client.answer().status, 200);
        }
        // However often another byte comes.
        client.stream.set_read_timeout(Some(SOON / 20)).unwrap();
        let mut first = [0];
        while client.stream.peek(&mut first).is_err() {
            client.send("x");
        }
        client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(client.answer().status, 408, "{start}");
    }
}

#[test]
fn a_full_server_gives_up_what_is_idle() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let server = Running::plain(limits, Echo);
    let mut idle = server.client();
    assert_eq!(idle.get("/").status, 200);
    let mut begun = server.client();
    begun.send("GET /begun HTTP/1.1\r\n");
    assert_eq!(server.client().get("/a").body, "GET /a ");
    assert!(idle.is_closed());
    // The next one finds that last client's connection to be closed already, or idle.
    assert_eq!(server.client().get("/b").body, "GET /b ");
    begun.send("Host: a\r\n\r\n");
    assert_eq!(begun.answer().body, "GET /begun ");
}

#[test]
fn of_half_open_connections_the_oldest_make_room() {
    let limits = Limits {
        connections: 3,
        ..Limits::default()
    };
    let server = Running::plain(limits, Echo);
    let mut flood: Vec<_> = (0..9).map(|_| server.client()).collect();
    assert_eq!(server.client().get("/").status, 200);
    assert!(flood[0].is_closed());
    // A crowd that comes at once is served, one after the other.
    let mut crowd: Vec<_> = (0..9).map(|_| server.client()).collect();
    for client in &mut crowd {
        client.send("GET / HTTP/1.0\r\n\r\n");
    }
    for client in &mut crowd {
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn a_full_server_lets_others_wait_while_answers_are_under_way() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let (handler, asked) = told();
    let server = Running::plain(limits, handler);
    let mut first = server.client();
    first.send("GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    await_asked(&asked, "/wait");
    let mut second = server.client();
    second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
    server.waker.wake();
    await_asked(&asked, "/wait");
    drop(first);
    let limits = Limits {
        park: SOON,
        connections: 1,
        ..Limits::default()
    };
    let (handler, asked) = told();
    let server = Running::plain(limits, handler);
    let mut first = server.client();
    first.send("GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    await_asked(&asked, "/wait");
    second = server.client();
    assert_eq!(second.get("/second").body, "GET /second ");
    assert_eq!(first.answer().body, "GET /wait ");
}

#[test]
fn one_listener_does_not_starve_another() {
    let limits = Limits {
        connections: 4,
        ..Limits::default()
    };
    let (handler, asked) = told();
    let server = Running::start(vec![loopback(), loopback()], limits, handler);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = server.client();
        client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        await_asked(&asked, "/wait");
        waiting.push(client);
    }
    let mut third = server.client();
    third.send("GET /third HTTP/1.1\r\nHost: a\r\n\r\n");
    let other = server.addresses[1].unwrap();
    let mut client = super::support::Client::connect(other);
    assert_eq!(client.get("/other").status, 200);
    // All that was asked so far: the third client has not been accepted.
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), ["/other"]);
}

#[test]
fn who_does_not_read_is_given_up() {
    let limits = Limits {
        connections: 1,
        write: SOON,
        ..Limits::default()
    };
    let (handler, asked) = told();
    let server = Running::plain(limits, handler);
    let mut lazy = server.client();
    lazy.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    await_asked(&asked, "/big");
    // There is room for one alone.
    assert_eq!(server.client().get("/").status, 200);
    drop(lazy);
}

#[test]
fn a_long_answer_goes_out_as_it_is_read() {
    let server = Running::plain(Limits::default(), Echo);
    let mut client = server.client();
    client.send(&format!(
        "GET /big HTTP/1.1\r\nHost: a\r\n\r\n{}",
        "GET /next HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)
    ));
    assert_eq!(client.answer().body.len(), 8 << 20);
    for _ in 0..3 {
        assert_eq!(client.answer().body, "GET /next ");
    }
}

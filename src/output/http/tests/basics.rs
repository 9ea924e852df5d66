use std::net::Shutdown;
use std::string::String;
use std::vec::Vec;
use std::{assert, assert_eq, format};

use super::super::Limits;
use super::support::{Echo, Running};

#[test]
fn a_connection_serves_one_request_after_another() {
    let server = Running::plain(Limits::default(), Echo);
    let mut client = server.client();
    for number in 0..3 {
        let answer = client.get(&format!("/{number}?q={number}"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, format!("GET /{number} q={number}"));
        assert!(!answer.closes());
    }
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let server = Running::plain(Limits::default(), Echo);
    let mut client = server.client();
    // More than a turn takes, more than one read takes.
    let paths: Vec<_> = (0..1000).map(|number| format!("/{number}")).collect();
    let requests: String = paths
        .iter()
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
        .collect();
    client.send(&requests);
    for path in paths {
        assert_eq!(client.answer().body, format!("GET {path} "));
    }
}

#[test]
fn a_request_may_be_split_anywhere() {
    let server = Running::plain(Limits::default(), Echo);
    let request = "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: t\r\n\r\n";
    let mut client = server.client();
    for split in 1..request.len() {
        let (start, end) = request.split_at(split);
        client.send(start);
        client.send(end);
        assert_eq!(client.answer().body, "PUT /a ", "{split}");
    }
    for byte in request.chars() {
        client.send(&String::from(byte));
    }
    assert_eq!(client.answer().body, "PUT /a ");
}

#[test]
fn whoever_closes_its_side_still_gets_the_answer() {
    let server = Running::plain(Limits::default(), Echo);
    let mut client = server.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().body, "GET /a ");
    assert!(client.is_closed());
}

#[test]
fn a_head_is_answered_without_the_body() {
    let server = Running::plain(Limits::default(), Echo);
    let mut client = server.client();
    client.send("HEAD /abc HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head().contains("\r\nContent-Length: 10\r\n"));
    assert_eq!(client.get("/next").body, "GET /next ");
    client.send("HEAD * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 400 "));
    assert!(client.is_closed());
}

#[test]
fn a_connection_stays_open_as_its_version_and_its_header_say() {
    let server = Running::plain(Limits::default(), Echo);
    for (request, stays) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
            false,
        ),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
    ] {
        let mut client = server.client();
        let answer = client.ask(request);
        assert_eq!((answer.status, answer.closes()), (200, !stays), "{request}");
        let says = answer.head.contains("\r\nConnection: keep-alive\r\n");
        assert_eq!(says, stays && request.contains("1.0"), "{request}");
        match stays {
            true => assert_eq!(client.get("/again").status, 200),
            false => assert!(client.is_closed(), "{request}"),
        }
    }
}

#[test]
fn bodies_are_dropped() {
    let server = Running::plain(Limits::default(), Echo);
    let mut client = server.client();
    for framed in [
        "Content-Length: 0\r\n\r\n",
        "Content-Length: 5\r\n\r\nGET /",
        "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nG\r\n00A ;a=\"b\"\r\nGET / HTTP\r\n000\r\nA: b\r\nC: d\r\n\r\n",
    ] {
        client.send(&format!("PUT /token HTTP/1.1\r\nHost: a\r\n{framed}"));
        assert_eq!(client.answer().body, "PUT /token ", "{framed}");
    }
    assert_eq!(client.get("/next").body, "GET /next ");
}

#[test]
fn who_waits_for_leave_to_send_gets_it() {
    let server = Running::plain(Limits::default(), Echo);
    let mut client = server.client();
    client.send(
        "PUT /token HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n",
    );
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.ask("ab").body, "PUT /token ");
    // Who has sent already needs no leave, and who has nothing to send, neither.
    for body in ["Content-Length: 2\r\n\r\nab", "Content-Length: 0\r\n\r\n"] {
        let head = "PUT /token HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
        assert_eq!(client.ask(&format!("{head}{body}")).body, "PUT /token ");
    }
}

#[test]
fn a_target_may_name_the_host_again() {
    let server = Running::plain(Limits::default(), Echo);
    for (target, seen) in [
        ("http://a/b?c", "/b c"),
        ("HTTP://A?c", "/ c"),
        ("/b?c?d", "/b c?d"),
        ("//b/../%2e", "//b/../%2e "),
    ] {
        let answer = server
            .client()
            .ask(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.body, format!("GET {seen}"), "{target}");
    }
}

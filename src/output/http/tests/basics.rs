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

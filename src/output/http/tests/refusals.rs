use std::io::Write as _;
use std::net::Shutdown;
use std::string::String;
use std::{assert, assert_eq, format};

use super::super::{Limits, Refusal};
use super::support::{Echo, Running};

const HOST: &str = "Host: a\r\n";

/// One line that says what was expected instead, and the end: where another request would begin is not
/// known. Nothing that was sent comes back.
#[track_caller]
fn refused(server: &Running, request: &str, status: u16) {
    let mut client = server.client();
    // The server may have closed its end before all is written.
    let _ = client.stream.write_all(request.as_bytes());
    let answer = client.answer();
    let shown = &request[..request.len().min(200)];
    assert_eq!(answer.status, status, "{shown:?}");
    assert!(answer.closes(), "{shown:?}");
    assert!(answer.body.ends_with(".\n"), "{shown:?}");
    assert!(!format!("{answer:?}").contains("peers-own"), "{shown:?}");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert!(client.is_closed(), "{shown:?}");
}

#[test]
fn what_is_no_request_is_refused() {
    let server = Running::plain(Limits::default(), Echo);
    for request in [
        "\x16\x03\x01\x02",
        "peers-own\r\n\r\n",
        "GET\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n peers-own\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rpeers-own\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\npeers own: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET peers-own HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /#peers-own HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.0\r\n\r\n",
        "GET file://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        refused(&server, request, 400);
    }
    for request in ["GET / HTTP/2.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        refused(&server, request, 505);
    }
}

#[test]
fn other_methods_are_refused() {
    let server = Running::plain(Limits::default(), Echo);
    for method in ["POST", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"] {
        let request = format!("{method} / HTTP/1.1\r\n{HOST}\r\n");
        refused(&server, &request, 405);
        let answer = server.client().ask(&request);
        assert!(answer.head.contains("\r\nAllow: GET, HEAD, PUT\r\n"));
    }
    for method in ["get", "PEERS-OWN", "PROPFIND"] {
        refused(&server, &format!("{method} / HTTP/1.1\r\n{HOST}\r\n"), 501);
    }
}

#[test]
fn bodies_of_unclear_or_too_great_length_are_refused() {
    let server = Running::plain(Limits::default(), Echo);
    for (headers, status) in [
        ("Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
        ("Content-Length: 1, 1\r\n\r\n", 400),
        ("Content-Length: +1\r\n\r\n", 400),
        ("Content-Length: -1\r\n\r\n", 400),
        ("Content-Length:\r\n\r\n", 400),
        (
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("Transfer-Encoding: chunked, peers-own\r\n\r\n", 501),
        ("Content-Length: 16385\r\n\r\n", 413),
        ("Content-Length: 99999999999999999999999\r\n\r\n", 413),
        ("Transfer-Encoding: chunked\r\n\r\n4001\r\n", 413),
        (
            "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            413,
        ),
        ("Transfer-Encoding: chunked\r\n\r\n\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\ng\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n1\npeers-own", 400),
        ("Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\n", 400),
        ("Expect: peers-own\r\n\r\n", 417),
    ] {
        // What is too much only once it has come, comes.
        let padding = match headers.contains("4001") {
            true => "x".repeat(0x4001),
            false => String::new(),
        };
        let request = format!("PUT / HTTP/1.1\r\n{HOST}{headers}{padding}");
        refused(&server, &request, status);
    }
    refused(
        &server,
        "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    );
}

#[test]
fn heads_without_end_are_refused() {
    let server = Running::plain(Limits::default(), Echo);
    let long = "x".repeat(Limits::default().head);
    refused(&server, &format!("GET /{long}"), 414);
    refused(&server, &format!("\r\n\r\nGET /{long}"), 414);
    refused(&server, &format!("GET /{long} HTTP/1.1\r\n{HOST}\r\n"), 414);
    refused(&server, &format!("GET / HTTP/1.1\r\n{HOST}A: {long}"), 431);
    refused(
        &server,
        &format!("GET / HTTP/1.1\r\n{HOST}A: {long}\r\n\r\n"),
        431,
    );
    let many = "A: b\r\n".repeat(Limits::MAX_HEADERS);
    refused(&server, &format!("GET / HTTP/1.1\r\n{HOST}{many}\r\n"), 431);
    let as_many_as_may_be = &many["A: b\r\n".len()..];
    let request = format!("GET / HTTP/1.1\r\n{HOST}{as_many_as_may_be}\r\n");
    assert_eq!(server.client().ask(&request).status, 200);
}

#[test]
fn what_came_before_is_answered_first() {
    let server = Running::plain(Limits::default(), Echo);
    let mut client = server.client();
    client.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n\0");
    assert_eq!(client.answer().body, "GET /a ");
    assert_eq!(client.answer().body, "GET /b ");
    assert_eq!(client.answer().status, 400);
}

#[test]
fn an_answer_cannot_be_split_by_a_header() {
    let mut response = Refusal {
        status: 400,
        why: "",
    }
    .response();
    for (name, value) in [("A", "b\r\nSet-Cookie: c"), ("B", "\n"), ("C", "ok")] {
        response.headers.push((name, value.into()));
    }
    let mut head = std::vec::Vec::new();
    super::super::response::write_head(
        &mut head,
        &response,
        super::super::response::Persistence::Keep,
    );
    let head = String::from_utf8(head).unwrap();
    assert!(
        head.ends_with("Content-Length: 0\r\nC: ok\r\n\r\n"),
        "{head}"
    );
}

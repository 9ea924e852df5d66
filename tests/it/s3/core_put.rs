//! A single PUT as a device sends it: no allocator, over a stream of its own.

use std::net::TcpStream;
use std::time::Duration;

use embedded_io_adapters::std::FromStd;
use keystead::core::http::Header;
use keystead::core::http::stream::StreamTransport;
use keystead::core::s3::{Buffers, Credentials, ObjectPath, Put, PutError, Refusal};
use keystead::core::time::UnixTime;
use keystead::host::clock::HostClock;

use super::server::Server;
use super::support::Account;

fn put<R>(
    address: &str,
    credentials: &Credentials<'_>,
    region: &str,
    key: &str,
    room: usize,
    see: impl FnOnce(
        Result<
            keystead::core::s3::Stored<'_>,
            PutError<'_, keystead::core::http::stream::StreamError>,
        >,
    ) -> R,
) -> R {
    let stream = TcpStream::connect(address).unwrap();
    let mut buffer = [0; 2048];
    let mut transport = StreamTransport::new(FromStd::new(stream), &mut buffer);
    let put = Put {
        host: address,
        region,
        path: ObjectPath {
            bucket: Some("sensor-logs"),
            key,
        },
        headers: &[Header {
            name: "content-type",
            value: &"application/json",
        }],
        content: b"{\"celsius\": 21.5}",
        user_agent: "firmware/1",
    };
    let mut target = vec![0; room];
    let mut answer = [0; 512];
    let buffers = Buffers {
        target: &mut target,
        answer: &mut answer,
    };
    let clock = HostClock::new(None);
    see(put.send(credentials, &mut transport, &clock, buffers))
}

#[test]
fn the_sandbox_takes_it() {
    let mut account = Account::new();
    let session = account.session("sensor-hub");
    let region = account.0.sandbox.config().account.region.clone();
    let url = account.0.sandbox.url();
    let address = url.strip_prefix("http://").unwrap();
    let credentials = Credentials {
        access_key_id: &session.access_key_id,
        secret_access_key: &session.secret_access_key,
        session_token: &session.session_token,
    };
    put(
        address,
        &credentials,
        &region,
        "sensors/a b+c.json",
        100,
        |taken| {
            assert!(taken.unwrap().etag.starts_with('"'));
        },
    );
    put(
        address,
        &credentials,
        &region,
        "elsewhere/a",
        100,
        |taken| {
            let Err(PutError::Refused(refusal)) = taken else {
                panic!("{taken:?}")
            };
            assert_eq!((refusal.status, refusal.code), (403, "AccessDenied"));
            assert!(refusal.message.contains("not authorized"));
            assert!(!refusal.is_retryable() && !refusal.is_clock());
        },
    );
    put(address, &credentials, &region, "sensors/a", 10, |taken| {
        assert_eq!(taken, Err(PutError::Unsignable));
    });
}

#[test]
fn what_a_server_says() {
    const CREDENTIALS: Credentials<'_> = Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE",
        secret_access_key: "secret",
        session_token: "",
    };
    let said = |answer: &'static [u8], check: &dyn Fn(&Refusal<'_>)| {
        let server = Server::once(move |connection| {
            let (head, body) = connection.request();
            assert_eq!(head.header("x-amz-security-token"), None);
            assert_eq!(head.header("content-type"), Some("application/json"));
            assert!(body.starts_with(b"{"));
            connection.say(answer);
        });
        let address = server.address();
        put(
            &address,
            &CREDENTIALS,
            "eu-west-1",
            "a",
            100,
            |taken| match taken {
                Err(PutError::Refused(refusal)) => check(&refusal),
                other => panic!("{other:?}"),
            },
        );
        server.finish();
    };
    said(
        b"HTTP/1.1 503 Slow Down\r\nRetry-After: 3\r\nContent-Length: 41\r\n\r\n<Error><Code>SlowDown</Code></Error>     ",
        &|refusal| {
            assert!(refusal.is_throttling() && refusal.is_retryable());
            assert_eq!(refusal.retry_after, Some(Duration::from_secs(3)));
        },
    );
    said(
        b"HTTP/1.1 403 Forbidden\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 51\r\n\r\n\
          <Error><Code>RequestTimeTooSkewed</Code><Message/>x",
        &|refusal| {
            assert!(refusal.is_clock() && !refusal.is_retryable());
            assert_eq!(refusal.date, Some(UnixTime::from_secs(784_111_777)));
        },
    );
    // A 200 with an error in it, behind white space.
    said(
        b"HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n  <Error><Code>InternalError</Code></Error> ",
        &|refusal| assert_eq!(refusal.code, "InternalError"),
    );
    // Of a long answer, the beginning.
    said(
        b"HTTP/1.1 400 Bad Request\r\n\r\n<Error><Code>BadDigest</Code><Message>                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        ",
        &|refusal| assert_eq!((refusal.code, refusal.message), ("BadDigest", "")),
    );
}

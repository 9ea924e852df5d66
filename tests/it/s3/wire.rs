//! How bodies and answers pass: asked first, cut short, kept alive, too late, too long.

use std::io::{self, Read};
use std::time::Duration;

use keystead::host::s3::{
    Attributes, Body, Checksum, ChecksumAlgorithm, Completed, Digests, FaultKind, ObjectStore as _,
    UploadId,
};

use super::server::{Connection, Server};
use super::support::{anybody, body, put};

const STORED: &str = "ETag: \"e\"\r\n";

const DENIED: &str = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";

/// A body that counts what is read of it.
struct Counted(u64);

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        out.fill(b'x');
        self.0 += out.len() as u64;
        Ok(out.len())
    }
}

fn of(reader: &mut dyn Read, length: u64) -> Body<'_> {
    Body {
        reader,
        length,
        sha256: None,
        checksum: Checksum::Crc64Nvme(1),
    }
}

#[test]
fn a_large_body_waits_until_it_is_wanted() {
    let server = Server::once(|connection| {
        let head = connection.head();
        assert_eq!(head.header("expect"), Some("100-continue"));
        connection.say(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(connection.body(head.length()).len(), 2 << 20);
        connection.answer("200 OK", STORED, "");
        let (head, _) = connection.request();
        assert_eq!(head.header("expect"), None);
        connection.answer("200 OK", STORED, "");
    });
    let mut client = server.client();
    put(&mut client, &anybody(), "a", &vec![1; 2 << 20]).unwrap();
    put(&mut client, &anybody(), "a", b"small").unwrap();
    server.finish();
}

#[test]
fn a_large_body_that_is_refused_is_not_sent() {
    for status in [
        "403 Forbidden",
        "307 Temporary Redirect",
        "412 Precondition Failed",
    ] {
        let server = Server::once(move |connection| {
            connection.head();
            connection.answer(status, "", DENIED);
            assert!(connection.is_at_end());
        });
        let mut body = Counted(0);
        let attributes = Attributes::default();
        let mut client = server.client();
        let error = client.put(&anybody(), "a", &attributes, of(&mut body, 5 << 30));
        assert_eq!(error.unwrap_err().kind, FaultKind::Refused, "{status}");
        assert_eq!(body.0, 0);
        drop(client);
        server.finish();
    }
}

#[test]
fn who_never_says_continue_is_not_asked_again() {
    let server = Server::once(|connection| {
        for asked in [Some("100-continue"), None] {
            let (head, _) = connection.request();
            assert_eq!(head.header("expect"), asked);
            connection.answer("200 OK", STORED, "");
        }
    });
    let mut client = server.client();
    for _ in 0..2 {
        put(&mut client, &anybody(), "a", &vec![1; 1 << 20]).unwrap();
    }
    server.finish();
}

#[test]
fn who_does_not_know_how_to_continue_is_not_asked_again() {
    let server = Server::start(|listener| {
        let mut first = Connection::accept(listener);
        first.head();
        first.answer("417 Expectation Failed", "", "");
        drop(first);
        let mut second = Connection::accept(listener);
        let (head, _) = second.request();
        assert_eq!(head.header("expect"), None);
        second.answer("200 OK", STORED, "");
    });
    let mut client = server.client();
    let content = vec![1; 1 << 20];
    let error = put(&mut client, &anybody(), "a", &content).unwrap_err();
    assert_eq!(error.kind, FaultKind::Server);
    put(&mut client, &anybody(), "a", &content).unwrap();
    server.finish();
}

#[test]
fn an_answer_before_the_end_of_the_body_ends_it() {
    let server = Server::once(|connection| {
        connection.head();
        connection.say(b"HTTP/1.1 100 Continue\r\n\r\n");
        connection.body(100_000);
        connection.answer("403 Forbidden", "", DENIED);
        while !connection.is_at_end() {
            connection.skip();
        }
    });
    let mut body = Counted(0);
    let attributes = Attributes::default();
    let mut client = server.client();
    let error = client.put(&anybody(), "a", &attributes, of(&mut body, 50 << 30));
    assert_eq!(error.unwrap_err().code, "AccessDenied");
    assert!(body.0 < 1 << 30, "{}", body.0);
    drop(client);
    server.finish();
}

#[test]
fn a_server_that_hangs_up_on_a_body_has_its_say() {
    for _ in 0..20 {
        let server = Server::once(|connection| {
            connection.head();
            connection.answer("403 Forbidden", "Connection: close\r\n", DENIED);
            // What was not read makes the kernel reset the connection.
        });
        let error = put(&mut server.client(), &anybody(), "a", &vec![1; 1_000_000]);
        assert_eq!(error.unwrap_err().code, "AccessDenied");
        server.finish();
    }
}

#[test]
fn a_connection_is_kept_and_one_that_was_closed_is_made_again() {
    let server = Server::start(|listener| {
        let mut first = Connection::accept(listener);
        for _ in 0..3 {
            first.request();
            first.answer("200 OK", STORED, "");
        }
        drop(first);
        let mut second = Connection::accept(listener);
        second.request();
        second.answer("200 OK", "ETag: \"e\"\r\nConnection: close\r\n", "");
        let mut third = Connection::accept(listener);
        third.request();
        // An answer that nobody asked for is behind it: the connection is not to be trusted.
        third.say(
            b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        );
        let mut fourth = Connection::accept(listener);
        fourth.request();
        fourth.say(b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        fourth.request();
        fourth.say(b"HTTP/1.0 200 OK\r\nETag: \"e\"\r\n\r\n");
    });
    let mut client = server.client();
    for _ in 0..3 {
        put(&mut client, &anybody(), "a", b"{}").unwrap();
    }
    // The end of the first connection is on its way: either it is seen, or the request is lost with it.
    while let Err(error) = put(&mut client, &anybody(), "a", b"{}") {
        assert_eq!(error.kind, FaultKind::Network);
    }
    for _ in 0..3 {
        put(&mut client, &anybody(), "a", b"{}").unwrap();
    }
    server.finish();
}

#[test]
fn time_outs_measure_progress() {
    const IDLE: Duration = Duration::from_millis(400);
    let server = Server::once(|connection| {
        connection.request();
        // Longer than the time-out altogether, but never still for that long.
        for piece in [
            &b"HTTP/1.1 200 OK\r\n"[..],
            b"ETag: \"e\"\r\n",
            b"Content-Length: 0\r\n",
            b"\r\n",
        ] {
            std::thread::sleep(IDLE / 2);
            connection.say(piece);
        }
        connection.request();
        assert!(connection.is_at_end());
    });
    let mut client = server.client();
    client.set_idle_timeout(IDLE);
    put(&mut client, &anybody(), "a", b"{}").unwrap();
    let error = put(&mut client, &anybody(), "a", b"{}").unwrap_err();
    assert_eq!(error.kind, FaultKind::Network);
    assert!(error.what.contains("took too long"), "{error:?}");
    server.finish();
}

#[test]
fn a_body_that_cannot_be_read_is_no_fault_of_the_servers() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _out: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    for (mut reader, says) in [
        (Box::new(Broken) as Box<dyn Read>, "the disk is gone"),
        (Box::new(&b"short"[..]), "less of it"),
    ] {
        let server = Server::once(|connection| {
            while !connection.is_at_end() {
                connection.skip();
            }
        });
        let attributes = Attributes::default();
        let mut client = server.client();
        let sent = client.put(&anybody(), "a", &attributes, of(&mut reader, 1000));
        let error = sent.unwrap_err();
        assert_eq!(error.kind, FaultKind::Content);
        assert!(error.what.contains(says), "{error:?}");
        drop(client);
        server.finish();
    }
}

#[test]
fn a_body_that_comes_slowly_goes_out_as_it_comes() {
    struct Slow(u32);
    impl Read for Slow {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            if self.0 > 0 {
                std::thread::sleep(Duration::from_millis(600));
            }
            self.0 += 1;
            out[0] = b'x';
            Ok(1)
        }
    }
    let server = Server::once(|connection| {
        let head = connection.head();
        // The first bytes come long before the last ones are read.
        assert_eq!(connection.body(2), b"xx");
        connection.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(head.length(), 1000);
    });
    let attributes = Attributes::default();
    let mut slow = Slow(0);
    let sent = server
        .client()
        .put(&anybody(), "a", &attributes, of(&mut slow, 1000));
    assert_eq!(sent.unwrap_err().status, Some(403));
    assert!(slow.0 < 10, "{}", slow.0);
    server.finish();
}

#[test]
fn the_end_of_an_upload_in_parts_may_be_long_in_coming_and_fail() {
    let done = "<CompleteMultipartUploadResult xmlns=\"http://example.com/other/\"><ETag>&quot;e-1&quot;</ETag>\
                <ChecksumCRC64NVME>AAAAAAAAAAE=</ChecksumCRC64NVME></CompleteMultipartUploadResult>";
    let failed = "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>";
    let server = Server::once(move |connection| {
        for document in [done, failed, "", "<html>", "<ListPartsResult/>"] {
            let (head, body) = connection.request();
            assert_eq!(head.line, "POST /logs/a?uploadId=u%2F1%26 HTTP/1.1");
            assert!(body.starts_with(b"<CompleteMultipartUpload xmlns="));
            connection.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in [
                " ",
                "\n  ",
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
                document,
                "\n",
            ] {
                if !piece.is_empty() {
                    connection.say(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
                }
            }
            connection.say(b"0\r\n\r\n");
        }
    });
    let mut client = server.client();
    let completed = Completed {
        parts: &[],
        length: 0,
        checksum: Checksum::Crc64Nvme(1),
        only_if_absent: true,
    };
    let upload = UploadId("u/1&".into());
    let mut complete = || client.complete(&anybody(), "a", &upload, &completed);
    let stored = complete().unwrap();
    assert_eq!(stored.etag, "\"e-1\"");
    assert_eq!(stored.checksum, Some(Checksum::Crc64Nvme(1)));
    let error = complete().unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_str(), error.status),
        (FaultKind::Server, "InternalError", Some(200))
    );
    for _ in 0..3 {
        assert_eq!(complete().unwrap_err().kind, FaultKind::Server);
    }
    server.finish();
}

#[test]
fn parts_are_listed_to_the_last_page() {
    fn page(numbers: core::ops::RangeInclusive<u32>, rest: &str) -> String {
        let parts: String = numbers
            .map(|number| format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{number}\"</ETag><Size>5</Size></Part>"))
            .collect();
        format!("<ListPartsResult>{parts}{rest}</ListPartsResult>")
    }
    let server = Server::once(|connection| {
        let more = "<IsTruncated>true</IsTruncated>";
        for (marker, answer) in [
            (
                "",
                page(
                    1..=250,
                    "<NextPartNumberMarker>250</NextPartNumberMarker><IsTruncated>true</IsTruncated>",
                ),
            ),
            ("&part-number-marker=250", page(251..=300, more)),
            (
                "&part-number-marker=300",
                page(301..=301, "<IsTruncated>false</IsTruncated>"),
            ),
            // A server that turns in a circle.
            ("", page(1..=1, more)),
            ("&part-number-marker=1", page(1..=1, more)),
        ] {
            let head = connection.head();
            assert_eq!(
                head.line,
                format!("GET /logs/a?max-parts=250{marker}&uploadId=u HTTP/1.1")
            );
            connection.answer("200 OK", "", &answer);
        }
    });
    let mut client = server.client();
    let upload = UploadId("u".into());
    let parts = client.parts(&anybody(), "a", &upload).unwrap();
    assert_eq!(parts.len(), 301);
    assert_eq!(
        (
            parts[300].number,
            parts[300].etag.as_str(),
            parts[300].length
        ),
        (301, "\"301\"", 5)
    );
    let error = client.parts(&anybody(), "a", &upload).unwrap_err();
    assert_eq!(error.kind, FaultKind::Server);
    server.finish();
}

#[test]
fn only_servers_of_s3_take_objects() {
    let server = Server::once(|connection| {
        connection.request();
        connection.answer("200 OK", "", "<html>Accept our terms</html>");
        connection.request();
        connection.answer("200 OK", STORED, &"x".repeat(1 << 20));
    });
    let mut client = server.client();
    for _ in 0..2 {
        let error = put(&mut client, &anybody(), "a", b"{}").unwrap_err();
        assert_eq!(error.kind, FaultKind::Server, "{error:?}");
    }
    drop(client);
    server.finish();
}

#[test]
fn who_owns_the_bucket_is_asked_for_everywhere() {
    let server = Server::once(|connection| {
        for _ in 0..2 {
            let head = connection.head();
            if head.length() > 0 {
                connection.body(head.length());
            }
            assert_eq!(
                head.header("x-amz-expected-bucket-owner"),
                Some("123456789012")
            );
            assert!(
                head.header("authorization")
                    .unwrap()
                    .contains("x-amz-expected-bucket-owner")
            );
            connection.answer("200 OK", STORED, "");
        }
    });
    let mut bucket = server.client().bucket().clone();
    bucket.expected_owner = Some("123456789012".into());
    let mut client = super::support::client(bucket, &Default::default());
    put(&mut client, &anybody(), "a", b"{}").unwrap();
    let digests = Digests::of(b"part");
    let mut reader = &b"part"[..];
    let body = body(&mut reader, &digests, ChecksumAlgorithm::Crc64Nvme);
    let part = client
        .put_part(&anybody(), "a", &UploadId("u".into()), 1, body)
        .unwrap();
    assert_eq!((part.etag.as_str(), part.checksum), ("\"e\"", None));
    server.finish();
}

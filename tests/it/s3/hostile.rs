//! Servers that answer anything: never a panic, never more memory than an answer may take, and no success that is
//! none.

use proptest::prelude::*;

use keystead::host::s3::{FaultKind, ObjectStore as _, UploadId};

use super::server::Server;
use super::support::{anybody, put};

/// An answer that is nearly one.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        Just(String::from("HTTP/1.1 200 OK\r\n")),
        Just(String::from(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 x\r\n"
        )),
        Just(String::from("HTTP/1.0 403\r\n")),
        Just(String::from("HTTP/1.1 204 \r\n")),
        "HTTP/[12].[01] [0-9]{1,4} [ -~]{0,10}\r\n",
        "[ -~]{0,40}",
    ];
    let header = prop_oneof![
        "ETag: [ -~]{0,20}\r\n",
        "Content-Length: [-+0-9]{0,4}\r\n",
        Just(String::from("Transfer-Encoding: chunked\r\n")),
        "(Date|Retry-After|x-amz-checksum-crc64nvme|x-amz-retry-after): [ -~]{0,30}\r\n",
        "[ -~]{0,30}\r\n",
    ];
    let body = prop_oneof![
        "[<>/?!a-cEr:\"'= &#;x\r\n0-9-]{0,80}".prop_map(String::into_bytes),
        Just(b"<Error><Code>AccessDenied</Code></Error>".to_vec()),
        Just(b"<ListPartsResult><IsTruncated>true</IsTruncated><Part><PartNumber>9</PartNumber></Part>".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..80),
    ];
    (head, proptest::collection::vec(header, 0..4), body).prop_map(|(head, headers, body)| {
        let mut answer = head.into_bytes();
        headers
            .iter()
            .for_each(|header| answer.extend(header.as_bytes()));
        answer.extend(b"\r\n");
        answer.extend(body);
        answer
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_answer_is_an_outcome(answer in answers(), operation in 0..4) {
        let said = answer.clone();
        let server = Server::once(move |connection| {
            connection.head();
            connection.try_say(&said);
        });
        let mut client = server.client();
        let upload = UploadId("u".into());
        let taken = match operation {
            0 => put(&mut client, &anybody(), "a", b"").map(|_| ()),
            1 => client.parts(&anybody(), "a", &upload).map(|_| ()),
            2 => client.head(&anybody(), "a").map(|_| ()),
            _ => client.abort(&anybody(), "a", &upload),
        };
        if let Err(error) = taken {
            prop_assert!(!error.what.is_empty());
            prop_assert!(!error.what.chars().any(char::is_control), "{:?}", error.what);
            prop_assert_ne!(error.kind, FaultKind::Content);
        } else {
            prop_assert!(answer.windows(6).any(|piece| piece.starts_with(b" 2") || piece.starts_with(b" 404")));
        }
        drop(client);
        server.finish();
    }
}

#[test]
fn answers_without_end_are_given_up() {
    type Endless = fn(&mut dyn FnMut(&[u8]) -> bool);
    let endless: [Endless; 5] = [
        |say| {
            say(b"HTTP/1.1 200 OK\r\n");
            while say(b"X-Filler: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n") {}
        },
        |say| while say(b"HTTP/1.1 100 Continue\r\n\r\n") {},
        |say| {
            say(b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\n\r\n");
            while say(&[b' '; 4096]) {}
        },
        |say| {
            say(b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n");
            while say(b"4\r\n<a>x\r\n") {}
        },
        |say| while say(&[0; 4096]) {},
    ];
    for answer in endless {
        let server = Server::once(move |connection| {
            connection.head();
            answer(&mut |bytes| connection.try_say(bytes));
        });
        let mut client = server.client();
        let error = put(&mut client, &anybody(), "a", b"").unwrap_err();
        assert_eq!(error.kind, FaultKind::Server, "{error:?}");
        drop(client);
        server.finish();
    }
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    let whole = b"HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 10\r\n\r\n0123456789";
    for end in 0..whole.len() {
        let server = Server::once(move |connection| {
            connection.request();
            connection.say(&whole[..end]);
        });
        let error = put(&mut server.client(), &anybody(), "a", b"{}").unwrap_err();
        assert_eq!(error.kind, FaultKind::Network, "{end}: {error:?}");
        server.finish();
    }
}

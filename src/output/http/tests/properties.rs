use core::mem::MaybeUninit;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::vec::Vec;
use std::{assert, assert_eq, format};

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::body::RestOfBody;
use super::super::{Framing, Limits, parse};
use super::support::{Echo, PATIENCE, Running};

/// Bytes that are nearly requests.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "GET ",
        "PUT ",
        "HEAD ",
        "/",
        "/a?b",
        "*",
        "http://a/",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "Host: a\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "\n",
        "\r",
        "Expect: 100-continue\r\n",
        "Connection: close\r\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        " ",
        ":",
        "\0",
    ];
    let known = proptest::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    let piece = prop_oneof![9 => known, 1 => vec(any::<u8>(), 0..8)];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Every answer that comes to `bytes`, by its status.
fn statuses(server: &Running, bytes: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(server.addresses[0].unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    // The server may have closed it already.
    let _ = stream.shutdown(Shutdown::Write);
    let mut read = Vec::new();
    stream.read_to_end(&mut read).unwrap();
    let text = std::string::String::from_utf8(read).unwrap();
    text.match_indices("HTTP/1.1 ")
        .map(|(at, start)| text[at + start.len()..][..3].parse().unwrap())
        .collect()
}

#[test]
fn whatever_comes_is_answered_or_refused() {
    let server = Running::plain(Limits::default(), Echo);
    let mut runner = proptest::test_runner::TestRunner::default();
    let bytes = prop_oneof![fragments(), vec(any::<u8>(), 0..100)];
    let result = runner.run(&bytes, |bytes| {
        let statuses = statuses(&server, &bytes);
        let (last, before) = statuses.split_last().unwrap_or((&200, &[]));
        assert!(before.iter().all(|status| [100, 200].contains(status)));
        assert!(matches!(last, 100 | 200 | 400..=499 | 501 | 505), "{last}");
        Ok(())
    });
    result.unwrap();
    assert_eq!(server.client().get("/alive").status, 200);
}

proptest! {
    #[test]
    fn a_head_is_the_same_however_it_comes(bytes in fragments()) {
        let limits = Limits::default();
        let whole = format!("{:?}", parse(&bytes, &mut room(), &limits));
        let mut came = None;
        for end in 0..=bytes.len() {
            match parse(&bytes[..end], &mut room(), &limits) {
                Ok(None) => {}
                found => {
                    if let Ok(Some(head)) = &found {
                        prop_assert!(head.len <= end && head.path.starts_with('/'));
                    }
                    came = Some(format!("{found:?}"));
                    break;
                }
            }
        }
        // It can be wrong for two reasons, one of which is seen only when more is there.
        let came = came.unwrap_or_else(|| "Ok(None)".into());
        prop_assert!(came == whole || (came.starts_with("Err") && whole.starts_with("Err")));
    }

    #[test]
    fn a_body_is_the_same_however_it_comes(bytes in fragments(), at in 0_usize..100) {
        let limits = Limits::default();
        let mut rest = RestOfBody::new(Framing::Chunked, &limits);
        let whole = rest.skip(&bytes);
        let (start, end) = bytes.split_at(at.min(bytes.len()));
        let mut rest = RestOfBody::new(Framing::Chunked, &limits);
        let parts = match rest.skip(start) {
            Ok(None) => rest.skip(end).map(|found| found.map(|len| start.len() + len)),
            early => early,
        };
        prop_assert_eq!(whole, parts);
    }
}

fn room<'a>() -> [MaybeUninit<httparse::Header<'a>>; Limits::MAX_HEADERS] {
    [const { MaybeUninit::uninit() }; Limits::MAX_HEADERS]
}

//! The bridge alone.

use std::io::{self, Read, Write};

use firmware_bridge::carry;
use keystead::core::http::stream::StreamError;
use keystead::core::http::{Answer, Request, TooLong, Transport};

/// A line on which everything has been said already.
struct Said<'a> {
    device: &'a [u8],
    bridge: Vec<u8>,
}

impl Read for Said<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.device.read(out)
    }
}

impl Write for Said<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bridge.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers with what was asked for; `/none` cannot be reached.
struct Echo;

impl Transport for Echo {
    type Error = StreamError;

    fn exchange(
        &mut self,
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Result<(), StreamError> {
        if request.target == "/none" {
            return Err(StreamError::Closed);
        }
        answer.status(200);
        answer.header("x-line-mark", b"not the service's");
        answer.header("x", b"y");
        let names = request.all_headers().map(|header| header.name);
        let names: Vec<_> = names.collect();
        let text = format!("{} {} {names:?}", request.method, request.target);
        answer
            .body(text.as_bytes())
            .map_err(|TooLong| StreamError::BodyTooLong)
    }
}

fn answers(device: &str) -> String {
    let mut line = Said {
        device: device.as_bytes(),
        bridge: Vec::new(),
    };
    carry::serve(&mut line, |_: &str| Echo).unwrap();
    String::from_utf8(line.bridge).unwrap()
}

#[test]
fn an_answer_has_the_mark_of_its_request() {
    assert_eq!(
        answers("GET /a HTTP/1.1\r\nhost: b\r\nX-Line-Mark: 17\r\n\r\nGET /c HTTP/1.1\r\n\r\n"),
        "HTTP/1.1 200 \r\nx: y\r\nx-line-mark: 17\r\ncontent-length: 15\r\n\r\nGET /a [\"host\"]\
         HTTP/1.1 200 \r\nx: y\r\ncontent-length: 9\r\n\r\nGET /c []"
    );
}

#[test]
fn what_is_no_request_is_passed_over() {
    let good = "GET /good HTTP/1.1\r\n\r\n";
    let answer = answers(good);
    for other in [
        "noise\r\n",
        "\r\n",
        "GET /half HTTP/1.1\r\nhost: a\r\nx-amz-d\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 70000\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    ] {
        assert_eq!(answers(&format!("{other}{good}")), answer, "{other:?}");
    }
    assert_eq!(answers("GET /half HTTP/1.1\r\nhost"), "");
}

#[test]
fn a_failure_has_a_body_unless_there_must_be_none() {
    assert_eq!(
        answers("GET /none HTTP/1.1\r\nx-line-mark: 2\r\n\r\n"),
        "HTTP/1.1 502 \r\nx-line-mark: 2\r\ncontent-length: 76\r\n\r\n\
         {\"code\":\"BadGateway\",\"message\":\"the connection ended before the answer did\"}"
    );
    assert_eq!(
        answers("HEAD /none HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n"),
        "HTTP/1.1 502 \r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 \r\nx: y\r\ncontent-length: 0\r\n\r\n"
    );
}

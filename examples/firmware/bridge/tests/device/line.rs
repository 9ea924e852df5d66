//! What a line may bring: noise, answers that are cut, endless or late, and bridges that die.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use firmware_bridge::board::Outcome;
use firmware_bridge::carry;

use crate::scene::{Scene, assert_said, image};

/// A line whose answers are sent by somebody else: by their number, as they should have been.
pub struct Other<'l, F> {
    line: &'l UnixStream,
    count: usize,
    send: F,
}

impl<'l, F: FnMut(usize, &[u8], &UnixStream) -> io::Result<()>> Other<'l, F> {
    pub fn new(line: &'l UnixStream, send: F) -> Self {
        Self {
            line,
            count: 0,
            send,
        }
    }
}

impl<F> Read for Other<'_, F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.line.read(out)
    }
}

impl<F: FnMut(usize, &[u8], &UnixStream) -> io::Result<()>> Write for Other<'_, F> {
    /// The bridge sends each answer in one piece.
    fn write(&mut self, answer: &[u8]) -> io::Result<usize> {
        (self.send)(self.count, answer, self.line)?;
        self.count += 1;
        Ok(answer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs the device on such a line; `alter` changes the answers.
fn run(scene: &Scene, mut alter: impl FnMut(usize, &mut Vec<u8>) + Send) -> Outcome {
    scene.run(&image("secure-element"), |line| {
        let send = |count, answer: &[u8], mut line: &UnixStream| {
            let mut answer = answer.to_vec();
            alter(count, &mut answer);
            line.write_all(&answer)
        };
        let line = Other::new(line, send);
        drop(carry::serve(line, |_: &str| scene.transport()));
    })
}

/// Bytes that are no text.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let bytes = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    });
    bytes.take(len).collect()
}

/// An answer to be tried again, with control characters in its message.
fn steering() -> Vec<u8> {
    let message = "x\\r\\ndone\\r\\n\\u001b[2J\\u009b";
    let body = format!("{{\"code\": \"\\u0007Busy\", \"message\": \"{message}\"}}");
    let length = body.len();
    format!("HTTP/1.1 503 \r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

const NO_HTTP: &str = "the answer is not HTTP/1.1";
const SILENCE: &str = "the other end did not answer in time";

#[test]
fn answers_about_the_time_that_are_none() {
    let scene = Scene::impatient();
    let outcome = run(&scene, |count, answer| match count {
        0 => *answer = noise(3_000),
        1 => answer.truncate(answer.len() - 3),
        2 => *answer = [b"HTTP/1.1 200 \r\nx: ", &[b'x'; 5_000][..]].concat(),
        _ => {}
    });
    let failed = ["no time: ", "no time: ", "no time: "];
    let why = [NO_HTTP, SILENCE, "the head of the answer is too long"];
    let said = [0, 1, 2].map(|at| format!("failed: {}{}", failed[at], why[at]));
    let [noise, cut, long] = said.each_ref().map(String::as_str);
    assert_said(&outcome, &[noise, cut, long, "time 2", "stored ", "done"]);
}

#[test]
fn sessions_that_are_none() {
    let scene = Scene::impatient();
    let outcome = run(&scene, |count, answer| match count {
        1 => *answer = steering(),
        3 => answer.truncate(answer.len() - 100),
        // More than there is room for, and after it still some.
        5 => *answer = [b"HTTP/1.1 200 \r\n\r\n", &noise(20_000)[..]].concat(),
        _ => {}
    });
    let steering = r"failed: \u{7}Busy (HTTP 503): x\r\ndone\r\n\u{1b}[2J\u{9b}";
    let cut = format!("failed: {SILENCE}");
    let long = "failed: the answer is longer than allowed";
    assert_said(
        &outcome,
        &[
            steering, "again in", &cut, "again in", long, "again in", "stored ", "done",
        ],
    );
    assert_eq!(scene.readings(), 1);
}

#[test]
fn what_s3_did_not_say() {
    let scene = Scene::impatient();
    let outcome = run(&scene, |count, answer| match count {
        2 => {
            let text =
                "<Error><Code>SlowDown</Code><Message>x\r\ndone\r\n\u{1b}[2J</Message></Error>";
            let length = text.len();
            *answer =
                format!("HTTP/1.1 503 \r\ncontent-length: {length}\r\n\r\n{text}").into_bytes();
        }
        5 => answer.truncate(10),
        8 => *answer = noise(300),
        _ => {}
    });
    let steering = "failed: S3 refused with status 503, SlowDown: x";
    let cut = format!("failed: {SILENCE}");
    let noise = format!("failed: {NO_HTTP}");
    assert_said(&outcome, &[steering, &cut, &noise, "stored ", "done"]);
}

#[test]
fn answers_without_an_end() {
    // Nothing comes of it: nobody has to wait long.
    let patience = [300, 600].map(std::time::Duration::from_millis);
    let scene = Scene {
        patience,
        ..Scene::new()
    };
    // Noise from the beginning; and a body of S3's.
    let outcome = scene.run(&image("secure-element"), |mut line| {
        while line.write_all(&noise(4_096)).is_ok() {}
    });
    assert_said(
        &outcome,
        &[
            "failed: no time: the line is never silent",
            "again in 160 ms",
            "gave up",
        ],
    );
    assert!(!outcome.is_done);
    let outcome = scene.run(&image("secure-element"), |line| {
        let send = |count, answer: &[u8], mut line: &UnixStream| {
            if count < 2 {
                return line.write_all(answer);
            }
            line.write_all(b"HTTP/1.1 200 \r\n\r\n")?;
            loop {
                line.write_all(&[b' '; 4_096])?;
            }
        };
        drop(carry::serve(Other::new(line, send), |_: &str| {
            scene.transport()
        }));
    });
    let cut = format!("failed: {SILENCE}");
    let never = "failed: no time: the line is never silent";
    assert_said(
        &outcome,
        &["session until 2", &cut, never, never, never, "gave up"],
    );
}

#[test]
fn late_answers_are_not_those_to_what_was_asked_since() {
    let scene = Scene::impatient();
    let mut late = Vec::new();
    let mut answers = 0;
    let outcome = run(&scene, |count, answer| {
        answers = count + 1;
        // The time, and a session: each comes before what is asked for next.
        if [0, 3].contains(&count) {
            late = std::mem::take(answer);
        } else {
            answer.splice(..0, late.drain(..));
        }
    });
    let (no_time, no_session) = (
        format!("failed: no time: {SILENCE}"),
        format!("failed: {SILENCE}"),
    );
    assert_said(
        &outcome,
        &[
            &no_time,
            "again in",
            "time 2",
            &no_session,
            "again in",
            "time 2",
            "stored ",
            "done",
        ],
    );
    let failures = outcome
        .lines
        .iter()
        .filter(|line| line.starts_with("failed"));
    assert_eq!((failures.count(), answers, scene.readings()), (2, 8, 1));
    assert_eq!(scene.sandbox.session_requests().len(), 2);
}

#[test]
fn a_bridge_that_dies_and_comes_back() {
    let scene = Scene::impatient();
    let mut answers = 0;
    let outcome = scene.run(&image("secure-element"), |line| {
        // It dies in the middle of the session's answer, and of the next one that S3 gives.
        let mut send = |_, answer: &[u8], mut line: &UnixStream| {
            answers += 1;
            if [2, 5].contains(&answers) {
                line.write_all(&answer[..answer.len() / 2])?;
                return Err(io::Error::other("killed"));
            }
            line.write_all(answer)
        };
        while carry::serve(Other::new(line, &mut send), |_: &str| scene.transport()).is_err() {}
    });
    let cut = format!("failed: {SILENCE}");
    assert_said(
        &outcome,
        &[
            &cut,
            "again in 10 ms",
            "session until",
            &cut,
            "again in 40 ms",
            "stored ",
            "done",
        ],
    );
}

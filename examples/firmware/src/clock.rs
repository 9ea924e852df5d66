//! The time. This board has no clock that goes on without power, so it takes the time from the `Date` of an answer.

use core::fmt;

use keystead::core::http::stream::{StreamError, StreamTransport};
use keystead::core::http::{Answer, Body, Header, Request, TooLong, Transport as _};
use keystead::core::time::{Clock, UnixTime};

use crate::board::{self, Uart};

/// Has a number in a request, which the bridge puts into its answer.
const MARK: &str = "x-line-mark";

/// A time that was learned, and the seconds that have passed since.
pub struct BoardClock {
    start: UnixTime,
}

/// Why the time is not known.
pub enum NoTime {
    /// The line is never silent.
    Noise,
    /// The exchange failed.
    Exchange(StreamError),
    /// The answer has no `Date`; its status.
    NoDate(u16),
}

impl BoardClock {
    /// Asks a server what time it is, by a request with a number of its own. The bridge answers in order: with the
    /// answer to this one, all that was late has come, and is not taken for an answer to what is asked next.
    ///
    /// # Errors
    /// [`NoTime`].
    pub fn ask(line: &mut Uart, buffer: &mut [u8], host: &str) -> Result<Self, NoTime> {
        loop {
            if !line.drain() {
                return Err(NoTime::Noise);
            }
            let mark = board::instant();
            let headers = [
                Header {
                    name: "host",
                    value: &host,
                },
                Header {
                    name: MARK,
                    value: &mark,
                },
            ];
            let request = Request {
                method: "HEAD",
                target: "/",
                headers: &[&headers],
                body: Body::Bytes(&[]),
            };
            let mut answer = Dated::default();
            let mut transport = StreamTransport::new(&mut *line, buffer);
            let outcome = transport.exchange(&request, &mut answer);
            outcome.map_err(NoTime::Exchange)?;
            if answer.mark == Some(mark) {
                let now = answer.date.ok_or(NoTime::NoDate(answer.status))?;
                let start = now.offset_by(-i64::from(board::uptime()));
                return Ok(Self { start });
            }
        }
    }
}

impl Clock for BoardClock {
    fn now(&self) -> UnixTime {
        self.start.offset_by(board::uptime().into())
    }
}

impl fmt::Display for NoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Noise => f.write_str("the line is never silent"),
            Self::Exchange(error) => error.fmt(f),
            Self::NoDate(status) => write!(f, "an answer without a date (HTTP {status})"),
        }
    }
}

/// What counts of an answer.
#[derive(Default)]
struct Dated {
    status: u16,
    date: Option<UnixTime>,
    mark: Option<u32>,
}

impl Answer for Dated {
    fn status(&mut self, status: u16) {
        *self = Self {
            status,
            ..Self::default()
        };
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        let text = core::str::from_utf8(value).unwrap_or_default();
        if name.eq_ignore_ascii_case("date") {
            self.date = UnixTime::parse_http(text);
        } else if name.eq_ignore_ascii_case(MARK) {
            self.mark = text.parse().ok();
        }
    }

    fn body(&mut self, _: &[u8]) -> Result<(), TooLong> {
        Ok(())
    }
}

//! The time. This board has no clock that goes on without power, so it takes the time from the `Date` of an answer.

use keystead::core::http::stream::{StreamError, StreamTransport};
use keystead::core::http::{Answer, Body, Header, Request, TooLong, Transport as _};
use keystead::core::time::{Clock, UnixTime};

use crate::board::{self, Uart};

/// A time that was learned, and the seconds that have passed since.
pub struct BoardClock {
    start: UnixTime,
}

impl BoardClock {
    /// Asks a server what time it is.
    ///
    /// # Errors
    /// What became of the exchange; [`StreamError::NotHttp`] if the answer has no `Date`.
    pub fn ask(
        transport: &mut StreamTransport<'_, &mut Uart>,
        host: &str,
    ) -> Result<Self, StreamError> {
        struct Date(Option<UnixTime>);
        impl Answer for Date {
            fn status(&mut self, _: u16) {
                self.0 = None;
            }
            fn header(&mut self, name: &str, value: &[u8]) {
                if name.eq_ignore_ascii_case("date") {
                    let text = core::str::from_utf8(value).unwrap_or_default();
                    self.0 = UnixTime::parse_http(text);
                }
            }
            fn body(&mut self, _: &[u8]) -> Result<(), TooLong> {
                Ok(())
            }
        }
        let request = Request {
            method: "HEAD",
            target: "/",
            headers: &[&[Header {
                name: "host",
                value: &host,
            }]],
            body: Body::Bytes(&[]),
        };
        let mut date = Date(None);
        transport.exchange(&request, &mut date)?;
        let now = date.0.ok_or(StreamError::NotHttp)?;
        let start = now.offset_by(-i64::from(board::uptime()));
        Ok(Self { start })
    }
}

impl Clock for BoardClock {
    fn now(&self) -> UnixTime {
        self.start.offset_by(board::uptime().into())
    }
}

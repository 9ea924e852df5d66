//! An [`Answer`] in a buffer of the caller's.

use super::{Answer, TooLong};
use crate::core::time::UnixTime;

/// Collects an answer: its status, the few headers that the AWS client wants, and the body.
///
/// Bodies hold credentials: the buffer is the caller's to wipe.
pub struct Collected<'b> {
    buffer: &'b mut [u8],
    len: usize,
    error_type_len: usize,
    status: u16,
    date: Option<UnixTime>,
}

impl<'b> Collected<'b> {
    /// An answer whose body may be as long as `buffer`, less the length of the header
    /// `x-amzn-ErrorType`.
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            len: 0,
            error_type_len: 0,
            status: 0,
            date: None,
        }
    }

    /// The status code; 0 before there is one.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The server's clock, from the header `Date`.
    pub fn date(&self) -> Option<UnixTime> {
        self.date
    }

    /// The value of the header `x-amzn-ErrorType`, empty without one, and the body.
    pub fn into_error_type_and_body(self) -> (&'b [u8], &'b mut [u8]) {
        let (error_type, rest) = self.buffer.split_at_mut(self.error_type_len);
        (error_type, &mut rest[..self.len])
    }
}

impl Answer for Collected<'_> {
    fn status(&mut self, status: u16) {
        self.status = status;
        self.len = 0;
        self.error_type_len = 0;
        self.date = None;
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case("date") {
            self.date = core::str::from_utf8(value)
                .ok()
                .and_then(UnixTime::parse_http);
        } else if name.eq_ignore_ascii_case("x-amzn-errortype")
            && self.len == 0
            && let Some(room) = self.buffer.get_mut(..value.len())
        {
            room.copy_from_slice(value);
            self.error_type_len = value.len();
        }
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        let room = &mut self.buffer[self.error_type_len + self.len..];
        let room = room.get_mut(..piece.len()).ok_or(TooLong)?;
        room.copy_from_slice(piece);
        self.len += piece.len();
        Ok(())
    }
}

//! Text: in a fixed buffer, and for people.

use core::fmt::{self, Write as _};

use keystead::core::create_session::SessionError;
use keystead::core::http::stream::StreamError;

/// Text of at most `N` bytes.
#[cfg(feature = "put")]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

#[cfg(feature = "put")]
impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }
}

#[cfg(feature = "put")]
impl<const N: usize> Text<N> {
    pub fn as_str(&self) -> &str {
        // Only whole strings were written.
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

#[cfg(feature = "put")]
impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes[self.len..].get_mut(..text.len());
        room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// Why there is no session.
pub struct SessionFailure<'a>(pub &'a SessionError<'a, StreamError>);

impl fmt::Display for SessionFailure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SessionError::Sign(error) => error.fmt(f),
            SessionError::Transport(error) => error.fmt(f),
            // What anybody on the line may have said.
            SessionError::Service(error) => {
                write!(f, "{} ", error.status)?;
                let text = error.code.chars().chain(": ".chars());
                let mut text = text.chain(error.message.chars());
                text.try_for_each(|c| f.write_char(if c.is_control() { '?' } else { c }))
            }
            SessionError::Answer(error) => error.fmt(f),
            _ => f.write_str("the request cannot be signed"),
        }
    }
}

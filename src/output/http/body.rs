//! Bodies of requests, which are read to find their ends, and dropped.

use super::limits::Limits;
use super::parse::{BODY_TOO_LARGE, Framing};
use super::response::Refusal;

/// What is still to come of a request's body.
#[derive(Debug, Clone)]
pub struct RestOfBody {
    place: Place,
    /// How many bytes more are put up with, whatever they are.
    room: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// So many bytes of a body with a length.
    Length(u64),
    /// The size of a chunk; whether there was a digit already.
    Size {
        size: u64,
        begun: bool,
    },
    /// After the size, up to the end of the line.
    Extension {
        size: u64,
    },
    /// After the CR of the line with the size.
    SizeEnd {
        size: u64,
    },
    /// So many bytes of a chunk.
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// A line after the last chunk; whether something stands in it.
    Trailer {
        empty: bool,
    },
    TrailerEnd {
        empty: bool,
    },
    Done,
}

impl RestOfBody {
    /// All of it.
    pub fn new(framing: Framing, limits: &Limits) -> Self {
        Self {
            place: match framing {
                Framing::Length(length) => Place::Length(length),
                Framing::Chunked => Place::Size {
                    size: 0,
                    begun: false,
                },
            },
            room: limits.body,
        }
    }

    /// Takes the body's bytes from the beginning of `bytes`. Gives how many they were if the body ends
    /// there; else they all were.
    ///
    /// # Errors
    /// [`Refusal`], if it is too large or malformed.
    pub fn skip(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let mut at = 0;
        while let Some(next) = self.step(&bytes[at..])? {
            if next == 0 && self.place == Place::Done {
                return Ok(Some(at));
            }
            at += next;
            self.room = self.room.checked_sub(next).ok_or(BODY_TOO_LARGE)?;
        }
        Ok(None)
    }

    /// One step: how many bytes it took. `None` if it needs more.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        const MALFORMED: Refusal = Refusal::new(400, "The chunks of the body are malformed.\n");
        if let Place::Length(0) = self.place {
            self.place = Place::Done;
        }
        if self.place == Place::Done {
            return Ok(Some(0));
        }
        let Some(&byte) = bytes.first() else {
            return Ok(None);
        };
        // As many of `left` as are here.
        let many = |left: u64| bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (place, taken) = match self.place {
            Place::Length(left) => (Place::Length(left - many(left) as u64), many(left)),
            Place::Size { size, begun } => match (char::from(byte).to_digit(16), byte) {
                (Some(digit), _) => {
                    let size = size.checked_mul(16).ok_or(BODY_TOO_LARGE)? | u64::from(digit);
                    (Place::Size { size, begun: true }, 1)
                }
                (None, b'\r') if begun => (Place::SizeEnd { size }, 1),
                (None, b';' | b' ' | b'\t') if begun => (Place::Extension { size }, 1),
                _ => return Err(MALFORMED),
            },
            Place::Extension { size } => match byte {
                b'\r' => (Place::SizeEnd { size }, 1),
                b'\n' | 0 => return Err(MALFORMED),
                _ => (Place::Extension { size }, 1),
            },
            Place::SizeEnd { size } => match (byte, size) {
                (b'\n', 0) => (Place::Trailer { empty: true }, 1),
                (b'\n', left) => (Place::Data { left }, 1),
                _ => return Err(MALFORMED),
            },
            Place::Data { left } => match left - many(left) as u64 {
                0 => (Place::DataCr, many(left)),
                later => (Place::Data { left: later }, many(left)),
            },
            Place::DataCr if byte == b'\r' => (Place::DataLf, 1),
            Place::DataLf if byte == b'\n' => (
                Place::Size {
                    size: 0,
                    begun: false,
                },
                1,
            ),
            Place::Trailer { empty } => match byte {
                b'\r' => (Place::TrailerEnd { empty }, 1),
                b'\n' | 0 => return Err(MALFORMED),
                _ => (Place::Trailer { empty: false }, 1),
            },
            Place::TrailerEnd { empty } if byte == b'\n' => match empty {
                true => (Place::Done, 1),
                false => (Place::Trailer { empty: true }, 1),
            },
            _ => return Err(MALFORMED),
        };
        self.place = place;
        Ok(Some(taken))
    }
}

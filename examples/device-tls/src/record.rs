//! Records that embedded-tls (0.19) would end the program over, kept from it.
//!
//! It takes a record in the clear where all have to be encrypted, and has no answer to some of the messages in one
//! (`unimplemented!`); and it looks for the type of a message at the end of an encrypted record even if that is empty.
//! Whoever is on the way to the server could restart a device by either. It passes over any number of
//! change_cipher_spec, too, each of which renews a stream's time-out.

use core::fmt;

use embedded_io::{Error, ErrorKind, ErrorType, Read, Write};

/// Content types (RFC 8446 section 5.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// The type of what is encrypted, and the tag of AES-GCM (RFC 8446 section 5.2).
const SHORTEST_ENCRYPTED: u16 = 1 + 16;

const HEADER: usize = 5;

/// A stream of TLS records, which ends with an error where one comes that must not be there.
#[derive(Debug)]
pub struct Checked<T> {
    stream: T,
    header: [u8; HEADER],
    /// Bytes of the header that were read, or all of them and the record is being read.
    seen: usize,
    /// Bytes of the record that were not read yet.
    left: u16,
    /// The server's hello has come: what follows is encrypted.
    encrypted: bool,
    /// The one change_cipher_spec has come.
    changed: bool,
    /// An error has ended it. A reader that goes on after one knows no more where a record begins.
    ended: bool,
}

impl<T> Checked<T> {
    pub(crate) fn new(stream: T) -> Self {
        Self {
            stream,
            header: [0; HEADER],
            seen: 0,
            left: 0,
            encrypted: false,
            changed: false,
            ended: false,
        }
    }

    /// Gives the stream back.
    pub fn into_inner(self) -> T {
        self.stream
    }

    /// Judges a header that is whole, and begins its record.
    fn begin(&mut self) -> bool {
        let length = u16::from_be_bytes([self.header[3], self.header[4]]);
        let expected = match (self.header[0], self.encrypted) {
            (HANDSHAKE, false) => {
                self.encrypted = true;
                true
            }
            (ALERT, false) => true,
            // RFC 8446 appendix D.4: it says nothing, and may come once before what is encrypted.
            (CHANGE_CIPHER_SPEC, _) => length == 1 && !core::mem::replace(&mut self.changed, true),
            (APPLICATION_DATA, true) => length >= SHORTEST_ENCRYPTED,
            _ => false,
        };
        self.left = length;
        if length == 0 {
            self.seen = 0;
        }
        expected
    }
}

/// What ended a stream of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError<E> {
    /// The stream's own error.
    Stream(E),
    /// A record that must not be there.
    Unexpected,
}

impl<E: Error> fmt::Display for RecordError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => write!(f, "{:?}", error.kind()),
            Self::Unexpected => f.write_str("a record that TLS does not allow there"),
        }
    }
}

impl<E: Error> core::error::Error for RecordError<E> {}

impl<E: Error> Error for RecordError<E> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Stream(error) => error.kind(),
            Self::Unexpected => ErrorKind::InvalidData,
        }
    }
}

impl<T: ErrorType> ErrorType for Checked<T> {
    type Error = RecordError<T::Error>;
}

impl<T: Read> Read for Checked<T> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, Self::Error> {
        let wanted = match HEADER - self.seen {
            0 => usize::from(self.left),
            missing => missing,
        };
        let room = out.len().min(wanted);
        if self.ended {
            return Err(RecordError::Unexpected);
        }
        let read = self.stream.read(&mut out[..room]).map_err(|error| {
            self.ended = true;
            RecordError::Stream(error)
        })?;
        if self.seen < HEADER {
            self.header[self.seen..self.seen + read].copy_from_slice(&out[..read]);
            self.seen += read;
            if self.seen == HEADER && !self.begin() {
                self.ended = true;
                return Err(RecordError::Unexpected);
            }
        } else {
            // RFC 8446 section 5: it holds the byte 1.
            if self.header[0] == CHANGE_CIPHER_SPEC && read == 1 && out[0] != 1 {
                self.ended = true;
                return Err(RecordError::Unexpected);
            }
            // No more were asked for than are left.
            self.left -= read as u16;
            if self.left == 0 {
                self.seen = 0;
            }
        }
        Ok(read)
    }
}

impl<T: Write> Write for Checked<T> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        self.stream.write(bytes).map_err(RecordError::Stream)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        self.stream.flush().map_err(RecordError::Stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pieces<'a>(&'a [u8], usize);

    impl ErrorType for Pieces<'_> {
        type Error = ErrorKind;
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, out: &mut [u8]) -> Result<usize, ErrorKind> {
            let length = out.len().min(self.1).min(self.0.len());
            let (now, later) = self.0.split_at(length);
            out[..length].copy_from_slice(now);
            self.0 = later;
            Ok(length)
        }
    }

    /// What comes through of records of that type and length, full of the byte 1, and what ended it.
    fn through(records: &[(u8, u16)], piece: usize) -> (usize, Result<(), RecordError<ErrorKind>>) {
        through_with(records, piece, 1)
    }

    fn through_with(
        records: &[(u8, u16)],
        piece: usize,
        byte: u8,
    ) -> (usize, Result<(), RecordError<ErrorKind>>) {
        let mut bytes = Vec::new();
        for (kind, length) in records {
            bytes.extend([*kind, 3, 3]);
            bytes.extend(length.to_be_bytes());
            bytes.resize(bytes.len() + usize::from(*length), byte);
        }
        let mut stream = Checked::new(Pieces(&bytes, piece));
        let (mut count, mut out) = (0, [0; 64]);
        loop {
            match stream.read(&mut out) {
                Ok(0) => return (count, Ok(())),
                Ok(read) => count += read,
                Err(error) => {
                    // It stays at its end.
                    assert_eq!(stream.read(&mut out), Err(RecordError::Unexpected));
                    return (count, Err(error));
                }
            }
        }
    }

    #[test]
    fn a_session_comes_through_in_pieces_of_any_size() {
        let records = [
            (HANDSHAKE, 90),
            (CHANGE_CIPHER_SPEC, 1),
            (APPLICATION_DATA, 300),
            (APPLICATION_DATA, 17),
        ];
        for piece in [1, 2, 5, 7, 64] {
            assert_eq!(through(&records, piece), (428, Ok(())));
        }
        assert_eq!(through(&[(ALERT, 2)], 64), (7, Ok(())));
        assert_eq!(
            through(&[(HANDSHAKE, 0), (APPLICATION_DATA, 20)], 64),
            (30, Ok(()))
        );
    }

    #[test]
    fn records_that_must_not_be_there() {
        for (second, length) in [
            (HANDSHAKE, 10),
            (ALERT, 2),
            (CHANGE_CIPHER_SPEC, 2),
            (APPLICATION_DATA, 16),
            (APPLICATION_DATA, 0),
            (24, 20),
        ] {
            let (_, outcome) = through(&[(HANDSHAKE, 90), (second, length)], 3);
            assert_eq!(
                outcome,
                Err(RecordError::Unexpected),
                "{second} of {length}"
            );
        }
        for before in [HANDSHAKE, CHANGE_CIPHER_SPEC] {
            let twice = [
                (before, 1),
                (CHANGE_CIPHER_SPEC, 1),
                (CHANGE_CIPHER_SPEC, 1),
            ];
            assert_eq!(through(&twice, 64).1, Err(RecordError::Unexpected));
        }
        for byte in [0, 2, 0xff] {
            let (_, outcome) = through_with(&[(CHANGE_CIPHER_SPEC, 1)], 64, byte);
            assert_eq!(outcome, Err(RecordError::Unexpected));
        }
        let (_, outcome) = through(&[(APPLICATION_DATA, 20)], 3);
        assert_eq!(outcome, Err(RecordError::Unexpected));
    }
}

//! Lines out of a stream, and whether they are records.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use serde::de::IgnoredAny;

/// The most bytes that a record may have, unless somebody says otherwise.
pub const USUAL_RECORD: usize = 1024 * 1024;

/// The most that anybody can say.
pub const LARGEST_RECORD: usize = 64 * 1024 * 1024;

/// What was found in the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A record: one JSON value without the end of its line.
    Record(&'a [u8]),
    /// A line that is none.
    Refused {
        /// Its number in the stream, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Cuts a stream into lines (newline-delimited JSON: one value in each line, UTF-8). No line is kept beyond the
/// longest record.
#[derive(Debug)]
pub struct Lines {
    longest: usize,
    lines: u64,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    /// Records of at most `longest` bytes; [`LARGEST_RECORD`] is the most that it can be.
    pub fn new(longest: usize) -> Self {
        Self {
            longest: longest.min(LARGEST_RECORD),
            lines: 0,
            begun: Vec::new(),
            is_too_long: false,
        }
    }

    /// How many lines have come, the empty ones among them.
    pub fn count(&self) -> u64 {
        self.lines
    }

    /// Takes the next bytes of the stream, and gives what is complete with them.
    pub fn feed(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(Piece<'_>)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.begun.is_empty() && !self.is_too_long {
                self.line(line, each);
            } else {
                self.begin(line);
                self.end_line(each);
            }
        }
        self.begin(bytes);
    }

    /// The stream has ended. A last line without its end may be the beginning of a longer one: it is a record only
    /// if its own end can be seen.
    pub fn finish(&mut self, each: &mut dyn FnMut(Piece<'_>)) {
        let is_closed = matches!(
            self.begun.trim_ascii().first(),
            Some(b'{' | b'[' | b'"') | None
        );
        if is_closed || self.is_too_long {
            if !self.begun.is_empty() || self.is_too_long {
                self.end_line(each);
            }
            return;
        }
        self.begun.clear();
        self.lines += 1;
        let why = "the stream ends in the middle of it: a last line needs its newline".into();
        each(Piece::Refused {
            line: self.lines,
            why,
        });
    }

    fn begin(&mut self, bytes: &[u8]) {
        // One more than the longest record, for the carriage return.
        if self.begun.len() + bytes.len() > self.longest + 1 {
            self.is_too_long = true;
            self.begun.clear();
        }
        if !self.is_too_long {
            self.begun.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, each: &mut dyn FnMut(Piece<'_>)) {
        if self.is_too_long {
            self.is_too_long = false;
            self.lines += 1;
            let line = self.lines;
            let why = self.too_long();
            each(Piece::Refused { line, why });
            return;
        }
        let mut line = core::mem::take(&mut self.begun);
        self.line(&line, each);
        // The room serves for the next one.
        line.clear();
        self.begun = line;
    }

    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(Piece<'_>)) {
        self.lines += 1;
        let record = line.trim_ascii();
        let checked = if line.len() > self.longest + 1 || record.len() > self.longest {
            Err(self.too_long())
        } else if record.is_empty() {
            return;
        } else {
            check(record)
        };
        each(match checked {
            Ok(()) => Piece::Record(record),
            Err(why) => Piece::Refused {
                line: self.lines,
                why,
            },
        });
    }

    fn too_long(&self) -> String {
        format!("it is longer than {} bytes", self.longest)
    }
}

/// Whether this is one JSON value, in one line.
///
/// # Errors
/// What is wrong.
pub fn check(record: &[u8]) -> Result<(), String> {
    if let Err(error) = str::from_utf8(record) {
        let at = error.valid_up_to() + 1;
        return Err(format!("it is not UTF-8 (byte {at})"));
    }
    let checked: Result<IgnoredAny, _> = serde_json::from_slice(record);
    checked.map(drop).map_err(|error| {
        let column = error.column();
        let text = error.to_string();
        // There is but one line, as far as the parser knows.
        let what = text.split(" at line ").next().unwrap_or_default();
        format!("it is not JSON: {what} (byte {column})")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    type Found = Vec<Result<String, (u64, String)>>;

    fn pieces(chunks: &[&[u8]], longest: usize) -> (Found, u64) {
        let mut found = vec![];
        let mut each = |piece: Piece<'_>| {
            found.push(match piece {
                Piece::Record(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
                Piece::Refused { line, why } => Err((line, why)),
            });
        };
        let mut lines = Lines::new(longest);
        for chunk in chunks {
            lines.feed(chunk, &mut each);
        }
        lines.finish(&mut each);
        (found, lines.count())
    }

    #[test]
    fn records_and_bad_lines() {
        let (found, lines) = pieces(
            &[
                b"{\"a\":1}\r\n\n  [1, 2] \n{\"a\":\n\"x\xff\"\n1 2\n{\"a\"",
                b":2}",
            ],
            100,
        );
        let refused = |line, why: &str| Err((line, why.into()));
        assert_eq!(
            found,
            [
                Ok("{\"a\":1}".into()),
                Ok("[1, 2]".into()),
                refused(4, "it is not JSON: EOF while parsing a value (byte 5)"),
                refused(5, "it is not UTF-8 (byte 3)"),
                refused(6, "it is not JSON: trailing characters (byte 3)"),
                Ok("{\"a\":2}".into()),
            ]
        );
        assert_eq!(lines, 7);
    }

    #[test]
    fn a_torn_end_is_no_record() {
        let why = "the stream ends in the middle of it: a last line needs its newline";
        assert_eq!(
            pieces(&[b"1\n12"], 9).0,
            [Ok("1".into()), Err((2, why.into()))]
        );
        assert_eq!(pieces(&[b"tru"], 9).0.len(), 1);
        assert!(pieces(&[b"{\"a\":1"], 9).0[0].is_err());
        assert_eq!(pieces(&[b"", b" "], 9).0, []);
    }

    #[test]
    fn a_long_line_is_refused_and_not_kept() {
        let long = [b'1'; 4096];
        let mut lines = Lines::new(16);
        let mut found = vec![];
        for _ in 0..100 {
            lines.feed(&long, &mut |_| ());
            assert!(lines.begun.capacity() < 64);
        }
        let mut each = |piece: Piece<'_>| found.push(matches!(piece, Piece::Record(_)));
        lines.feed(b"\n1234567890123456\r\n12345678901234567\n", &mut each);
        assert_eq!(found, [false, true, false]);
    }

    #[test]
    fn no_depth_overflows() {
        let deep = vec![b'['; 1_000_000];
        assert!(
            check(&deep)
                .unwrap_err()
                .contains("EOF while parsing a list")
        );
    }

    proptest! {
        /// However the stream is cut into pieces, the records are the same.
        #[test]
        fn cuts_do_not_matter(
            text in prop::collection::vec(prop::sample::select(b"{}\"a:1\n\r \xff".to_vec()), 0..60),
            cuts in prop::collection::vec(0..60_usize, 0..6),
        ) {
            let whole = pieces(&[&text], 20);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(pieces(&chunks, 20), whole);
        }
    }
}

//! The canonical request: one text that client and server form alike.

use core::cmp::Ordering;
use core::fmt::{self, Write};

use super::encode::Encoded;
use super::{HashWriter, Headers};
use crate::core::text::{Hex, cut};

/// A request as it is signed. Its [`Display`](fmt::Display) is the canonical request itself, which
/// shows the values of all signed headers.
#[derive(Clone, Copy)]
pub struct CanonicalRequest<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// Path and query, as on the wire.
    pub target: &'a str,
    /// What becomes of the path.
    pub path: PathRule,
    /// The headers to sign, in any order; repeated names in the order in which they are sent.
    pub headers: Headers<'a>,
    /// The hash of the body, or what stands for it.
    pub payload: Payload<'a>,
}

/// How a path becomes canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRule {
    /// Remove empty segments, `.` and `..`.
    pub normalize: bool,
    /// Encode what is on the wire once more.
    pub encode_again: bool,
}

impl PathRule {
    /// Every service but S3.
    pub const STANDARD: Self = Self {
        normalize: true,
        encode_again: true,
    };
    /// S3: keys are taken as they are.
    pub const S3: Self = Self {
        normalize: false,
        encode_again: false,
    };
}

/// The last line of a canonical request.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// SHA-256 of the body.
    Sha256([u8; 32]),
    /// What the header `x-amz-content-sha256` says: `UNSIGNED-PAYLOAD`, `STREAMING-…`.
    Literal(&'a str),
}

impl CanonicalRequest<'_> {
    /// SHA-256 of the canonical request, formed while it is hashed.
    ///
    /// # Errors
    /// Only those of the header values' own `Display`.
    pub fn hash(&self) -> Result<[u8; 32], fmt::Error> {
        let mut hash = HashWriter::default();
        write!(hash, "{self}")?;
        Ok(hash.finish())
    }
}

impl fmt::Display for CanonicalRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = cut(self.target, b'?');
        writeln!(f, "{}", self.method)?;
        write_path(f, path, self.path)?;
        f.write_char('\n')?;
        write_query(f, query.unwrap_or_default())?;
        f.write_char('\n')?;
        write_headers(f, self.headers)?;
        writeln!(f, "\n{}", SignedHeaders(self.headers))?;
        match &self.payload {
            Payload::Sha256(hash) => write!(f, "{}", Hex(hash)),
            Payload::Literal(text) => f.write_str(text),
        }
    }
}

// What these three need of the stack is free again when the next one runs.

#[inline(never)]
fn write_path(f: &mut fmt::Formatter<'_>, path: &str, rule: PathRule) -> fmt::Result {
    let encode = |f: &mut fmt::Formatter<'_>, segment| {
        let encoded = if rule.encode_again {
            Encoded::plain(segment)
        } else {
            Encoded::wire(segment)
        };
        write!(f, "{encoded}")
    };
    let path = path.strip_prefix('/').unwrap_or(path);
    if !rule.normalize {
        return pieces(path, b'/').try_for_each(|segment| {
            f.write_char('/')?;
            encode(f, segment)
        });
    }
    let mut empty = true;
    let mut rest = path;
    while let Some((segment, tail)) = next_segment(rest) {
        rest = tail;
        if stays(segment, tail) {
            f.write_char('/')?;
            encode(f, segment)?;
            empty = false;
        }
    }
    if empty || path.ends_with('/') {
        f.write_char('/')?;
    }
    Ok(())
}

/// The first segment of a path, and what follows it. `None` at the end.
fn next_segment(path: &str) -> Option<(&str, &str)> {
    if path.is_empty() {
        None
    } else {
        let (segment, tail) = cut(path, b'/');
        Some((segment, tail.unwrap_or_default()))
    }
}

/// What lies between separators.
fn pieces(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let (piece, tail) = cut(rest?, separator);
        rest = tail;
        Some(piece)
    })
}

/// Whether a segment is still there when those after it were applied: a later `..` takes away the
/// nearest one before it. Looking ahead costs time on a path of many segments, but no memory.
fn stays(segment: &str, mut rest: &str) -> bool {
    if matches!(segment, "" | "." | "..") {
        return false;
    }
    let mut between = 0usize;
    while let Some((segment, tail)) = next_segment(rest) {
        rest = tail;
        match segment {
            "" | "." => {}
            ".." => match between.checked_sub(1) {
                Some(fewer) => between = fewer,
                None => return false,
            },
            _ => between += 1,
        }
    }
    true
}

/// One parameter of a query, in its canonical encoding.
#[derive(Clone, Copy)]
struct Parameter<'a> {
    name: Encoded<'a>,
    value: Encoded<'a>,
    index: usize,
}

impl Parameter<'_> {
    /// By encoded name, then encoded value, then position.
    fn order(&self, other: &Self) -> Ordering {
        (self.name.bytes().cmp(other.name.bytes()))
            .then_with(|| self.value.bytes().cmp(other.value.bytes()))
            .then(self.index.cmp(&other.index))
    }
}

#[inline(never)]
fn write_query(f: &mut fmt::Formatter<'_>, query: &str) -> fmt::Result {
    let parameters = || {
        let parameters = pieces(query, b'&').filter(|parameter| !parameter.is_empty());
        parameters.enumerate().map(|(index, parameter)| {
            let (name, value) = cut(parameter, b'=');
            Parameter {
                name: Encoded::wire(name),
                value: Encoded::wire(value.unwrap_or_default()),
                index,
            }
        })
    };
    let mut last: Option<Parameter<'_>> = None;
    while let Some(next) = smallest_after(parameters(), last.as_ref(), Parameter::order) {
        if last.is_some() {
            f.write_char('&')?;
        }
        write!(f, "{}={}", next.name, next.value)?;
        last = Some(next);
    }
    Ok(())
}

/// Sorting without memory: the smallest item that is greater than `last`.
fn smallest_after<T>(
    items: impl Iterator<Item = T>,
    last: Option<&T>,
    order: impl Fn(&T, &T) -> Ordering,
) -> Option<T> {
    items
        .filter(|item| last.is_none_or(|last| order(item, last).is_gt()))
        .min_by(|one, other| order(one, other))
}

/// The names of the headers, lower case, each once, sorted.
fn sorted_names<'a>(headers: Headers<'a>) -> impl Iterator<Item = &'a str> {
    let mut last = None;
    core::iter::from_fn(move || {
        let names = headers.iter().copied().flatten().map(|header| header.name);
        last = smallest_after(names, last.as_ref(), |one, other| {
            lower(one).cmp(lower(other))
        });
        last
    })
}

fn lower(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().map(|byte| byte.to_ascii_lowercase())
}

fn write_lower(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    lower(name).try_for_each(|byte| f.write_char(byte.into()))
}

#[inline(never)]
fn write_headers(f: &mut fmt::Formatter<'_>, headers: Headers<'_>) -> fmt::Result {
    for name in sorted_names(headers) {
        write_lower(f, name)?;
        let all = headers.iter().copied().flatten();
        let same = all.filter(|header| header.name.eq_ignore_ascii_case(name));
        for (index, header) in same.enumerate() {
            f.write_char(if index == 0 { ':' } else { ',' })?;
            write!(Collapse::new(f), "{}", header.value)?;
        }
        f.write_char('\n')?;
    }
    Ok(())
}

/// The list of signed headers: `host;x-amz-date`.
#[derive(Clone, Copy)]
pub(super) struct SignedHeaders<'a>(pub(super) Headers<'a>);

impl fmt::Display for SignedHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in sorted_names(self.0).enumerate() {
            if index > 0 {
                f.write_char(';')?;
            }
            write_lower(f, name)?;
        }
        Ok(())
    }
}

/// Passes text on without white space at its ends, and with one space for each run of it within.
struct Collapse<'a, W> {
    out: &'a mut W,
    started: bool,
    space: bool,
}

impl<'a, W: Write> Collapse<'a, W> {
    fn new(out: &'a mut W) -> Self {
        Self {
            out,
            started: false,
            space: false,
        }
    }
}

impl<W: Write> Write for Collapse<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_space = |c: char| c.is_ascii_whitespace();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let run = |stop: bool| rest.find(|c| is_space(c) == stop).unwrap_or(rest.len());
            if is_space(first) {
                self.space = self.started;
                rest = &rest[run(false)..];
            } else {
                if core::mem::take(&mut self.space) {
                    self.out.write_char(' ')?;
                }
                self.started = true;
                let (word, tail) = rest.split_at(run(true));
                self.out.write_str(word)?;
                rest = tail;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString as _};

    fn path(path: &str, rule: PathRule) -> String {
        let request = CanonicalRequest {
            method: "GET",
            target: path,
            path: rule,
            headers: &[],
            payload: Payload::Literal(""),
        };
        request.to_string().lines().nth(1).unwrap().to_string()
    }

    #[test]
    fn paths_are_normalised_but_for_s3() {
        for (given, standard, s3) in [
            ("/", "/", "/"),
            ("", "/", "/"),
            ("//", "/", "//"),
            ("/a/./b//c", "/a/b/c", "/a/./b//c"),
            ("/a/b/../../c/", "/c/", "/a/b/../../c/"),
            ("/../a/..", "/", "/../a/.."),
            ("/a/b/c/../../d", "/a/d", "/a/b/c/../../d"),
            ("/a%20b", "/a%2520b", "/a%20b"),
            ("/a b+~", "/a%20b%2B~", "/a%20b%2B~"),
        ] {
            assert_eq!(path(given, PathRule::STANDARD), standard, "{given}");
            assert_eq!(path(given, PathRule::S3), s3, "{given}");
        }
    }

    #[test]
    fn queries_are_sorted_by_encoded_name_and_value() {
        let request = CanonicalRequest {
            method: "GET",
            target: "/?b=2&a=%3d&B=1&b=1&&c&a-=0",
            path: PathRule::STANDARD,
            headers: &[],
            payload: Payload::Literal(""),
        };
        let text = request.to_string();
        assert_eq!(
            text.lines().nth(2),
            Some("B=1&a=%3D&a-=0&b=1&b=2&c="),
            "{text}"
        );
    }

    #[test]
    fn header_values_collapse_across_pieces() {
        struct Pieces;
        impl fmt::Display for Pieces {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                ["  a", " ", " b\t", "c  ", " "]
                    .iter()
                    .try_for_each(|piece| f.write_str(piece))
            }
        }
        let mut out = String::new();
        write!(Collapse::new(&mut out), "{Pieces}").unwrap();
        assert_eq!(out, "a b c");
    }
}

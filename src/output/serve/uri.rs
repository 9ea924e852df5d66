//! Paths as programs send them.

use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

/// A path without the slashes that it begins and ends with: some programs add one to an endpoint that ends
/// with one already, or to a name.
pub fn trimmed(path: &str) -> &str {
    path.trim_matches('/')
}

/// A segment of a path without its percent-encoding (RFC 3986 section 2.1); `None` if that is broken, or
/// gives no text.
pub fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = after;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slashes() {
        assert_eq!(trimmed("/a/b"), "a/b");
        assert_eq!(trimmed("//a/b/"), "a/b");
        assert_eq!(trimmed("/"), "");
    }

    #[test]
    fn percent() {
        for (segment, text) in [
            ("plain", Some("plain")),
            ("a%2Cb%40c%3d", Some("a,b@c=")),
            ("%c3%a9", Some("\u{e9}")),
            ("%c3", None),
            ("%", None),
            ("%4", None),
            ("%+1", None),
            ("%gg", None),
        ] {
            assert_eq!(decoded(segment).as_deref(), text, "{segment}");
        }
    }

    proptest! {
        #[test]
        fn any_segment_is_decoded_or_refused(segment in "[%0-9a-fg]{0,12}") {
            let _ = decoded(&segment);
        }
    }
}

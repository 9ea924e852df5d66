//! What the lines of a credentials file are.
//!
//! The file has no specification, and every program its own reader. Lines are taken as Python's
//! `configparser` takes them, which the AWS command line and boto3 use: it is the strictest. Where the readers
//! of the SDKs for Go, JavaScript and Rust differ, [`Kind`] says enough to keep away from it.

use std::vec::Vec;

/// A line: its text, and what ends it (nothing, at the end of some files).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    pub(super) ending: &'a [u8],
    pub(super) kind: Kind<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// Nothing, or a comment.
    Blank,
    /// `[name]`
    Header(Header<'a>),
    /// `name = value`
    Setting(Setting<'a>),
    /// A line that is indented more than the setting above it, of whose value it is a part.
    Continuation {
        /// Whether that setting had a value on its own line: without one, the lines below it are settings
        /// of their own for most readers.
        after_value: bool,
    },
    /// Text that is none of this.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header<'a> {
    /// The name up to the first `]`, without blanks around it: as the most lenient readers have it.
    pub(super) name: &'a [u8],
    /// The name as Python has it: with blanks, and up to the last `]`.
    pub(super) exact: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setting<'a> {
    pub(super) indent: &'a [u8],
    pub(super) name: &'a [u8],
    /// Blanks, `=`, blanks.
    pub(super) before_equals: &'a [u8],
    pub(super) after_equals: &'a [u8],
    pub(super) value: &'a [u8],
}

/// What some editors put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The byte order mark, if there is one, and the lines.
pub(super) fn outline(contents: &[u8]) -> (&[u8], Vec<Line<'_>>) {
    let (mark, mut rest) = match contents.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => (BYTE_ORDER_MARK, rest),
        None => (&b""[..], contents),
    };
    let mut reader = Reader::default();
    let mut lines = Vec::new();
    while !rest.is_empty() {
        let (text, ending, after) = first_line(rest);
        lines.push(Line {
            text,
            ending,
            kind: reader.kind(text),
        });
        rest = after;
    }
    (mark, lines)
}

/// Lines end as Python has it: also with a carriage return alone.
fn first_line(rest: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
        return (rest, b"", b"");
    };
    let (text, after) = rest.split_at(end);
    let (ending, after) = after.split_at(if after.starts_with(b"\r\n") { 2 } else { 1 });
    (text, ending, after)
}

/// What `configparser` remembers between lines.
#[derive(Default)]
struct Reader {
    in_section: bool,
    /// The setting that an indented line belongs to: its indentation, and whether it has a value.
    setting: Option<(usize, bool)>,
}

impl Reader {
    fn kind<'a>(&mut self, text: &'a [u8]) -> Kind<'a> {
        let (indent, trimmed) = split_blanks(text);
        let trimmed = trim_end(trimmed);
        if trimmed.is_empty() || matches!(trimmed[0], b'#' | b';') {
            return Kind::Blank;
        }
        let width = str::from_utf8(indent).map_or(indent.len(), |text| text.chars().count());
        if let Some((of, has_value)) = self.setting
            && width > of
        {
            return Kind::Continuation {
                after_value: has_value,
            };
        }
        if let Some(header) = header(trimmed) {
            self.in_section = true;
            self.setting = None;
            return Kind::Header(header);
        }
        match setting(indent, trimmed) {
            Some(setting) if self.in_section => {
                self.setting = Some((width, !setting.value.is_empty()));
                Kind::Setting(setting)
            }
            // Python goes on with the setting above it, which is indented as this line is from now on.
            _ => {
                if let Some((of, _)) = &mut self.setting {
                    *of = width;
                }
                Kind::Other
            }
        }
    }
}

/// The header that a line is, wherever it stands.
pub(super) fn header(trimmed: &[u8]) -> Option<Header<'_>> {
    let inside = trimmed.strip_prefix(b"[")?;
    let last = inside.iter().rposition(|&byte| byte == b']')?;
    let first = inside.iter().position(|&byte| byte == b']')?;
    let name = trim_end(split_blanks(&inside[..first]).1);
    (last > 0).then_some(Header {
        name,
        exact: &inside[..last],
    })
}

/// The setting that a line is: its name ends with the first `=` or `:`.
pub(super) fn setting<'a>(indent: &'a [u8], trimmed: &'a [u8]) -> Option<Setting<'a>> {
    let delimiter = trimmed
        .iter()
        .position(|byte| matches!(byte, b'=' | b':'))?;
    let (before, after) = (&trimmed[..delimiter], &trimmed[delimiter + 1..]);
    let name = trim_end(before);
    let (after_equals, value) = split_blanks(after);
    (!name.is_empty()).then_some(Setting {
        indent,
        name,
        before_equals: &before[name.len()..],
        after_equals,
        value,
    })
}

/// What Python strips: Unicode's white space, and four control characters.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Blanks at the start, and the rest.
pub(super) fn split_blanks(text: &[u8]) -> (&[u8], &[u8]) {
    let readable = text.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    text.split_at(readable.len() - readable.trim_start_matches(is_blank).len())
}

fn trim_end(text: &[u8]) -> &[u8] {
    let readable = text.utf8_chunks().last();
    let readable = readable.filter(|chunk| chunk.invalid().is_empty());
    let readable = readable.map_or("", |chunk| chunk.valid());
    &text[..text.len() - (readable.len() - readable.trim_end_matches(is_blank).len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A letter for each line.
    fn kinds(text: &str) -> std::string::String {
        let letter = |line: &Line<'_>| match line.kind {
            Kind::Blank => '.',
            Kind::Header(_) => 'H',
            Kind::Setting(_) => 'S',
            Kind::Continuation { .. } => 'c',
            Kind::Other => '?',
        };
        outline(text.as_bytes()).1.iter().map(letter).collect()
    }

    #[test]
    fn lines_of_every_kind() {
        assert_eq!(kinds(""), "");
        assert_eq!(kinds("x = 1\n[a]\nx = 1\n"), "?HS");
        assert_eq!(kinds("[a]\rx=1\r\ny:2\n\n # c\n;c"), "HSS...");
        assert_eq!(
            kinds("[a]\ns3 =\n  x = 1\n\n  # c\n  y = 2\nz = 3"),
            "HSc..cS"
        );
        assert_eq!(kinds("[a]\n  x = 1\n  y = 2\n   z\n [b]\n"), "HSScH");
        assert_eq!(kinds("[a]\nx = 1\n [b]\n"), "HSc");
        assert_eq!(kinds("[a]\njunk\n= 1\n[]\n[x\n"), "H????");
        assert_eq!(kinds("\u{feff}[a]\n\u{a0}x = 1\n\u{a0}\n"), "HS.");
    }

    #[test]
    fn names_as_they_are_read() {
        let exact = |line: &'static str| {
            let header = header(line.as_bytes()).unwrap();
            let text = |bytes| str::from_utf8(bytes).unwrap();
            (text(header.name), text(header.exact))
        };
        assert_eq!(exact("[a]"), ("a", "a"));
        assert_eq!(exact("[ a ] # c"), ("a", " a "));
        assert_eq!(exact("[a] # see [b]"), ("a", "a] # see [b"));
        assert_eq!(exact("[\"a\"]"), ("\"a\"", "\"a\""));
    }

    #[test]
    fn settings_in_their_parts() {
        let Kind::Setting(setting) = outline(b"[a]\n\tk \t=  v = w \xff\t \n").1[1].kind else {
            panic!("it is a setting");
        };
        assert_eq!(setting.indent, b"\t");
        assert_eq!(setting.name, b"k");
        assert_eq!(setting.before_equals, b" \t");
        assert_eq!(setting.after_equals, b"  ");
        assert_eq!(setting.value, b"v = w \xff");
    }
}

//! The XML of S3's answers: elements with text. Attributes, comments, processing instructions and prefixes of
//! namespaces are passed over; a document type is refused.

use core::fmt;

/// A piece of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// An element begins: its name without the prefix of its namespace.
    Start(&'a str),
    /// Text between tags, as it is in the document: [`unescape`](XmlReader::unescape) gives its characters.
    Text(&'a str),
    /// The innermost element ends.
    End,
}

/// Reads a document token by token, out of a buffer of the caller's.
#[derive(Debug, Clone)]
pub struct XmlReader<'a> {
    rest: &'a str,
    /// `<a/>` is a start and an end.
    ends: bool,
    depth: usize,
}

/// Elements within each other beyond this number are an error.
const MAX_DEPTH: usize = 32;

impl<'a> XmlReader<'a> {
    /// A reader of `document`; white space before it is passed over, for S3 keeps connections alive with it.
    ///
    /// # Errors
    /// [`XmlError`] if it is not UTF-8.
    pub fn new(document: &'a [u8]) -> Result<Self, XmlError> {
        let text = core::str::from_utf8(document).map_err(|_| XmlError)?;
        let text = text.trim_ascii_start();
        Ok(Self {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            ends: false,
            depth: 0,
        })
    }

    /// How many elements are open.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The next token; `None` after the end of the outermost element.
    ///
    /// # Errors
    /// [`XmlError`] if this is no XML, or it ends too early.
    pub fn next_token(&mut self) -> Result<Option<Token<'a>>, XmlError> {
        if core::mem::take(&mut self.ends) {
            self.depth -= 1;
            return Ok(Some(Token::End));
        }
        loop {
            if self.rest.is_empty() {
                return if self.depth == 0 {
                    Ok(None)
                } else {
                    Err(XmlError)
                };
            }
            let Some(markup) = self.rest.strip_prefix('<') else {
                let end = self.rest.find('<').unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                self.rest = rest;
                if self.depth > 0 {
                    return Ok(Some(Token::Text(text)));
                }
                if !text.trim_ascii().is_empty() {
                    return Err(XmlError);
                }
                continue;
            };
            if let Some(rest) = markup.strip_prefix('?') {
                self.rest = after(rest, "?>")?.1;
            } else if let Some(rest) = markup.strip_prefix("!--") {
                self.rest = after(rest, "-->")?.1;
            } else if markup.starts_with('!') {
                // A document type, which may define entities; CDATA, which S3 does not write.
                return Err(XmlError);
            } else if let Some(rest) = markup.strip_prefix('/') {
                self.rest = after(rest, ">")?.1;
                self.depth = self.depth.checked_sub(1).ok_or(XmlError)?;
                return Ok(Some(Token::End));
            } else {
                return self.start(markup).map(Some);
            }
        }
    }

    fn start(&mut self, markup: &'a str) -> Result<Token<'a>, XmlError> {
        let is_end = |c: char| c.is_ascii_whitespace() || c == '>' || c == '/';
        let end = markup.find(is_end).ok_or(XmlError)?;
        let (name, mut rest) = markup.split_at(end);
        // `>` may stand in an attribute's value.
        let rest = loop {
            let at = rest.find(['>', '"', '\'']).ok_or(XmlError)?;
            let (before, found) = rest.split_at(at);
            if let Some(tail) = found.strip_prefix('>') {
                self.ends = before.ends_with('/');
                break tail;
            }
            let (quote, tail) = found.split_at(1);
            rest = after(tail, quote)?.1;
        };
        self.rest = rest;
        if name.is_empty() || self.depth == MAX_DEPTH {
            return Err(XmlError);
        }
        self.depth += 1;
        Ok(Token::Start(name.rsplit(':').next().unwrap_or(name)))
    }

    /// The text of the element that has just begun, and everything up to its end. Elements within it are passed
    /// over.
    ///
    /// # Errors
    /// [`XmlError`]
    pub fn text(&mut self) -> Result<&'a str, XmlError> {
        let outside = self.depth.checked_sub(1).ok_or(XmlError)?;
        let mut found = "";
        while self.depth > outside {
            match self.next_token()? {
                Some(Token::Text(text)) if self.depth == outside + 1 && found.is_empty() => {
                    found = text;
                }
                Some(_) => {}
                None => return Err(XmlError),
            }
        }
        Ok(found)
    }

    /// The characters of `text`: the five entities of XML and numeric references are resolved; what is none of them
    /// stays as it is.
    pub fn unescape(text: &'a str) -> impl Iterator<Item = char> + 'a {
        let mut rest = text;
        core::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let reference = rest
                .strip_prefix('&')
                .and_then(|tail| tail.split_once(';'))
                .and_then(|(name, tail)| Some((entity(name)?, tail)));
            if let Some((character, tail)) = reference {
                rest = tail;
                return Some(character);
            }
            rest = &rest[first.len_utf8()..];
            Some(first)
        })
    }
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    })
}

fn after<'a>(text: &'a str, end: &str) -> Result<(&'a str, &'a str), XmlError> {
    // A search of the standard library's for text costs a device half a kilobyte.
    let at = text
        .as_bytes()
        .windows(end.len())
        .position(|window| window == end.as_bytes());
    let (before, rest) = text.split_at(at.ok_or(XmlError)?);
    Ok((before, &rest[end.len()..]))
}

/// What was read is not XML as S3 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XmlError;

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is not the XML document that it should be")
    }
}

impl core::error::Error for XmlError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    fn tokens(document: &str) -> Result<Vec<Token<'_>>, XmlError> {
        let mut reader = XmlReader::new(document.as_bytes())?;
        let mut tokens = Vec::new();
        while let Some(token) = reader.next_token()? {
            tokens.push(token);
        }
        Ok(tokens)
    }

    #[test]
    fn what_s3_writes() {
        use Token::{End, Start, Text};
        let document = "\n \n<?xml version=\"1.0\"?>\n<!-- > --><s3:Error xmlns:s3='a>b' b = \"'/>\">\
                        <Code>A</Code><Empty/><E a=''/></s3:Error >\n";
        assert_eq!(
            tokens(document),
            Ok(Vec::from([
                Start("Error"),
                Start("Code"),
                Text("A"),
                End,
                Start("Empty"),
                End,
                Start("E"),
                End,
                End
            ]))
        );
    }

    #[test]
    fn what_is_no_answer() {
        for document in [
            "<a>",
            "<a></a></a>",
            "</a>",
            "text",
            "<a><!DOCTYPE x></a>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
            "<a",
            "<a b='",
            "< a/>",
            "<?xml",
        ] {
            assert_eq!(tokens(document), Err(XmlError), "{document}");
        }
        assert_eq!(tokens(&"<a>".repeat(MAX_DEPTH + 1)), Err(XmlError));
        assert_eq!(XmlReader::new(b"\xff").map(|_| ()), Err(XmlError));
    }

    #[test]
    fn the_text_of_an_element() {
        let mut reader = XmlReader::new(b"<a>one<b>two</b>three</a>").unwrap();
        assert_eq!(reader.next_token(), Ok(Some(Token::Start("a"))));
        assert_eq!(reader.text(), Ok("one"));
        assert_eq!(reader.next_token(), Ok(None));
    }

    #[test]
    fn entities() {
        let text: String = XmlReader::unescape("&lt;&#65;&#x1F980;&amp;amp;&nbsp;&").collect();
        assert_eq!(text, "<A\u{1f980}&amp;&nbsp;&");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_run_on(document in "[<>/?!a:\"'= &#;x-]{0,60}") {
            let _ = tokens(&document);
            let _ = XmlReader::unescape(&document).count();
        }

        #[test]
        fn bytes_neither(document in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(mut reader) = XmlReader::new(&document) {
                while let Ok(Some(_)) = reader.next_token() {}
            }
        }
    }
}

//! Reading a JSON document (RFC 8259) member by member, without memory of its own.

use super::error::AnswerError;
use crate::core::text::cut;

/// A reader that descends with its caller through a document.
pub(super) struct Reader<'b> {
    /// What is left of the document.
    rest: &'b str,
    next: Next,
    /// How many containers are open, and for each of them, the innermost lowest, whether it is an object.
    depth: u32,
    objects: u64,
    /// Takes the strings that are written with escapes, one after the other.
    arena: &'b mut [u8],
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A value.
    Value,
    /// A value, or the end of the array that was entered.
    FirstItem,
    /// A key.
    Key,
    /// A key, or the end of the object that was entered.
    FirstKey,
    /// What follows a value: a comma or the end of a container, or of the document.
    Rest,
}

/// What has come. Strings are as they were written, between their quotes.
enum Event<'b> {
    Start { is_object: bool },
    End,
    Key(&'b str),
    String(&'b str),
    Null,
    Other,
}

/// What a value is, when it is asked for as a string.
pub(super) enum Value<'b> {
    String(&'b str),
    Null,
    /// A number, a truth value, or a container that has been skipped.
    Other,
}

impl<'b> Reader<'b> {
    /// A reader of `body`. `scratch` keeps the strings that have to be unescaped.
    pub(super) fn new(body: &'b str, scratch: &'b mut [u8]) -> Self {
        Self {
            rest: body,
            next: Next::Value,
            depth: 0,
            objects: 0,
            arena: scratch,
        }
    }

    /// Enters the object that comes next; `false` if something else comes, which is then skipped.
    pub(super) fn enter_object(&mut self) -> Result<bool, AnswerError> {
        self.enter(true)
    }

    /// Enters the array that comes next; `false` if something else comes, which is then skipped.
    pub(super) fn enter_array(&mut self) -> Result<bool, AnswerError> {
        self.enter(false)
    }

    fn enter(&mut self, object: bool) -> Result<bool, AnswerError> {
        match self.event()? {
            Event::Start { is_object } if is_object == object => return Ok(true),
            Event::Start { .. } => self.leave()?,
            _ => {}
        }
        Ok(false)
    }

    /// The next member of the object that was entered, as `name` knows it; `None` at its end.
    pub(super) fn next_member<M>(
        &mut self,
        name: impl Fn(&str) -> M,
    ) -> Result<Option<M>, AnswerError> {
        match self.event()? {
            Event::Key(key) if !has_escapes(key) => Ok(Some(name(key))),
            Event::Key(key) => {
                let len = unescape(key, self.arena)?;
                text(&self.arena[..len]).map(|key| Some(name(key)))
            }
            Event::End => Ok(None),
            _ => Err(AnswerError::NotJson),
        }
    }

    /// The value that comes next; a container is skipped.
    pub(super) fn value(&mut self) -> Result<Value<'b>, AnswerError> {
        match self.event()? {
            Event::String(plain) if !has_escapes(plain) => Ok(Value::String(plain)),
            Event::String(escaped) => {
                let len = unescape(escaped, self.arena)?;
                let (kept, rest) = core::mem::take(&mut self.arena).split_at_mut(len);
                self.arena = rest;
                text(kept).map(Value::String)
            }
            Event::Null => Ok(Value::Null),
            Event::Other => Ok(Value::Other),
            Event::Start { .. } => {
                self.leave()?;
                Ok(Value::Other)
            }
            Event::End | Event::Key(_) => Err(AnswerError::NotJson),
        }
    }

    /// Skips the value that comes next.
    pub(super) fn skip(&mut self) -> Result<(), AnswerError> {
        match self.event()? {
            Event::Start { .. } => self.leave(),
            _ => Ok(()),
        }
    }

    /// Skips the rest of the container that was entered last, with its end.
    pub(super) fn leave(&mut self) -> Result<(), AnswerError> {
        let outside = self.depth.checked_sub(1).ok_or(AnswerError::NotJson)?;
        while self.depth > outside {
            self.event()?;
        }
        Ok(())
    }

    /// Asserts that the document ends here.
    pub(super) fn finish(mut self) -> Result<(), AnswerError> {
        self.skip_space();
        if self.rest.is_empty() && self.depth == 0 && self.next == Next::Rest {
            Ok(())
        } else {
            Err(AnswerError::NotJson)
        }
    }

    fn event(&mut self) -> Result<Event<'b>, AnswerError> {
        let mut byte = self.token()?;
        if self.next == Next::Rest && byte == b',' && self.depth > 0 {
            self.next = if self.is_in_object() {
                Next::Key
            } else {
                Next::Value
            };
            byte = self.token()?;
        }
        match (self.next, byte) {
            (Next::FirstKey | Next::Rest, b'}') if self.is_in_object() => Ok(self.end()),
            (Next::FirstItem | Next::Rest, b']') if !self.is_in_object() && self.depth > 0 => {
                Ok(self.end())
            }
            (Next::FirstKey | Next::Key, b'"') => {
                let key = self.string()?;
                if self.token()? != b':' {
                    return Err(AnswerError::NotJson);
                }
                self.next = Next::Value;
                Ok(Event::Key(key))
            }
            (Next::FirstItem | Next::Value, b'{' | b'[') => self.start(byte == b'{'),
            (Next::FirstItem | Next::Value, _) => {
                self.next = Next::Rest;
                self.scalar(byte)
            }
            _ => Err(AnswerError::NotJson),
        }
    }

    fn start(&mut self, is_object: bool) -> Result<Event<'b>, AnswerError> {
        if self.depth == u64::BITS {
            return Err(AnswerError::NotJson);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u64::from(is_object);
        self.next = if is_object {
            Next::FirstKey
        } else {
            Next::FirstItem
        };
        Ok(Event::Start { is_object })
    }

    fn end(&mut self) -> Event<'b> {
        self.depth -= 1;
        self.objects >>= 1;
        self.next = Next::Rest;
        Event::End
    }

    fn is_in_object(&self) -> bool {
        self.objects & 1 != 0
    }

    /// A value that is no container; its first byte has been taken.
    fn scalar(&mut self, first: u8) -> Result<Event<'b>, AnswerError> {
        let (rest, event) = match first {
            b'"' => return self.string().map(Event::String),
            b'n' => (self.rest.strip_prefix("ull"), Event::Null),
            b't' => (self.rest.strip_prefix("rue"), Event::Other),
            b'f' => (self.rest.strip_prefix("alse"), Event::Other),
            _ => (number(first, self.rest), Event::Other),
        };
        self.rest = rest.ok_or(AnswerError::NotJson)?;
        Ok(event)
    }

    /// A string without its quotes; the first one has been taken. Its escapes are looked at when they are resolved.
    fn string(&mut self) -> Result<&'b str, AnswerError> {
        let mut is_escaped = false;
        for (at, byte) in self.rest.bytes().enumerate() {
            match byte {
                0..=0x1f => break,
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    let (string, rest) = self.rest.split_at(at);
                    self.rest = &rest[1..];
                    return Ok(string);
                }
                _ => {}
            }
        }
        Err(AnswerError::NotJson)
    }

    /// The next byte after white space. It is ASCII, or no JSON comes.
    fn token(&mut self) -> Result<u8, AnswerError> {
        self.skip_space();
        let byte = *self.rest.as_bytes().first().ok_or(AnswerError::NotJson)?;
        self.rest = self.rest.get(1..).ok_or(AnswerError::NotJson)?;
        Ok(byte)
    }

    fn skip_space(&mut self) {
        self.rest = after_all(self.rest, |byte| {
            matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
        });
    }
}

/// What follows the ASCII bytes at the start that `is_one` takes.
fn after_all(text: &str, is_one: impl Fn(u8) -> bool) -> &str {
    let count = text.bytes().take_while(|&byte| is_one(byte)).count();
    text.get(count..).unwrap_or_default()
}

/// What follows a number (RFC 8259 section 6) whose first byte has been taken.
fn number(first: u8, rest: &str) -> Option<&str> {
    let digits = |text| {
        let rest = after_all(text, |byte| byte.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    };
    let mut rest = match first {
        b'-' => match rest.strip_prefix('0') {
            Some(rest) => rest,
            None => digits(rest)?,
        },
        b'0' => rest,
        b'1'..=b'9' => digits(rest).unwrap_or(rest),
        _ => return None,
    };
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = digits(fraction)?;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        rest = digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))?;
    }
    Some(rest)
}

fn has_escapes(string: &str) -> bool {
    cut(string, b'\\').1.is_some()
}

/// Resolves the escapes of a string into the start of `out`; gives the length.
fn unescape(string: &str, out: &mut [u8]) -> Result<usize, AnswerError> {
    let mut len = 0;
    let mut rest = string;
    let mut put = |bytes: &[u8]| {
        let room = out
            .get_mut(len..)
            .and_then(|out| out.get_mut(..bytes.len()));
        room.ok_or(AnswerError::TooLong)?.copy_from_slice(bytes);
        len += bytes.len();
        Ok(len)
    };
    loop {
        let (plain, escape) = cut(rest, b'\\');
        let len = put(plain.as_bytes())?;
        let Some(escape) = escape else {
            return Ok(len);
        };
        let character;
        (character, rest) = escaped(escape).ok_or(AnswerError::NotJson)?;
        put(character.encode_utf8(&mut [0; 4]).as_bytes())?;
    }
}

/// The character that an escape stands for, and what follows it.
fn escaped(escape: &str) -> Option<(char, &str)> {
    let (&kind, rest) = (escape.as_bytes().first()?, escape.get(1..)?);
    let character = match kind {
        b'"' | b'\\' | b'/' => kind.into(),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let (unit, rest) = hex(rest)?;
            // RFC 8259 section 7: what takes more than 16 bits is written as two surrogates.
            return match unit {
                0xd800..0xdc00 => {
                    let (low, rest) = hex(rest.strip_prefix("\\u")?)?;
                    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    let code = 0x1_0000 + ((unit - 0xd800) << 10 | low);
                    Some((char::from_u32(code)?, rest))
                }
                _ => Some((char::from_u32(unit)?, rest)),
            };
        }
        _ => return None,
    };
    Some((character, rest))
}

/// Four hexadecimal digits, and what follows them.
fn hex(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    let unit = digits.bytes().try_fold(0, |unit, digit| {
        Some(unit << 4 | char::from(digit).to_digit(16)?)
    })?;
    Some((unit, rest))
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, AnswerError> {
    core::str::from_utf8(bytes).map_err(|_| AnswerError::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::{String, ToString as _};
    use std::vec;

    /// The value of the one member of an object.
    fn member(document: &str) -> Result<Option<String>, AnswerError> {
        let mut arena = [0; 256];
        let mut reader = Reader::new(document, &mut arena);
        if !reader.enter_object()? || reader.next_member(|_| ())?.is_none() {
            return Err(AnswerError::NotJson);
        }
        let value = match reader.value()? {
            Value::String(text) => Some(text.to_string()),
            Value::Null | Value::Other => None,
        };
        if reader.next_member(|_| ())?.is_some() {
            return Err(AnswerError::NotJson);
        }
        reader.finish().map(|()| value)
    }

    #[test]
    fn escapes() {
        assert_eq!(
            member(r#"{"a": "\"\\\/\b\f\n\r\t\u0041\u00e9\ud83e\udd80"}"#),
            Ok(Some("\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{1f980}".to_string()))
        );
        for wrong in [
            r"\x", r"\u12", r"\u12g4", r"\ud83e", r"\ud83eA", r"\udd80", r"\u+123",
        ] {
            let document = format!(r#"{{"a": "{wrong}"}}"#);
            assert_eq!(member(&document), Err(AnswerError::NotJson), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_json() {
        for document in [
            "",
            "{",
            r#"{"a": 1,}"#,
            r#"{"a" 1}"#,
            r#"{"a": 1]"#,
            r#"{"a": [1}}"#,
            r#"{"a": [,]}"#,
            r#"{"a": [1,]}"#,
            r#"{"a": [1 2]}"#,
            r#"{"a": {"b"}}"#,
            r#"{"a": {1: 2}}"#,
            r#"{a: 1}"#,
            r#"{"a": 01}"#,
            r#"{"a": 1.}"#,
            r#"{"a": .1}"#,
            r#"{"a": 1e}"#,
            r#"{"a": -}"#,
            r#"{"a": +1}"#,
            r#"{"a": nul}"#,
            r#"{"a": nulls}"#,
            "{\"a\": \"\n\"}",
            r#"{"a": "x}"#,
            r#"{"a": 1}}"#,
            r#"{"a": 1},"#,
            "{\"a\": \u{a0}1}",
        ] {
            assert_eq!(member(document), Err(AnswerError::NotJson), "{document}");
        }
    }

    proptest! {
        /// What another parser writes or reads, this one reads.
        #[test]
        fn agrees_with_serde_json(document in json(), cut in any::<prop::sample::Index>(), byte: u8) {
            let written = format!(r#"{{"a":{document}}}"#);
            let expected = document.as_str().map(String::from);
            prop_assert_eq!(member(&written), Ok(expected));
            let mut changed = written.into_bytes();
            let at = cut.index(changed.len());
            changed[at] = byte;
            let is_json = serde_json::from_slice::<serde_json::Value>(&changed).is_ok();
            let mut arena = vec![0; changed.len()];
            let skipped = text(&changed).and_then(|document| {
                let mut reader = Reader::new(document, &mut arena);
                reader.skip()?;
                reader.finish()
            });
            prop_assert!(skipped.is_ok() || !is_json, "{:?}", String::from_utf8_lossy(&changed));
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "\\PC{0,8}|[\\x00-\\x7f]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("[a-z\"\\\\]{0,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }
}

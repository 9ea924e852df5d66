//! Reading a JSON document member by member, without memory of its own.

use picojson::{Event, ParseError, PullParser as _, SliceParser};

use super::error::AnswerError;

/// A reader that descends with its caller through a document.
pub(super) struct Reader<'b, 's> {
    parser: SliceParser<'b, 's>,
    body: &'b [u8],
    /// Takes the strings that are written with escapes, one after the other.
    arena: &'b mut [u8],
}

/// What a value is, when it is asked for as a string.
pub(super) enum Value<'b> {
    String(&'b str),
    Null,
    /// A number, a truth value, or a container that has been skipped.
    Other,
}

impl<'b> Reader<'b, 'b> {
    /// A reader of `body`. Half of `scratch` serves to unescape a string, the other half keeps it.
    pub(super) fn new(body: &'b [u8], scratch: &'b mut [u8]) -> Self {
        let (unescape, arena) = scratch.split_at_mut(scratch.len() / 2);
        Self {
            body,
            parser: SliceParser::with_buffer_from_slice(body, unescape),
            arena,
        }
    }
}

impl<'b> Reader<'b, '_> {
    /// Enters the object that comes next; `false` if something else comes, which is then skipped.
    pub(super) fn enter_object(&mut self) -> Result<bool, AnswerError> {
        self.enter(|event| matches!(event, Event::StartObject))
    }

    /// Enters the array that comes next; `false` if something else comes, which is then skipped.
    pub(super) fn enter_array(&mut self) -> Result<bool, AnswerError> {
        self.enter(|event| matches!(event, Event::StartArray))
    }

    fn enter(&mut self, is_wanted: impl Fn(&Event<'_, '_>) -> bool) -> Result<bool, AnswerError> {
        let event = self.parser.next_event().map_err(parse_error)?;
        if is_wanted(&event) {
            return Ok(true);
        }
        if matches!(event, Event::StartObject | Event::StartArray) {
            self.leave()?;
        }
        Ok(false)
    }

    /// The next member of the object that was entered, as `name` knows it; `None` at its end.
    pub(super) fn next_member<M>(
        &mut self,
        name: impl Fn(&str) -> M,
    ) -> Result<Option<M>, AnswerError> {
        match self.parser.next_event().map_err(parse_error)? {
            Event::Key(key) => Ok(Some(name(&key))),
            Event::EndObject => Ok(None),
            _ => Err(AnswerError::NotJson),
        }
    }

    /// The value that comes next; a container is skipped.
    pub(super) fn value(&mut self) -> Result<Value<'b>, AnswerError> {
        let text = match self.parser.next_event().map_err(parse_error)? {
            Event::String(text) => text,
            Event::Null => return Ok(Value::Null),
            Event::Number(_) | Event::Bool(_) => return Ok(Value::Other),
            Event::StartObject | Event::StartArray => {
                self.leave()?;
                return Ok(Value::Other);
            }
            _ => return Err(AnswerError::NotJson),
        };
        if let Some(text) = same_bytes(self.body, &text) {
            return Ok(Value::String(text));
        }
        let arena = core::mem::take(&mut self.arena);
        let (kept, rest) = arena
            .split_at_mut_checked(text.len())
            .ok_or(AnswerError::TooLong)?;
        kept.copy_from_slice(text.as_bytes());
        self.arena = rest;
        core::str::from_utf8(kept)
            .map(Value::String)
            .map_err(|_| AnswerError::NotJson)
    }

    /// Skips the value that comes next.
    pub(super) fn skip(&mut self) -> Result<(), AnswerError> {
        match self.parser.next_event().map_err(parse_error)? {
            Event::StartObject | Event::StartArray => self.leave(),
            _ => Ok(()),
        }
    }

    /// Skips the rest of the container that was entered last, with its end.
    pub(super) fn leave(&mut self) -> Result<(), AnswerError> {
        let mut depth = 1usize;
        while depth > 0 {
            match self.parser.next_event().map_err(parse_error)? {
                Event::StartObject | Event::StartArray => depth += 1,
                Event::EndObject | Event::EndArray => depth -= 1,
                Event::EndDocument => return Err(AnswerError::NotJson),
                _ => {}
            }
        }
        Ok(())
    }

    /// Asserts that the document ends here.
    pub(super) fn finish(mut self) -> Result<(), AnswerError> {
        match self.parser.next_event().map_err(parse_error)? {
            Event::EndDocument => Ok(()),
            _ => Err(AnswerError::NotJson),
        }
    }
}

/// The part of `body` that `text` is. The parser lends its strings for as long as it is not called
/// again, although those without escapes lie in the body: this finds them there, by their address.
fn same_bytes<'b>(body: &'b [u8], text: &str) -> Option<&'b str> {
    let start = (text.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let bytes = body.get(start..start.checked_add(text.len())?)?;
    core::str::from_utf8(bytes).ok()
}

fn parse_error(error: ParseError) -> AnswerError {
    match error {
        ParseError::ScratchBufferFull => AnswerError::TooLong,
        _ => AnswerError::NotJson,
    }
}

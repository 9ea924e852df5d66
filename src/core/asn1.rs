//! Reading DER (X.690 section 10) in place, as far as certificates need it. A few hundred bytes of code: on a device
//! that counts.

/// The bytes are not the DER that they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotDer;

// Tags of X.680 section 8.6, universal ones with their bit for constructed.
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;

/// An element.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// The element with its header.
    pub(super) der: &'a [u8],
    /// What it contains.
    pub(super) contents: &'a [u8],
}

/// Elements, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    pub(super) fn new(der: &'a [u8]) -> Self {
        Self(der)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Asserts that none is left.
    pub(super) fn finish(self) -> Result<(), NotDer> {
        if self.is_empty() { Ok(()) } else { Err(NotDer) }
    }

    /// The next one. Tags of more than one byte are refused: certificates have none.
    pub(super) fn any(&mut self) -> Result<Element<'a>, NotDer> {
        let (element, rest) = split(self.0).ok_or(NotDer)?;
        self.0 = rest;
        Ok(element)
    }

    /// The next one, which has to have this tag.
    pub(super) fn next(&mut self, tag: u8) -> Result<Element<'a>, NotDer> {
        self.optional(tag)?.ok_or(NotDer)
    }

    /// The next one if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, NotDer> {
        if self.0.first() == Some(&tag) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    /// The next one, which has to be a `SEQUENCE`: what is in it.
    pub(super) fn sequence(&mut self) -> Result<Self, NotDer> {
        self.next(SEQUENCE).map(|element| Self(element.contents))
    }

    /// The next one, which has to be an `INTEGER` that is not negative: big-endian, without leading zero bytes (one,
    /// if it is zero).
    pub(super) fn uint(&mut self) -> Result<&'a [u8], NotDer> {
        match self.next(INTEGER)?.contents {
            [] | [0x80..=0xff, ..] | [0, 0..=0x7f, ..] => Err(NotDer),
            [0, rest @ ..] if !rest.is_empty() => Ok(rest),
            bytes => Ok(bytes),
        }
    }

    /// The same, of one byte.
    pub(super) fn small_uint(&mut self) -> Result<u8, NotDer> {
        match self.uint()? {
            [byte] => Ok(*byte),
            _ => Err(NotDer),
        }
    }

    /// The next one, which has to be a `BIT STRING`: its bytes, and how many bits of the last one do not count.
    pub(super) fn bits(&mut self) -> Result<(&'a [u8], u8), NotDer> {
        let contents = self.next(BIT_STRING)?.contents;
        match contents {
            [0, bytes @ ..] => Ok((bytes, 0)),
            // X.690 section 11.2.1: bits that do not count are zero.
            [unused @ 1..=7, .., last] if last.trailing_zeros() >= u32::from(*unused) => {
                Ok((&contents[1..], *unused))
            }
            _ => Err(NotDer),
        }
    }

    /// The next one, which has to be a `BIT STRING` of whole bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], NotDer> {
        match self.bits()? {
            (bytes, 0) => Ok(bytes),
            _ => Err(NotDer),
        }
    }

    /// The next one if it is a `BOOLEAN`.
    pub(super) fn optional_bool(&mut self) -> Result<Option<bool>, NotDer> {
        match self.optional(BOOLEAN)?.map(|element| element.contents) {
            None => Ok(None),
            Some([0]) => Ok(Some(false)),
            Some([0xff]) => Ok(Some(true)),
            Some(_) => Err(NotDer),
        }
    }
}

/// What is in the one `SEQUENCE` that `der` is.
pub(super) fn only_sequence(der: &[u8]) -> Result<Elements<'_>, NotDer> {
    let mut outer = Elements::new(der);
    let inner = outer.sequence()?;
    outer.finish()?;
    Ok(inner)
}

/// The first element, and what follows it.
fn split(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // The length's length: as short as it can be.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 7))?;
            let len = bytes
                .iter()
                .fold(0, |len, &byte| len << 8 | u32::from(byte));
            let is_short = len < 0x80 || bytes[0] == 0;
            (usize::try_from(len).ok().filter(|_| !is_short)?, rest)
        }
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    let element = Element {
        tag,
        der: &der[..der.len() - rest.len()],
        contents,
    };
    // 31 says that the tag's number follows in further bytes.
    (tag & 0x1f != 0x1f).then_some((element, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_do_not_count_are_zero() {
        let bits = |der| Elements::new(der).bits().ok();
        assert_eq!(bits(&[3, 2, 7, 0x80]), Some((&[0x80][..], 7)));
        assert_eq!(bits(&[3, 2, 1, 0x86]), Some((&[0x86][..], 1)));
        assert_eq!(bits(&[3, 1, 0]), Some((&[][..], 0)));
        for wrong in [
            &[3, 2, 7, 0x86][..],
            &[3, 2, 2, 0x86],
            &[3, 2, 8, 0],
            &[3, 1, 1],
            &[3, 0],
        ] {
            assert_eq!(bits(wrong), None, "{wrong:02x?}");
        }
    }
}

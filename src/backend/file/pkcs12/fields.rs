//! The DER of PKCS#12, field by field.

use der::asn1::AnyRef;
use der::oid::ObjectIdentifier;
use der::{Decode as _, Reader as _, SliceReader, Tag, TagNumber};

use crate::backend::file::error::Reason;
use crate::core::x509::AlgorithmIdentifier;

/// Any of it is damaged.
pub const MALFORMED: Reason = Reason::Malformed("PKCS#12 structure");

/// What is left to read of a structure.
pub struct Fields<'a>(SliceReader<'a>);

/// `[0] EXPLICIT`.
pub const EXPLICIT: Tag = zero(true);
/// `[0] IMPLICIT`, of an element that holds no others.
pub const IMPLICIT: Tag = zero(false);

const fn zero(constructed: bool) -> Tag {
    Tag::ContextSpecific {
        constructed,
        number: TagNumber(0),
    }
}

impl<'a> Fields<'a> {
    /// Reads a DER encoding.
    pub fn of(der: &'a [u8]) -> Result<Self, Reason> {
        SliceReader::new(der).map(Self).map_err(|_| MALFORMED)
    }

    /// What is in the one SEQUENCE that `der` is.
    pub fn of_sequence(der: &'a [u8]) -> Result<Self, Reason> {
        Self::of(der)?.last(Self::sequence)
    }

    /// The value of the next field, which has to have this tag.
    pub fn next(&mut self, tag: Tag) -> Result<&'a [u8], Reason> {
        match AnyRef::decode(&mut self.0) {
            Ok(any) if der::Tagged::tag(&any) == tag => Ok(any.value()),
            _ => Err(MALFORMED),
        }
    }

    /// A SEQUENCE.
    pub fn sequence(&mut self) -> Result<Self, Reason> {
        Self::of(self.next(Tag::Sequence)?)
    }

    /// What `read` takes of what is tagged `[0] EXPLICIT`, which is all of it.
    pub fn explicit<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        Self::of(self.next(EXPLICIT)?)?.last(read)
    }

    /// What `read` takes, behind which nothing is left.
    pub fn last<T>(
        mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let taken = read(&mut self)?;
        self.finish()?;
        Ok(taken)
    }

    /// An OCTET STRING.
    pub fn octets(&mut self) -> Result<&'a [u8], Reason> {
        self.next(Tag::OctetString)
    }

    /// An OBJECT IDENTIFIER.
    pub fn oid(&mut self) -> Result<ObjectIdentifier, Reason> {
        ObjectIdentifier::decode(&mut self.0).map_err(|_| MALFORMED)
    }

    /// An INTEGER that is not negative.
    pub fn number(&mut self) -> Result<u32, Reason> {
        u32::decode(&mut self.0).map_err(|_| MALFORMED)
    }

    /// An algorithm with its parameters.
    pub fn algorithm(&mut self) -> Result<AlgorithmIdentifier<'a>, Reason> {
        AlgorithmIdentifier::decode(&mut self.0).map_err(|_| MALFORMED)
    }

    /// Whether nothing is left.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Refuses what is left.
    pub fn finish(&self) -> Result<(), Reason> {
        match self.is_finished() {
            true => Ok(()),
            false => Err(MALFORMED),
        }
    }
}

//! Subject names as flags write them: `CN=hub-17,O=Acme`.

use core::fmt;
use core::str::FromStr;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use der::asn1::{Any, SetOfVec};
use der::oid::ObjectIdentifier;
use der::{Decode as _, Encode as _, Tag};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::{Name, RelativeDistinguishedName};

use crate::core::text::Hex;
use crate::host::document::nearest;
use crate::host::x509_text;

/// A distinguished name that is not empty: IAM Roles Anywhere takes no certificate without subject.
///
/// Read and written as in RFC 4514 (`CN=hub-17,O=Acme`, `\` escapes, `+` joins attributes that
/// belong together), but always in the order of the certificate: first written, first encoded, as
/// OpenSSL's `-subj` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject(Name);

impl Subject {
    /// The name.
    pub fn name(&self) -> &Name {
        &self.0
    }
}

impl TryFrom<Name> for Subject {
    type Error = SubjectError;

    fn try_from(name: Name) -> Result<Self, SubjectError> {
        if name.is_empty() {
            Err(SubjectError::Empty)
        } else {
            Ok(Self(name))
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(&self.0))
    }
}

/// A name in the order of the certificate (RFC 4514, but for the order). `Name` writes itself, too, with a
/// table of all names that were ever registered: a third of a small program's memory.
pub(super) fn text(name: &Name) -> String {
    let mut text = String::new();
    for (index, together) in name.iter_rdn().enumerate() {
        for (place, attribute) in together.iter().enumerate() {
            text.push_str(match (index, place) {
                (0, 0) => "",
                (_, 0) => ",",
                _ => "+",
            });
            push_attribute(&mut text, attribute);
        }
    }
    text
}

/// Writes `NAME=VALUE`; an attribute without a name here as `OID=#DER` (RFC 4514 section 2.4).
fn push_attribute(text: &mut String, attribute: &AttributeTypeAndValue) {
    let known = ATTRIBUTES.iter().find(|known| known.oid == attribute.oid);
    let value = x509_text::string((&attribute.value).into());
    let (Some(known), Some(value)) = (known, value) else {
        let der = attribute.value.to_der().unwrap_or_default();
        *text += &format!("{}=#{}", attribute.oid, Hex(&der));
        return;
    };
    *text += &format!("{}=", known.name);
    for (at, c) in value.char_indices() {
        let is_last = at + c.len_utf8() == value.len();
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            ' ' if at == 0 || is_last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            '\x00'..='\x1f' | '\x7f' => *text += &format!("\\{:02x}", u32::from(c)),
            c => text.push(c),
        }
    }
}

/// An attribute that a subject may have.
struct Attribute {
    name: &'static str,
    oid: ObjectIdentifier,
    tag: Tag,
    /// The most characters (RFC 5280 appendix A.1).
    max: usize,
}

impl Attribute {
    const fn new(name: &'static str, oid: &str, tag: Tag, max: usize) -> Self {
        Self {
            name,
            oid: ObjectIdentifier::new_unwrap(oid),
            tag,
            max,
        }
    }
}

const ATTRIBUTES: [Attribute; 15] = [
    Attribute::new("CN", "2.5.4.3", Tag::Utf8String, 64),
    Attribute::new("O", "2.5.4.10", Tag::Utf8String, 64),
    Attribute::new("OU", "2.5.4.11", Tag::Utf8String, 64),
    Attribute::new("C", "2.5.4.6", Tag::PrintableString, 2),
    Attribute::new("L", "2.5.4.7", Tag::Utf8String, 128),
    Attribute::new("ST", "2.5.4.8", Tag::Utf8String, 128),
    Attribute::new("STREET", "2.5.4.9", Tag::Utf8String, 128),
    Attribute::new("POSTALCODE", "2.5.4.17", Tag::Utf8String, 40),
    Attribute::new("SERIALNUMBER", "2.5.4.5", Tag::PrintableString, 64),
    Attribute::new("TITLE", "2.5.4.12", Tag::Utf8String, 64),
    Attribute::new("SN", "2.5.4.4", Tag::Utf8String, 40),
    Attribute::new("GN", "2.5.4.42", Tag::Utf8String, 64),
    Attribute::new("UID", "0.9.2342.19200300.100.1.1", Tag::Utf8String, 256),
    Attribute::new("DC", "0.9.2342.19200300.100.1.25", Tag::Ia5String, 63),
    Attribute::new("EMAILADDRESS", "1.2.840.113549.1.9.1", Tag::Ia5String, 255),
];

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        if text.starts_with('/') {
            return Err(SubjectError::Slashes);
        }
        let mut names = Vec::new();
        let mut rest = text;
        loop {
            let mut together = SetOfVec::new();
            let end = loop {
                let (attribute, after) = read_attribute(rest)?;
                if together
                    .iter()
                    .any(|other: &AttributeTypeAndValue| other.oid == attribute.oid)
                {
                    return Err(SubjectError::Repeated);
                }
                together
                    .insert(attribute)
                    .map_err(|_| SubjectError::Encoding)?;
                let mut characters = after.chars();
                match characters.next() {
                    Some('+') => rest = characters.as_str(),
                    Some(_) => break Some(characters.as_str()),
                    None => break None,
                }
            };
            names.push(RelativeDistinguishedName::from(together));
            match end {
                Some(after) => rest = after,
                None => break,
            }
        }
        // `Name` has no public constructor but its decoder.
        let der = names.to_der().map_err(|_| SubjectError::Encoding)?;
        Name::from_der(&der)
            .map(Self)
            .map_err(|_| SubjectError::Encoding)
    }
}

/// Reads `CN=value` up to the `,` or `+` that ends it.
fn read_attribute(text: &str) -> Result<(AttributeTypeAndValue, &str), SubjectError> {
    let text = text.trim_start_matches(' ');
    let (name, rest) = match text.find(['=', ',', '+']) {
        Some(end) if text[end..].starts_with('=') => {
            (text[..end].trim_matches(' '), &text[end + 1..])
        }
        _ if text.is_empty() => return Err(SubjectError::Empty),
        _ => return Err(SubjectError::NoEquals(text.to_string())),
    };
    let attribute = ATTRIBUTES
        .iter()
        .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| unknown(name))?;
    let (value, rest) = read_value(rest.trim_start_matches(' '))?;
    attribute.check(&value)?;
    let value = Any::new(attribute.tag, value.as_bytes()).map_err(|_| SubjectError::Encoding)?;
    let oid = attribute.oid;
    Ok((AttributeTypeAndValue { oid, value }, rest))
}

/// Reads a value up to an unescaped `,` or `+`, undoing escapes (RFC 4514 section 3). Spaces at its
/// end do not count unless they are escaped.
fn read_value(text: &str) -> Result<(String, &str), SubjectError> {
    let mut value = Vec::new();
    let mut kept = 0;
    let mut characters = text.chars();
    let rest = loop {
        let before = characters.as_str();
        let Some(character) = characters.next() else {
            break before;
        };
        match character {
            ',' | '+' => break before,
            '\\' => {
                value.push(read_escape(&mut characters)?);
                kept = value.len();
            }
            '"' | ';' | '<' | '>' | '\0' => return Err(SubjectError::Unescaped(character)),
            character => {
                value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                if character != ' ' {
                    kept = value.len();
                }
            }
        }
    };
    value.truncate(kept);
    let value = String::from_utf8(value).map_err(|_| SubjectError::Escape)?;
    Ok((value, rest))
}

/// What follows a backslash: a special character, or the two hexadecimal digits of a byte.
fn read_escape(characters: &mut core::str::Chars<'_>) -> Result<u8, SubjectError> {
    let first = characters.next().ok_or(SubjectError::Escape)?;
    if let Some(high) = first.to_digit(16) {
        let low = characters
            .next()
            .and_then(|character| character.to_digit(16))
            .ok_or(SubjectError::Escape)?;
        return Ok((high << 4 | low) as u8);
    }
    match first {
        ' ' | '"' | '#' | '+' | ',' | ';' | '<' | '=' | '>' | '\\' => Ok(first as u8),
        _ => Err(SubjectError::Escape),
    }
}

impl Attribute {
    fn check(&self, value: &str) -> Result<(), SubjectError> {
        let name = self.name;
        let length = value.chars().count();
        if length == 0 {
            return Err(SubjectError::NoValue(name));
        }
        if length > self.max || (name == "C" && length != self.max) {
            return Err(SubjectError::Length(name, self.max));
        }
        let is_valid = match self.tag {
            Tag::PrintableString => value.bytes().all(is_printable),
            Tag::Ia5String => value.is_ascii(),
            _ => true,
        };
        if is_valid {
            Ok(())
        } else {
            Err(SubjectError::Characters(name))
        }
    }
}

/// Whether a `PrintableString` may hold it (X.680 section 41.4).
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

fn unknown(name: &str) -> SubjectError {
    let known = ATTRIBUTES.iter().map(|attribute| attribute.name);
    SubjectError::Unknown {
        name: name.to_string(),
        nearest: nearest(&name.to_ascii_uppercase(), known),
    }
}

/// Why a text is no subject.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectError {
    /// Nothing there, or nothing after a comma.
    Empty,
    /// The form `/CN=…/O=…`.
    Slashes,
    /// A part without `=`.
    NoEquals(String),
    /// An attribute with a name that is not known.
    Unknown {
        /// The name.
        name: String,
        /// The known name that was probably meant.
        nearest: Option<&'static str>,
    },
    /// An attribute without value.
    NoValue(&'static str),
    /// An attribute that is too long, or a country that has not two letters.
    Length(&'static str, usize),
    /// An attribute with characters that its type does not have.
    Characters(&'static str),
    /// The same attribute twice, joined by `+`.
    Repeated,
    /// A character that needs a backslash.
    Unescaped(char),
    /// A backslash before something that is neither special nor hexadecimal, or bytes that are not
    /// UTF-8.
    Escape,
    /// The name has no DER.
    Encoding,
}

impl fmt::Display for SubjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the subject, or a part of it, is empty"),
            Self::Slashes => {
                f.write_str("a subject is written with commas, such as CN=hub-17,O=Acme")
            }
            Self::NoEquals(part) => write!(f, "{part:?} is not of the form NAME=VALUE"),
            Self::Unknown { name, nearest } => {
                write!(f, "a subject has no attribute {name:?}; ")?;
                match nearest {
                    Some(nearest) => write!(f, "did you mean {nearest}?"),
                    None => write!(f, "the known ones are CN, O, OU, C, ST, L and others"),
                }
            }
            Self::NoValue(name) => write!(f, "{name} has no value"),
            Self::Length("C", _) => f.write_str("C is a country code of two letters"),
            Self::Length(name, max) => write!(f, "{name} has more than {max} characters"),
            Self::Characters(name) => write!(f, "{name} has characters that are not allowed in it"),
            Self::Repeated => f.write_str("+ joins two attributes of the same kind"),
            Self::Unescaped(character) => {
                write!(f, "{character:?} needs a backslash before it")
            }
            Self::Escape => f.write_str(
                "after a backslash comes one of \\ , + \" ; < > = # or a space, or the two \
                 hexadecimal digits of a byte of UTF-8",
            ),
            Self::Encoding => f.write_str("the subject is too long"),
        }
    }
}

impl core::error::Error for SubjectError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    #[test]
    fn keeps_the_order_as_written() {
        let subject: Subject = "CN=hub-17, O=Acme ,c=DE".parse().unwrap();
        assert_eq!(subject.to_string(), "CN=hub-17,O=Acme,C=DE");
        let types: Vec<_> = subject
            .name()
            .iter()
            .map(|attribute| attribute.oid.to_string())
            .collect();
        assert_eq!(types, ["2.5.4.3", "2.5.4.10", "2.5.4.6"]);
    }

    #[test]
    fn escapes() {
        for (text, value) in [
            (r"CN=a\,b", "a,b"),
            (r"CN=a\+b\=c", "a+b=c"),
            (r"CN=\ a\ ", " a "),
            ("CN= a b  ", "a b"),
            (r"CN=\c3\BC\23", "\u{fc}#"),
            (r"CN=a=b", "a=b"),
        ] {
            let subject: Subject = text.parse().unwrap();
            let found = subject.name().common_name().unwrap().unwrap();
            assert_eq!(found.value(), value, "{text}");
        }
    }

    #[test]
    fn an_attribute_without_a_name_is_written_as_its_der() {
        let der = b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x2a\x03\x04\x0c\x01x";
        let name = Name::from_der(der).unwrap();
        assert_eq!(text(&name), "1.2.3.4=#0c0178");
    }

    #[test]
    fn attributes_that_belong_together() {
        let subject: Subject = "CN=hub+SERIALNUMBER=17,O=Acme".parse().unwrap();
        assert_eq!(subject.name().len(), 2);
        assert_eq!(subject.name().iter().count(), 3);
    }

    #[test]
    fn refused() {
        let unknown = |name: &str, nearest| SubjectError::Unknown {
            name: name.to_string(),
            nearest,
        };
        for (text, error) in [
            ("", SubjectError::Empty),
            ("CN=a,", SubjectError::Empty),
            ("/CN=a/O=b", SubjectError::Slashes),
            ("hub", SubjectError::NoEquals("hub".to_string())),
            ("CN=a,department=c", unknown("department", None)),
            ("CM=a", unknown("CM", Some("CN"))),
            (
                "emailAdress=a",
                unknown("emailAdress", Some("EMAILADDRESS")),
            ),
            ("CN=", SubjectError::NoValue("CN")),
            ("C=DEU", SubjectError::Length("C", 2)),
            ("C=D", SubjectError::Length("C", 2)),
            ("C=\u{fc}b", SubjectError::Characters("C")),
            ("DC=\u{fc}", SubjectError::Characters("DC")),
            ("CN=a;b", SubjectError::Unescaped(';')),
            (r"CN=a\", SubjectError::Escape),
            (r"CN=a\z", SubjectError::Escape),
            (r"CN=\ff", SubjectError::Escape),
            ("CN=a+CN=b", SubjectError::Repeated),
        ] {
            assert_eq!(text.parse::<Subject>(), Err(error), "{text}");
        }
        let long = "CN=".to_string() + &"x".repeat(65);
        assert_eq!(long.parse::<Subject>(), Err(SubjectError::Length("CN", 64)));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_so_that_it_is_read_again(
            common_name in "\\PC{1,64}",
            organization in "[ -~]{1,64}",
        ) {
            let escape = |value: &str| -> String {
                value.bytes().map(|byte| format!("\\{byte:02x}")).collect()
            };
            let text = format!("CN={},O={}", escape(&common_name), escape(&organization));
            let subject: Subject = text.parse().unwrap();
            prop_assert_eq!(subject.to_string().parse(), Ok(subject));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "([A-Za-z]{1,12}=)?[\\PC\\\\,+=]{0,40}") {
            if let Ok(subject) = text.parse::<Subject>() {
                prop_assert_eq!(subject.to_string().parse(), Ok(subject));
            }
        }
    }
}

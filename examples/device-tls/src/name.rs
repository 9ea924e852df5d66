//! Whether a certificate is for the server that was meant (RFC 9525; RFC 5280 section 4.2.1.6).

use core::fmt;
use core::net::IpAddr;

use der::asn1::AnyRef;
use der::{Decode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};

/// The name or address that a connection is made to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerName<'a>(Kind<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind<'a> {
    Dns(&'a str),
    Ip(IpAddr),
}

/// A text that is neither a host's name nor an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidName;

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server's name is neither a host's name nor an address")
    }
}

impl core::error::Error for InvalidName {}

/// `dNSName` and `iPAddress` of a `GeneralName` (RFC 5280 section 4.2.1.6).
const DNS_NAME: TagNumber = TagNumber(2);
const IP_ADDRESS: TagNumber = TagNumber(7);

/// The longest name of a host, and the longest label of one (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

impl<'a> ServerName<'a> {
    /// Reads a host's name in ASCII (`xn--…` for others), or an address without brackets.
    ///
    /// # Errors
    /// [`InvalidName`]
    pub fn parse(text: &'a str) -> Result<Self, InvalidName> {
        if let Ok(address) = text.parse() {
            return Ok(Self(Kind::Ip(address)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() <= MAX_NAME && name.split('.').all(is_label) {
            Ok(Self(Kind::Dns(name)))
        } else {
            Err(InvalidName)
        }
    }

    /// What the server is told of it in `server_name`: names, and no addresses (RFC 6066 section 3).
    pub fn indication(self) -> Option<&'a str> {
        match self.0 {
            Kind::Dns(name) => Some(name),
            Kind::Ip(_) => None,
        }
    }

    /// Whether one of the names of a `subjectAltName`, DER, is this one. The subject's common name is not looked at:
    /// nothing says that it is a host's name.
    pub(crate) fn is_among(self, alternative_names: &[u8]) -> Result<bool, der::Error> {
        let mut outer = SliceReader::new(alternative_names)?;
        let names = AnyRef::decode(&mut outer)?;
        outer.finish()?;
        names.tag().assert_eq(Tag::Sequence)?;
        let mut reader = SliceReader::new(names.value())?;
        let mut found = false;
        while !reader.is_finished() {
            let name = AnyRef::decode(&mut reader)?;
            let Tag::ContextSpecific { number, .. } = name.tag() else {
                return Err(name.tag().value_error().into());
            };
            found |= match self.0 {
                Kind::Dns(wanted) if number == DNS_NAME => dns_matches(name.value(), wanted),
                Kind::Ip(IpAddr::V4(wanted)) if number == IP_ADDRESS => {
                    name.value() == wanted.octets()
                }
                Kind::Ip(IpAddr::V6(wanted)) if number == IP_ADDRESS => {
                    name.value() == wanted.octets()
                }
                _ => false,
            };
        }
        Ok(found)
    }
}

/// Letters, digits, hyphens inside. Underscores occur in names of hosts, whatever the standards say.
fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Compares without regard to case. An asterisk stands for one whole label, the first, of three or more (RFC 9525
/// section 6.3).
fn dns_matches(presented: &[u8], wanted: &str) -> bool {
    let wanted = wanted.as_bytes();
    match presented.strip_prefix(b"*.") {
        None => presented.eq_ignore_ascii_case(wanted),
        Some(rest) => {
            let after = wanted.iter().position(|&byte| byte == b'.');
            rest.contains(&b'.')
                && after.is_some_and(|dot| rest.eq_ignore_ascii_case(&wanted[dot + 1..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `subjectAltName` of one name with that tag.
    fn names(tag: u8, name: &[u8]) -> Vec<u8> {
        let len = u8::try_from(name.len()).unwrap();
        let mut der = vec![0x30, len + 2, tag, len];
        der.extend_from_slice(name);
        der
    }

    fn is_for(name: &str, tag: u8, presented: &[u8]) -> bool {
        let name = ServerName::parse(name).unwrap();
        name.is_among(&names(tag, presented)).unwrap()
    }

    #[test]
    fn names_of_hosts() {
        for (presented, wanted, same) in [
            ("a.example", "a.example", true),
            ("A.Example", "a.eXample.", true),
            ("a.example", "b.example", false),
            ("a.example", "a.example.org", false),
            (
                "*.s3.eu-west-1.amazonaws.com",
                "logs.s3.eu-west-1.amazonaws.com",
                true,
            ),
            ("*.example.org", "a.b.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.org", "example.org", false),
            ("a*.example.org", "ab.example.org", false),
            ("a.*.org", "a.example.org", false),
            ("*.*.org", "a.example.org", false),
            ("a.example\0.org", "a.example", false),
        ] {
            assert_eq!(
                is_for(wanted, 0x82, presented.as_bytes()),
                same,
                "{presented} {wanted}"
            );
        }
        // Another kind of name that reads the same.
        assert!(!is_for("a.example", 0x81, b"a.example"));
        assert!(!is_for("a.example", 0x86, b"a.example"));
    }

    #[test]
    fn addresses_are_no_names() {
        assert!(is_for("127.0.0.1", 0x87, &[127, 0, 0, 1]));
        assert!(!is_for("127.0.0.1", 0x87, &[127, 0, 0, 2]));
        assert!(!is_for("127.0.0.1", 0x82, b"127.0.0.1"));
        let mut loopback = [0; 16];
        loopback[15] = 1;
        assert!(is_for("::1", 0x87, &loopback));
        assert!(!is_for("a.example", 0x87, b"a.example"));
        assert_eq!(ServerName::parse("::1").unwrap().indication(), None);
        let name = ServerName::parse("a.example.").unwrap();
        assert_eq!(name.indication(), Some("a.example"));
    }

    #[test]
    fn texts_that_are_no_names() {
        let long = "a".repeat(64);
        for text in [
            "",
            ".",
            "a..b",
            "-a.example",
            "a-.example",
            "*.example.org",
            "a b",
            "ä",
            &long,
        ] {
            assert_eq!(ServerName::parse(text), Err(InvalidName), "{text}");
        }
    }

    #[test]
    fn names_that_cannot_be_read_are_no_match() {
        let name = ServerName::parse("a.example").unwrap();
        for damaged in [
            &b""[..],
            b"\x30",
            b"\x30\x05\x82\x03a",
            b"\x04\x00",
            b"\x30\x02\x0c\x00",
            b"\x30\x00\x00",
        ] {
            assert!(name.is_among(damaged).is_err(), "{damaged:?}");
        }
    }
}

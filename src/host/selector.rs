//! Certificate selectors, as `--cert-selector` of AWS's `aws_signing_helper` takes them:
//! `Key=x509Subject,Value=CN=hub-17 Key=x509Serial,Value=0a1b`, or the same pairs as JSON,
//! `[{"Key": "x509Subject", "Value": "CN=hub 17,O=Acme"}]`.

use core::fmt;
use core::str::FromStr;
use std::borrow::ToOwned as _;
use std::string::{String, ToString as _};

use serde_json::Value;

use super::document::nearest;
use super::serial::Serial;
use super::x509_text::{NameText, attributes};
use crate::core::x509::Certificate;

/// Which certificates are meant: those that fit everything that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    subject: Option<String>,
    issuer: Option<String>,
    serial: Option<Serial>,
}

impl Selector {
    /// Reads the JSON form: a list of objects with `Key` and `Value`.
    ///
    /// # Errors
    /// [`SelectorError`], by what is wrong.
    pub fn from_json(text: &str) -> Result<Self, SelectorError> {
        let entries: Value = serde_json::from_str(text).map_err(|_| SelectorError::Json)?;
        let mut selector = Self::default();
        for entry in entries.as_array().ok_or(SelectorError::Json)? {
            // Go, which the helper is written in, reads the names of members in any case.
            let member = |name: &str| {
                let mut members = entry.as_object()?.iter();
                members
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))?
                    .1
                    .as_str()
            };
            let (Some(key), Some(value)) = (member("Key"), member("Value")) else {
                return Err(SelectorError::Json);
            };
            selector.set(key, value)?;
        }
        Ok(selector)
    }

    /// Whether `certificate` is meant. Names are compared in the form of [`NameText`].
    pub fn matches(&self, certificate: &Certificate<'_>) -> bool {
        let is_named = |wanted: &Option<String>, name: &[u8]| match wanted {
            None => true,
            Some(wanted) => attributes(name)
                .is_ok_and(|attributes| NameText(&attributes).to_string() == *wanted),
        };
        is_named(&self.subject, certificate.subject)
            && is_named(&self.issuer, certificate.issuer)
            && self
                .serial
                .as_ref()
                .is_none_or(|serial| *serial == Serial::new(certificate.serial))
    }

    /// Of a key that is there twice the last one counts, and an empty name fits every certificate, as
    /// with the helper.
    fn set(&mut self, key: &str, value: &str) -> Result<(), SelectorError> {
        let name = || Some(value.to_owned()).filter(|name| !name.is_empty());
        match key {
            SUBJECT => self.subject = name(),
            ISSUER => self.issuer = name(),
            SERIAL => self.serial = Some(value.parse().map_err(|_| SelectorError::Serial)?),
            _ => {
                return Err(SelectorError::Key {
                    key: key.to_owned(),
                    nearest: nearest(key, [SUBJECT, ISSUER, SERIAL]),
                });
            }
        }
        Ok(())
    }
}

const SUBJECT: &str = "x509Subject";
const ISSUER: &str = "x509Issuer";
const SERIAL: &str = "x509Serial";

impl FromStr for Selector {
    type Err = SelectorError;

    /// Reads `Key=…,Value=…`, one pair after another with a space between them. Unlike with the
    /// helper a value may have spaces in it.
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut rest = text.strip_prefix("Key=").ok_or(SelectorError::Form)?;
        let mut selector = Self::default();
        loop {
            let (pair, after) = match rest.split_once(" Key=") {
                Some((pair, after)) => (pair, Some(after)),
                None => (rest, None),
            };
            let (key, value) = pair.split_once(",Value=").ok_or(SelectorError::Form)?;
            selector.set(key.trim(), value.trim())?;
            match after {
                Some(after) => rest = after,
                None => return Ok(selector),
            }
        }
    }
}

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectorError {
    /// Not `Key=…,Value=…`.
    Form,
    /// Not the JSON that is meant.
    Json,
    /// A key that is not known.
    Key {
        /// The key.
        key: String,
        /// The one that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The serial number is not hexadecimal.
    Serial,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str(
                "a selector is written Key=x509Subject,Value=CN=NAME, further pairs after a space",
            ),
            Self::Json => f.write_str(
                r#"a selector in a file is a JSON list such as [{"Key": "x509Subject", "Value": "CN=NAME"}]"#,
            ),
            Self::Key { key, nearest } => {
                write!(f, "a selector has no key {key:?}")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean {nearest}?"),
                    None => write!(f, "; the keys are {SUBJECT}, {ISSUER} and {SERIAL}"),
                }
            }
            Self::Serial => write!(f, "{SERIAL} is not a hexadecimal number"),
        }
    }
}

impl core::error::Error for SelectorError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Subject and issuer `CN=hub`, serial number f1e2d3c4b5a69788.
    const CERTIFICATE: &[u8] = include_bytes!("../../tests/fixtures/hub.der");

    fn fits(selector: &str) -> bool {
        let certificate = Certificate::from_der(CERTIFICATE).unwrap();
        selector.parse::<Selector>().unwrap().matches(&certificate)
    }

    #[test]
    fn fits_what_is_meant() {
        assert!(fits("Key=x509Subject,Value=CN=hub"));
        assert!(fits(
            "Key=x509Issuer,Value=CN=hub Key=x509Serial,Value=F1E2D3C4B5A69788"
        ));
        assert!(fits("Key=x509Serial,Value=00f1e2d3c4b5a69788"));
        assert!(fits("Key=x509Subject,Value="));
        assert!(fits(
            "Key=x509Subject,Value=other Key=x509Subject,Value=CN=hub"
        ));
        assert!(!fits("Key=x509Subject,Value=CN=hub-17"));
        assert!(!fits(
            "Key=x509Subject,Value=CN=hub Key=x509Serial,Value=01"
        ));
    }

    #[test]
    fn text_and_json_say_the_same() {
        let text = "Key=x509Subject,Value=CN=hub 17,O=Acme Key=x509Serial,Value=0a";
        let json = r#"[{"Key": "x509Subject", "Value": "CN=hub 17,O=Acme"},
                       {"value": "A", "key": "x509Serial"}]"#;
        let selector = Selector::from_json(json).unwrap();
        assert_eq!(text.parse(), Ok(selector.clone()));
        assert_eq!(selector.subject.as_deref(), Some("CN=hub 17,O=Acme"));
    }

    #[test]
    fn refused() {
        let key = |key: &str, nearest| SelectorError::Key {
            key: key.to_owned(),
            nearest,
        };
        for (text, error) in [
            ("", SelectorError::Form),
            ("CN=hub", SelectorError::Form),
            ("Key=x509Subject", SelectorError::Form),
            ("Key=x509Subject,CN=hub", SelectorError::Form),
            ("Key=x509Serial,Value=12g", SelectorError::Serial),
            ("Key=x509Serial,Value=", SelectorError::Serial),
            (
                "Key=x509subject,Value=a",
                key("x509subject", Some("x509Subject")),
            ),
            ("Key=name,Value=a", key("name", None)),
        ] {
            assert_eq!(text.parse::<Selector>(), Err(error), "{text}");
        }
        for text in [
            "",
            "{}",
            "[1]",
            "[{}]",
            r#"[{"Key": "x509Subject", "Value": 1}]"#,
        ] {
            assert_eq!(
                Selector::from_json(text),
                Err(SelectorError::Json),
                "{text}"
            );
        }
    }
}

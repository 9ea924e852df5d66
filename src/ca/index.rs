//! What an authority issued, and what became of it: `index.json` in its directory.

use core::fmt;
use core::str::FromStr;
use std::borrow::ToOwned as _;
use std::fs;
use std::path::Path;
use std::string::{String, ToString as _};
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Error, Reason, Revoked};
use crate::core::text::Hex;
use crate::core::time::UnixTime;

/// A serial number, written in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(Vec<u8>);

impl Serial {
    /// The serial number with these big-endian bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        Self(bytes[zeros..].to_owned())
    }

    /// Its bytes, big-endian, without zeros before them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl FromStr for Serial {
    type Err = NotASerial;

    /// Reads hexadecimal digits in any case, with or without colons between the bytes.
    fn from_str(text: &str) -> Result<Self, NotASerial> {
        let digits: String = text.split(':').collect();
        if digits.is_empty() {
            return Err(NotASerial);
        }
        let padded = if digits.len() % 2 == 1 {
            "0".to_owned() + &digits
        } else {
            digits
        };
        let bytes: Option<Vec<u8>> = padded
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| {
                let high = char::from(pair[0]).to_digit(16)?;
                let low = char::from(pair[1]).to_digit(16)?;
                Some((high << 4 | low) as u8)
            })
            .collect();
        bytes.map(|bytes| Self::new(&bytes)).ok_or(NotASerial)
    }
}

/// The text is no hexadecimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotASerial;

impl fmt::Display for NotASerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a serial number is written in hexadecimal")
    }
}

impl core::error::Error for NotASerial {}

impl TryFrom<String> for Serial {
    type Error = NotASerial;

    fn try_from(text: String) -> Result<Self, NotASerial> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

/// One certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Its serial number.
    pub serial: Serial,
    /// Whom it names.
    pub subject: String,
    /// First second of its validity.
    #[serde(with = "rfc3339")]
    pub not_before: UnixTime,
    /// Last second of its validity.
    #[serde(with = "rfc3339")]
    pub not_after: UnixTime,
    /// When and why it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

impl Record {
    /// What the certificate is worth at `now`.
    pub fn status(&self, now: UnixTime) -> Status {
        if self.revoked.is_some() {
            Status::Revoked
        } else if now > self.not_after {
            Status::Expired
        } else if now < self.not_before {
            Status::NotYetValid
        } else {
            Status::Valid
        }
    }
}

/// What a certificate is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It can be used.
    Valid,
    /// It can be used later.
    NotYetValid,
    /// It could be used.
    Expired,
    /// It must not be used, expired or not.
    Revoked,
}

impl Status {
    /// Its name in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// When and why a certificate was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Revocation {
    /// Since when it is not to be trusted.
    #[serde(with = "rfc3339")]
    pub at: UnixTime,
    /// Why.
    pub reason: Reason,
}

/// The whole index.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Index {
    /// The number of the last CRL; 0 before the first.
    pub(super) crl_number: u64,
    /// In the order in which they were issued.
    pub(super) certificates: Vec<Record>,
}

impl Index {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(Error::io("cannot read", path))?;
        serde_json::from_slice(&text).map_err(|error| Error::Index(path.to_owned(), error))
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, Error> {
        let mut text = serde_json::to_vec_pretty(self).map_err(Error::Json)?;
        text.push(b'\n');
        Ok(text)
    }

    pub(super) fn find(&mut self, serial: &Serial) -> Option<&mut Record> {
        self.certificates
            .iter_mut()
            .find(|record| record.serial == *serial)
    }

    pub(super) fn revoked(&self) -> Vec<Revoked> {
        let revoked = |record: &Record| {
            record.revoked.map(|Revocation { at, reason }| Revoked {
                serial: record.serial.as_bytes().to_owned(),
                at,
                reason,
            })
        };
        self.certificates.iter().filter_map(revoked).collect()
    }
}

/// Times as RFC 3339 text.
mod rfc3339 {
    use std::string::String;

    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use crate::core::time::UnixTime;

    pub(super) fn serialize<S: Serializer>(
        time: &UnixTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<UnixTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        UnixTime::parse_rfc3339(&text)
            .ok_or_else(|| D::Error::custom("not a time such as 2026-11-22T02:19:51Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials() {
        for text in ["01ab", "1AB", "1:ab", "01:AB", "0001ab"] {
            let serial: Serial = text.parse().unwrap();
            assert_eq!(serial.as_bytes(), [1, 0xab], "{text}");
            assert_eq!(serial.to_string(), "01ab");
        }
        for text in ["", ":", "0x1ab", "hub.pem", "+1", "\u{e9}\u{e9}"] {
            assert_eq!(text.parse::<Serial>(), Err(NotASerial), "{text}");
        }
    }

    #[test]
    fn statuses() {
        let time = UnixTime::from_secs;
        let mut record = Record {
            serial: Serial::new(&[1]),
            subject: "CN=hub".to_owned(),
            not_before: time(100),
            not_after: time(200),
            revoked: None,
        };
        assert_eq!(record.status(time(99)), Status::NotYetValid);
        assert_eq!(record.status(time(100)), Status::Valid);
        assert_eq!(record.status(time(200)), Status::Valid);
        assert_eq!(record.status(time(201)), Status::Expired);
        let reason = Reason::Superseded;
        record.revoked = Some(Revocation {
            at: time(150),
            reason,
        });
        assert_eq!(record.status(time(201)), Status::Revoked);
    }

    #[test]
    fn json_and_back() {
        let text = br#"{
  "crlNumber": 3,
  "certificates": [
    {
      "serial": "4a01",
      "subject": "CN=hub-17,O=Acme",
      "notBefore": "2026-11-22T02:14:51Z",
      "notAfter": "2027-02-20T02:19:51Z",
      "revoked": {
        "at": "2026-12-01T00:00:00Z",
        "reason": "key-compromise"
      }
    },
    {
      "serial": "4a02",
      "subject": "CN=hub-18,O=Acme",
      "notBefore": "2026-11-22T02:14:51Z",
      "notAfter": "2027-02-20T02:19:51Z"
    }
  ]
}
"#;
        let index: Index = serde_json::from_slice(text).unwrap();
        assert_eq!(index.revoked().len(), 1);
        assert_eq!(index.revoked()[0].reason, Reason::KeyCompromise);
        assert_eq!(index.to_json().unwrap(), text);
    }
}

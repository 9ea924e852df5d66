//! What an authority issued, and what became of it: `index.json` in its directory.

use std::borrow::ToOwned as _;
use std::fs;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Error, Reason, Revoked};
use crate::core::time::UnixTime;
use crate::host::serial::Serial;

/// One certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Its serial number.
    #[serde(with = "hexadecimal")]
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

/// Serial numbers as hexadecimal text.
mod hexadecimal {
    use std::string::String;

    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use crate::host::serial::Serial;

    pub(super) fn serialize<S: Serializer>(
        serial: &Serial,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(serial)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Serial, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Times as RFC 3339 text.
pub(super) mod rfc3339 {
    use std::string::String;

    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    use crate::core::time::UnixTime;

    pub fn serialize<S: Serializer>(time: &UnixTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        UnixTime::parse_rfc3339(&text)
            .ok_or_else(|| D::Error::custom("not a time such as 2026-11-22T02:19:51Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

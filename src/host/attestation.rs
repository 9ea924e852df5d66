//! The files that a device and an authority send to each other for attestation: JSON with a `type` and a
//! `version`, bytes in base64, names and numbers of challenges in hexadecimal.

use core::fmt;
use std::borrow::ToOwned as _;
use std::format;
use std::path::Path;
use std::string::{String, ToString as _};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::backend::attestation::{Answer, Challenge, Request};
use crate::backend::regular_file::read_text;

/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;

/// What is in such a file.
pub trait Document: Serialize + DeserializeOwned {
    /// What the file says that it is.
    const TYPE: &'static str;

    /// The file's text.
    ///
    /// # Errors
    /// [`DocumentError`], which no document gives.
    fn to_text(&self) -> Result<String, DocumentError> {
        let unwritable = |error: serde_json::Error| DocumentError(error.to_string());
        let Value::Object(fields) = serde_json::to_value(self).map_err(unwritable)? else {
            return Err(DocumentError("it has no fields".to_owned()));
        };
        let mut document = Map::new();
        document.insert("type".to_owned(), Self::TYPE.into());
        document.insert("version".to_owned(), VERSION.into());
        document.extend(fields);
        let text = serde_json::to_string_pretty(&document).map_err(unwritable)?;
        Ok(text + "\n")
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`DocumentError`], also for one of another type or version, and for a field that is not known.
    fn from_text(text: &str) -> Result<Self, DocumentError> {
        let document: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| DocumentError(format!("it is no JSON object: {error}")))?;
        Self::from_fields(document)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`from_text`](Self::from_text), with the file's name; also if it cannot be read.
    fn read(path: &Path) -> Result<Self, DocumentError> {
        let named = |why: &dyn fmt::Display| DocumentError(format!("{}: {why}", path.display()));
        let text = read_text(path).map_err(|error| named(&error))?;
        Self::from_text(&text).map_err(|error| named(&error))
    }

    #[doc(hidden)]
    fn from_fields(mut fields: Map<String, Value>) -> Result<Self, DocumentError> {
        match fields.remove("type").as_ref().and_then(Value::as_str) {
            Some(kind) if kind == Self::TYPE => {}
            Some(other) => {
                let (is, wanted) = (other.escape_debug(), Self::TYPE);
                return Err(DocumentError(format!("it is a {is}, not a {wanted}")));
            }
            None => {
                return Err(DocumentError(format!(
                    "it is no {}: it has no type",
                    Self::TYPE
                )));
            }
        }
        match fields.remove("version") {
            Some(version) if version.as_u64() == Some(VERSION) => {}
            Some(other) => {
                return Err(DocumentError(format!(
                    "its version is {other}; this keystead knows version {VERSION}"
                )));
            }
            None => return Err(DocumentError("it has no version".to_owned())),
        }
        serde_json::from_value(Value::Object(fields))
            .map_err(|error| DocumentError(error.to_string()))
    }
}

impl Document for Request {
    const TYPE: &'static str = "keystead-attestation-request";
}

impl Document for Challenge {
    const TYPE: &'static str = "keystead-attestation-challenge";
}

impl Document for Answer {
    const TYPE: &'static str = "keystead-attestation-answer";
}

/// What is wrong with a document, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError(String);

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for DocumentError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn answer() -> Answer {
        Answer {
            id: Vec::from([1; 16]),
            statement: Vec::from([0xff, b'T', b'C', b'G']),
            signature: Vec::new(),
        }
    }

    const TEXT: &str = r#"{
  "type": "keystead-attestation-answer",
  "version": 1,
  "id": "01010101010101010101010101010101",
  "statement": "/1RDRw==",
  "signature": ""
}
"#;

    #[test]
    fn text_and_back() {
        assert_eq!(Answer::from_text(TEXT), Ok(answer()));
        let written: Value = serde_json::from_str(&answer().to_text().unwrap()).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(TEXT).unwrap());
        let request = Request {
            ek_certificate: Vec::from([1]),
            ek_chain: Vec::from([Vec::from([2]), Vec::new()]),
            ek_public: Vec::from([3]),
            ak_public: Vec::from([4]),
            key_public: Vec::from([5]),
        };
        assert_eq!(Request::from_text(&request.to_text().unwrap()), Ok(request));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (from, to, says) in [
            (
                "-answer",
                "-request",
                "it is a keystead-attestation-request, not a keystead-attestation-answer",
            ),
            ("\"type\"", "\"typ\"", "it has no type"),
            (
                ": 1,",
                ": 2,",
                "its version is 2; this keystead knows version 1",
            ),
            ("\"version\"", "\"versions\"", "it has no version"),
            ("\"id\"", "\"ID\"", "unknown field `ID`"),
            ("/1RDRw==", "/1RDRw=", "not base64"),
            ("\"0101", "\"01g1", "is not lower-case hexadecimal"),
            ("\"0101", "\"0", "is not lower-case hexadecimal"),
            ("{", "[", "no JSON object"),
            (
                "  \"signature\": \"\"\n",
                "  \"signature\": \"\", \"more\": 1\n",
                "unknown field `more`",
            ),
            (",\n  \"signature\": \"\"", "", "missing field `signature`"),
        ] {
            let error = Answer::from_text(&TEXT.replacen(from, to, 1)).unwrap_err();
            assert!(error.to_string().contains(says), "{to}: {error}");
        }
    }
}

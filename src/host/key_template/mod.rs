//! Templates of keys: `sensors/{hostname}/{date:%Y/%m/%d}/{name}`.
//!
//! A template becomes a key when data is accepted, and the key stays: where the machine is called something
//! else later, or another day has come, what was accepted goes where it was to go.

mod date;
mod name;

pub use name::{SourceName, encoded};

use core::fmt;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use self::date::DateFormat;
use super::document;
use super::serial::Serial;
use super::x509_text;
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;

/// S3's limit for keys, in bytes of UTF-8 (S3 User Guide, "Naming Amazon S3 objects").
pub const MAX_KEY: usize = 1024;

/// What `{date}` is without a format.
const PLAIN_DATE: &str = "%Y-%m-%d";

/// The fields, as errors list them.
const FIELDS: [&str; 6] = ["hostname", "date", "name", "path", "cn", "serial"];

/// `commonName`.
const COMMON_NAME: &str = "2.5.4.3";

/// A template of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyTemplate {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Hostname,
    Date(DateFormat),
    Name,
    Path,
    CommonName,
    Serial,
    /// What a `/` at the end leaves open: the name of a file, or what a folder has beneath it.
    Rest,
}

/// What is known where a key is made, whatever it is made for.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// The machine's name.
    pub hostname: &'a str,
    /// The time, in UTC.
    pub time: UnixTime,
    /// The certificate, if [`KeyTemplate::needs_certificate`].
    pub certificate: Option<&'a CertificateFacts>,
}

/// What keys can have of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The first common name of its subject.
    pub common_name: Option<String>,
    /// Its serial number, in lower-case hexadecimal.
    pub serial: String,
}

impl CertificateFacts {
    /// Those of a certificate.
    pub fn of(certificate: &Certificate<'_>) -> Self {
        let attributes = x509_text::attributes(certificate.subject).unwrap_or_default();
        let common_name = attributes
            .into_iter()
            .find(|attribute| attribute.oid.to_string() == COMMON_NAME);
        Self {
            common_name: common_name.map(|attribute| attribute.value),
            serial: Serial::new(certificate.serial).to_string(),
        }
    }
}

impl KeyTemplate {
    /// Reads a template. One that is empty or ends with `/` goes on with the name of what is uploaded, and, where
    /// that is in a folder that is uploaded as a whole, with its path beneath that folder. `{{` and `}}` stand
    /// for braces.
    ///
    /// # Errors
    /// [`TemplateError`] for a brace alone and for an unknown field.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal += before;
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let field = from.strip_prefix('{').and_then(|open| open.split_once('}'));
                let (field, after) = field.ok_or(TemplateError::Brace)?;
                if !literal.is_empty() {
                    parts.push(Part::Text(core::mem::take(&mut literal)));
                }
                parts.push(Part::parse(field)?);
                rest = after;
            }
        }
        literal += rest;
        let is_open = match literal.is_empty() {
            true => parts.is_empty(),
            false => literal.ends_with('/'),
        };
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        if is_open {
            parts.push(Part::Rest);
        }
        Ok(Self { parts })
    }

    /// Whether [`Facts::certificate`] is needed.
    pub fn needs_certificate(&self) -> bool {
        let of_certificate = |part: &Part| matches!(part, Part::CommonName | Part::Serial);
        self.parts.iter().any(of_certificate)
    }

    /// Whether different names make different keys.
    pub fn tells_names_apart(&self) -> bool {
        let of_name = |part: &Part| matches!(part, Part::Name | Part::Path | Part::Rest);
        self.parts.iter().any(of_name)
    }

    /// The same as the prefix of a whole folder, if it does not tell names apart as it is.
    pub fn into_prefix(mut self) -> Self {
        if !self.tells_names_apart() {
            self.parts.push(Part::Text("/".into()));
            self.parts.push(Part::Rest);
        }
        self
    }

    /// The key of what is called `source`.
    ///
    /// # Errors
    /// [`KeyError`] if something is not known, or S3 would not take the key.
    pub fn key(&self, facts: &Facts<'_>, source: &SourceName) -> Result<String, KeyError> {
        let mut key = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => key += text,
                Part::Hostname => key += facts.hostname,
                Part::Date(format) => key += &format.of(facts.time),
                Part::Name => key += source.name.as_deref().ok_or(KeyError::NoName)?,
                Part::Path => key += source.path.as_deref().ok_or(KeyError::NoName)?,
                Part::Rest => key += source.rest().ok_or(KeyError::NoName)?,
                Part::CommonName => {
                    let name = facts.certificate.and_then(|of| of.common_name.as_deref());
                    key += &encoded(name.ok_or(KeyError::NoCommonName)?.as_bytes());
                }
                Part::Serial => key += &facts.certificate.ok_or(KeyError::NoCommonName)?.serial,
            }
        }
        check(key)
    }
}

impl Part {
    fn parse(field: &str) -> Result<Self, TemplateError> {
        let (name, format) = match field.split_once(':') {
            Some((name, format)) => (name, Some(format)),
            None => (field, None),
        };
        Ok(match (name, format) {
            ("date", format) => {
                let format = format.filter(|format| !format.is_empty());
                Self::Date(DateFormat::parse(format.unwrap_or(PLAIN_DATE))?)
            }
            ("hostname", None) => Self::Hostname,
            ("name", None) => Self::Name,
            ("path", None) => Self::Path,
            ("cn", None) => Self::CommonName,
            ("serial", None) => Self::Serial,
            _ => return Err(TemplateError::Field(field.into())),
        })
    }
}

/// What S3 takes as a key, and what finds its way there: libraries and proxies take `.` and `..` for
/// folders.
fn check(key: String) -> Result<String, KeyError> {
    if key.is_empty() || key.ends_with('/') {
        return Err(KeyError::Empty);
    }
    if key.len() > MAX_KEY {
        return Err(KeyError::TooLong(key.len()));
    }
    if key.split('/').any(|part| part == "." || part == "..") {
        return Err(KeyError::Dots(key));
    }
    if key.chars().any(char::is_control) {
        return Err(KeyError::Control);
    }
    Ok(key)
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// A brace without its other half.
    Brace,
    /// There is no such field.
    Field(String),
    /// There is no such field in a date.
    Date(Option<char>),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brace => {
                f.write_str("a brace has no other half; {{ and }} stand for braces themselves")
            }
            Self::Field(field) => {
                let name = field.split(':').next().unwrap_or_default();
                write!(f, "there is no {{{field}}}")?;
                match document::nearest(name, FIELDS) {
                    Some("date") if name == "date" => Ok(()),
                    Some(near) if near == name => {
                        write!(f, "; {{{near}}} has no format: only dates have one")
                    }
                    Some(near) => write!(f, "; did you mean {{{near}}}?"),
                    None => write!(
                        f,
                        "; fields are {}",
                        FIELDS.map(|of| format!("{{{of}}}")).join(", ")
                    ),
                }
            }
            Self::Date(field) => {
                match field {
                    Some(field) => write!(f, "%{field} in a date is not known")?,
                    None => f.write_str("a date's format ends with a lone %")?,
                }
                write!(
                    f,
                    "; there are {} and %%",
                    date::FIELDS.map(|field| format!("%{field}")).join(" ")
                )
            }
        }
    }
}

impl core::error::Error for TemplateError {}

/// Why a template makes no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyError {
    /// What is uploaded has no name.
    NoName,
    /// The certificate has no common name, or there is no certificate.
    NoCommonName,
    /// There is nothing in it, or nothing behind its last `/`.
    Empty,
    /// It has so many bytes.
    TooLong(usize),
    /// It has a `.` or `..` between slashes.
    Dots(String),
    /// It has a control character.
    Control,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("it has no name for its key"),
            Self::NoCommonName => f.write_str("the certificate has no common name for {cn}"),
            Self::Empty => f.write_str("its key is empty, or ends with a /"),
            Self::TooLong(length) => {
                write!(f, "its key has {length} bytes, and S3 takes {MAX_KEY}")
            }
            Self::Dots(key) => write!(
                f,
                "its key `{}` has a `.` or `..` between slashes, which leads elsewhere on its way",
                key.escape_debug()
            ),
            Self::Control => f.write_str("its key has a control character"),
        }
    }
}

impl core::error::Error for KeyError {}

#[cfg(test)]
mod tests;

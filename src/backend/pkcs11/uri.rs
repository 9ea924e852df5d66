//! `pkcs11:` URIs (RFC 7512).

use core::fmt::{self, Write as _};
use core::str::FromStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

/// A `pkcs11:` URI. What is absent matches everything.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uri {
    /// `token`: CK_TOKEN_INFO's label.
    pub token: Option<String>,
    /// `manufacturer`: CK_TOKEN_INFO's.
    pub manufacturer: Option<String>,
    /// `model`: CK_TOKEN_INFO's.
    pub model: Option<String>,
    /// `serial`: CK_TOKEN_INFO's.
    pub serial: Option<String>,
    /// `library-manufacturer`: CK_INFO's.
    pub library_manufacturer: Option<String>,
    /// `library-description`: CK_INFO's.
    pub library_description: Option<String>,
    /// `library-version`: CK_INFO's, major and minor.
    pub library_version: Option<(u8, u8)>,
    /// `slot-manufacturer`: CK_SLOT_INFO's.
    pub slot_manufacturer: Option<String>,
    /// `slot-description`: CK_SLOT_INFO's.
    pub slot_description: Option<String>,
    /// `slot-id`: CK_SLOT_ID.
    pub slot_id: Option<u64>,
    /// `object`: CKA_LABEL.
    pub object: Option<String>,
    /// `type`: CKA_CLASS.
    pub class: Option<ObjectClass>,
    /// `id`: CKA_ID.
    pub id: Option<Vec<u8>>,
    /// `module-path`.
    pub module_path: Option<PathBuf>,
    /// `module-name`.
    pub module_name: Option<String>,
    /// `pin-source`, as it is written.
    pub pin_source: Option<String>,
    /// `pin-value`. It is a secret.
    pub pin_value: Option<String>,
}

/// The class of an object (`type=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectClass {
    /// `private`.
    Private,
    /// `public`.
    Public,
    /// `cert`.
    Certificate,
    /// `secret-key`.
    SecretKey,
    /// `data`.
    Data,
}

impl ObjectClass {
    const NAMES: [(Self, &str); 5] = [
        (Self::Private, "private"),
        (Self::Public, "public"),
        (Self::Certificate, "cert"),
        (Self::SecretKey, "secret-key"),
        (Self::Data, "data"),
    ];

    /// The word for it in a URI.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(class, _)| *class == self)
            .map_or("", |(_, name)| name)
    }
}

/// The attributes that are text, in the order in which they are written.
const TEXTS: [&str; 9] = [
    "library-manufacturer",
    "library-description",
    "slot-manufacturer",
    "slot-description",
    "manufacturer",
    "model",
    "serial",
    "token",
    "object",
];

/// All others.
const OTHERS: [&str; 4] = ["library-version", "slot-id", "id", "type"];

const QUERY: [&str; 4] = ["module-name", "module-path", "pin-source", "pin-value"];

impl ObjectClass {
    /// What it is called in sentences.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Private => "private key",
            Self::Public => "public key",
            Self::Certificate => "certificate",
            Self::SecretKey => "secret key",
            Self::Data => "data object",
        }
    }
}

impl Uri {
    /// Whether a text is meant as such a URI. The scheme is in lower case or upper case.
    pub fn is_one(text: &[u8]) -> bool {
        text.split_at_checked(7)
            .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(b"pkcs11:"))
    }

    /// The URI without its query: what names a thing in a token, and holds no secret.
    #[must_use]
    pub fn without_query(&self) -> Self {
        Self {
            module_path: None,
            module_name: None,
            pin_source: None,
            pin_value: None,
            ..self.clone()
        }
    }

    /// The URI of the token (and slot, and library) alone.
    #[must_use]
    pub fn token_only(&self) -> Self {
        Self {
            object: None,
            id: None,
            class: None,
            ..self.without_query()
        }
    }

    fn text(&self, name: &str) -> Option<&String> {
        match name {
            "library-manufacturer" => self.library_manufacturer.as_ref(),
            "library-description" => self.library_description.as_ref(),
            "slot-manufacturer" => self.slot_manufacturer.as_ref(),
            "slot-description" => self.slot_description.as_ref(),
            "manufacturer" => self.manufacturer.as_ref(),
            "model" => self.model.as_ref(),
            "serial" => self.serial.as_ref(),
            "token" => self.token.as_ref(),
            "object" => self.object.as_ref(),
            _ => None,
        }
    }

    fn text_mut(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "library-manufacturer" => &mut self.library_manufacturer,
            "library-description" => &mut self.library_description,
            "slot-manufacturer" => &mut self.slot_manufacturer,
            "slot-description" => &mut self.slot_description,
            "manufacturer" => &mut self.manufacturer,
            "model" => &mut self.model,
            "serial" => &mut self.serial,
            "token" => &mut self.token,
            "object" => &mut self.object,
            "module-name" => &mut self.module_name,
            "pin-source" => &mut self.pin_source,
            "pin-value" => &mut self.pin_value,
            _ => return None,
        })
    }

    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<(), UriError> {
        let invalid = || UriError::Value(name.into());
        if let Some(field) = self.text_mut(name) {
            *field = Some(String::from_utf8(value).map_err(|_| invalid())?);
            return Ok(());
        }
        let text = core::str::from_utf8(&value);
        match name {
            "id" => self.id = Some(value),
            "module-path" => {
                self.module_path = Some(std::ffi::OsString::from_vec(value).into());
            }
            "slot-id" => {
                let number = text.ok().and_then(|text| text.parse().ok());
                self.slot_id = Some(number.ok_or_else(invalid)?);
            }
            "library-version" => {
                let text = text.map_err(|_| invalid())?;
                let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
                let version = major.parse().ok().zip(minor.parse().ok());
                self.library_version = Some(version.ok_or_else(invalid)?);
            }
            _ => {
                let class = ObjectClass::NAMES.iter().find(|(_, name)| text == Ok(name));
                self.class = Some(class.ok_or_else(invalid)?.0);
            }
        }
        Ok(())
    }

    fn write_path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let mut separator = "";
        let mut attribute = |f: &mut fmt::Formatter<'_>, name: &str| {
            write!(f, "{separator}{name}=")?;
            separator = ";";
            fmt::Result::Ok(())
        };
        if let Some((major, minor)) = self.library_version {
            attribute(f, "library-version")?;
            write!(f, "{major}.{minor}")?;
        }
        if let Some(id) = self.slot_id {
            attribute(f, "slot-id")?;
            write!(f, "{id}")?;
        }
        for name in TEXTS {
            if let Some(value) = self.text(name) {
                attribute(f, name)?;
                write_encoded(f, value.as_bytes(), "")?;
            }
        }
        if let Some(id) = &self.id {
            attribute(f, "id")?;
            for byte in id {
                write!(f, "%{byte:02X}")?;
            }
        }
        if let Some(class) = self.class {
            attribute(f, "type")?;
            f.write_str(class.name())?;
        }
        Ok(())
    }
}

/// The whole URI as [`FromStr`] reads it, but for `pin-value`, of which only `…` is shown.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_path(f)?;
        let mut separator = '?';
        let path = self
            .module_path
            .as_ref()
            .map(|path| path.as_os_str().as_bytes());
        let values = [
            (
                "module-name",
                self.module_name.as_deref().map(str::as_bytes),
            ),
            ("module-path", path),
            ("pin-source", self.pin_source.as_deref().map(str::as_bytes)),
        ];
        for (name, value) in values {
            let Some(value) = value else { continue };
            write!(f, "{separator}{name}=")?;
            write_encoded(f, value, "/|")?;
            separator = '&';
        }
        if self.pin_value.is_some() {
            write!(f, "{separator}pin-value=…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn write_encoded(f: &mut fmt::Formatter<'_>, value: &[u8], also: &str) -> fmt::Result {
    for &byte in value {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~:@+,".contains(c) || also.contains(c) {
            f.write_char(c)?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        if !Self::is_one(text.as_bytes()) {
            return Err(UriError::NotOne);
        }
        let rest = &text[7..];
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut uri = Self::default();
        let mut seen = Vec::new();
        let path = path.split(';').map(|part| (part, true));
        let query = query.split('&').map(|part| (part, false));
        for (part, in_path) in path.chain(query) {
            if part.is_empty() {
                continue;
            }
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let known = if in_path {
                TEXTS.contains(&name) || OTHERS.contains(&name)
            } else {
                QUERY.contains(&name)
            };
            if !known {
                return Err(UriError::Unknown(name.into()));
            }
            if seen.contains(&name) {
                return Err(UriError::Twice(name.into()));
            }
            seen.push(name);
            let value = decode(value).ok_or_else(|| UriError::Value(name.into()))?;
            uri.set(name, value)?;
        }
        match () {
            () if uri.pin_source.is_some() && uri.pin_value.is_some() => {
                Err(UriError::Both("pin-source", "pin-value"))
            }
            () if uri.module_name.is_some() && uri.module_path.is_some() => {
                Err(UriError::Both("module-name", "module-path"))
            }
            () => Ok(uri),
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

/// Why a text is no URI that can be used. What it says of values it does not repeat: one may be a PIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UriError {
    /// It does not begin with `pkcs11:`.
    NotOne,
    /// An attribute that RFC 7512 does not have in this place.
    Unknown(String),
    /// An attribute twice.
    Twice(String),
    /// An attribute's value cannot be read.
    Value(String),
    /// Two that exclude each other.
    Both(&'static str, &'static str),
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::core::text::Printable;
        match self {
            Self::NotOne => f.write_str("a token's URI begins with pkcs11:"),
            Self::Unknown(name) => write!(
                f,
                "`{}` is no attribute of a pkcs11: URI in this place (RFC 7512: a;b;c?d&e)",
                Printable(name)
            ),
            Self::Twice(name) => write!(f, "`{name}` is given twice"),
            Self::Value(name) => write!(f, "the value of `{name}` cannot be read"),
            Self::Both(one, other) => write!(f, "{one} and {other} exclude each other"),
        }
    }
}

impl core::error::Error for UriError {}

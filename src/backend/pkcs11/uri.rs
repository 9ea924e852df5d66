//! `pkcs11:` URIs (RFC 7512).

use core::fmt::{self, Write as _};
use core::str::FromStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

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
    /// `pin-value`. It is a secret, is cleared, and goes to no other process.
    #[serde(skip)]
    pub pin_value: Option<Zeroizing<String>>,
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
            _ => return None,
        })
    }

    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<(), UriError> {
        let invalid = || UriError::Value(name.into());
        if let Some(field) = self.text_mut(name) {
            *field = Some(String::from_utf8(value).map_err(|_| invalid())?);
            return Ok(());
        }
        if name == "pin-value" {
            let pin = String::from_utf8(value).map_err(|_| invalid())?;
            self.pin_value = Some(Zeroizing::new(pin));
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;
    use std::{format, vec};

    fn parse(text: &str) -> Result<Uri, UriError> {
        text.parse()
    }

    #[test]
    fn every_attribute_of_the_rfc() {
        let text = "pkcs11:library-version=2.40;slot-id=7;library-manufacturer=a;\
                    library-description=b;slot-manufacturer=c;slot-description=d;manufacturer=e;model=f;\
                    serial=g;token=My%20token%3b1;object=k%C3%A9y;id=%00%ff%41;type=private\
                    ?module-path=/usr/lib/x.so&pin-source=file:/etc/pin";
        let uri = parse(text).unwrap();
        assert_eq!(uri.library_version, Some((2, 40)));
        assert_eq!(uri.slot_id, Some(7));
        assert_eq!(uri.token.as_deref(), Some("My token;1"));
        assert_eq!(uri.object.as_deref(), Some("kéy"));
        assert_eq!(uri.id, Some(vec![0, 0xff, b'A']));
        assert_eq!(uri.class, Some(ObjectClass::Private));
        assert_eq!(uri.module_path, Some("/usr/lib/x.so".into()));
        assert_eq!(uri.pin_source.as_deref(), Some("file:/etc/pin"));
        assert_eq!(parse(&uri.to_string()), Ok(uri));
    }

    #[test]
    fn examples_of_the_rfc() {
        assert_eq!(parse("pkcs11:"), Ok(Uri::default()));
        for text in [
            "pkcs11:object=my-pubkey;type=public",
            "pkcs11:object=my-key;type=private?pin-source=file:/etc/token",
            "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;\
             model=1.0;object=my-certificate;type=cert;\
             id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin",
            "pkcs11:object=my-sign-key;type=private?module-name=mypkcs11",
            "pkcs11:token=Software%20PKCS%2311%20softtoken;manufacturer=Snake%20Oil,%20Inc.?pin-value=the-pin",
            "pkcs11:slot-description=Sun%20Metaslot",
            "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20Library;\
             library-version=1.23",
            "pkcs11:id=%69%95%3e%5c%f4%bd%ec%91",
        ] {
            parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }

    #[test]
    fn what_is_no_uri_is_said_by_name() {
        for (text, what) in [
            ("token=a", "begins with pkcs11:"),
            ("pkcs11:tokn=a", "`tokn` is no attribute"),
            ("pkcs11:pin-value=1", "`pin-value` is no attribute"),
            ("pkcs11:?token=1", "`token` is no attribute"),
            ("pkcs11:token=a;token=b", "`token` is given twice"),
            ("pkcs11:slot-id=x", "value of `slot-id`"),
            ("pkcs11:library-version=1.x", "value of `library-version`"),
            ("pkcs11:type=key", "value of `type`"),
            ("pkcs11:id=%4", "value of `id`"),
            ("pkcs11:token=%ff", "value of `token`"),
            ("pkcs11:?pin-value=1&pin-source=a", "exclude each other"),
            ("pkcs11:?module-name=1&module-path=a", "exclude each other"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn the_pin_is_never_shown() {
        let uri = parse("pkcs11:token=a?pin-value=12%2034").unwrap();
        assert_eq!(uri.pin_value.as_deref().map(String::as_str), Some("12 34"));
        for text in [format!("{uri}"), format!("{uri:?}")] {
            assert_eq!(text, "pkcs11:token=a?pin-value=…");
        }
        assert_eq!(uri.without_query().to_string(), "pkcs11:token=a");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            texts in proptest::array::uniform9(proptest::option::of("\\PC{0,12}")),
            id in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..8)),
            slot_id in any::<Option<u64>>(),
            library_version in any::<Option<(u8, u8)>>(),
            pin_source in proptest::option::of("\\PC{0,12}"),
        ) {
            let mut uri = Uri { id, slot_id, library_version, pin_source, ..Uri::default() };
            for (name, text) in TEXTS.into_iter().zip(texts) {
                *uri.text_mut(name).unwrap() = text;
            }
            prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(pkcs11:)?[a-z%;=?&0-9-]{0,40}\\PC{0,20}") {
            if let Ok(uri) = parse(&text) {
                let _ = uri.to_string();
            }
        }
    }
}

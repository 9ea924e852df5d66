//! `tpm:` URIs: which key, and how the TPM is reached.

use core::fmt;
use core::str::FromStr;
use std::borrow::ToOwned as _;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

/// A key in a TPM: `tpm:handle=0x81000011;tcti=…` or `tpm:file=device.tss2;auth-source=…`.
///
/// Attributes are separated by `;` (or, after a `?`, by `&`), in any order, each at most once. `%xx`
/// stands for a byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uri {
    /// Which key.
    pub key: KeyName,
    /// How the TPM is reached, as libtss2 names it.
    pub tcti: Option<String>,
    /// Where the key's auth value is: a source of secrets.
    pub auth_source: Option<String>,
    /// Where the parent key's is.
    pub parent_auth_source: Option<String>,
    /// The key that sessions are salted to: `salt-handle=0x81000001;salt-name=000b…`.
    pub salt: Option<SaltKey>,
}

/// Which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyName {
    /// That at a persistent handle.
    Handle(u32),
    /// That in a `TSS2 PRIVATE KEY` file.
    File(PathBuf),
}

/// A storage key whose name is known for sure, at a handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaltKey {
    /// The persistent handle, or a hierarchy (0x40000001), for its primary key by the TCG's template H-2.
    pub handle: u32,
    /// Its name: the hash algorithm (2 bytes, big-endian), then the hash of its public area.
    pub name: Vec<u8>,
}

/// The persistent handles (TPM 2.0 Part 2, section 7.2).
const PERSISTENT: core::ops::RangeInclusive<u32> = 0x8100_0000..=0x81ff_ffff;

/// What is wrong with a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UriError(pub String);

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for UriError {}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let wrong = |what: &str| UriError(what.to_owned());
        if let Some(handle) = text.strip_prefix("handle:") {
            // As AWS's helper has it.
            return Ok(Self::new(KeyName::Handle(key_handle(handle)?)));
        }
        let rest = text
            .get(..4)
            .filter(|scheme| scheme.eq_ignore_ascii_case("tpm:"))
            .and_then(|_| text.get(4..))
            .ok_or_else(|| wrong("it does not begin with tpm:"))?;
        let mut known: Vec<(&str, String)> = Vec::new();
        for attribute in rest.split([';', '?', '&']).filter(|part| !part.is_empty()) {
            let (name, value) = attribute
                .split_once('=')
                .ok_or_else(|| wrong("each of its attributes is NAME=VALUE"))?;
            let name = NAMES
                .into_iter()
                .find(|known| *known == name)
                .ok_or_else(|| UriError(std::format!("its attributes are {}", NAMES.join(", "))))?;
            if known.iter().any(|(other, _)| *other == name) {
                return Err(UriError(std::format!("{name} is there twice")));
            }
            known.push((name, decoded(value)?));
        }
        let mut take = |name: &str| {
            let at = known.iter().position(|(known, _)| *known == name)?;
            Some(known.swap_remove(at).1).filter(|value| !value.is_empty())
        };
        let key = match (take("handle"), take("file")) {
            (Some(handle), None) => KeyName::Handle(key_handle(&handle)?),
            (None, Some(file)) => KeyName::File(file.into()),
            _ => return Err(wrong("it names a key by handle=0x81… or by file=…")),
        };
        let salt = match (take("salt-handle"), take("salt-name")) {
            (None, None) => None,
            (Some(handle), Some(name)) => Some(SaltKey {
                handle: number(&handle).ok_or_else(|| wrong("salt-handle is no handle"))?,
                name: unhex(&name).ok_or_else(|| wrong("salt-name is no name of a key, in hex"))?,
            }),
            _ => return Err(wrong("salt-handle and salt-name belong together")),
        };
        Ok(Self {
            key,
            tcti: take("tcti"),
            auth_source: take("auth-source"),
            parent_auth_source: take("parent-auth-source"),
            salt,
        })
    }
}

const NAMES: [&str; 7] = [
    "handle",
    "file",
    "tcti",
    "auth-source",
    "parent-auth-source",
    "salt-handle",
    "salt-name",
];

impl Uri {
    /// A key, and nothing else.
    pub fn new(key: KeyName) -> Self {
        Self {
            key,
            tcti: None,
            auth_source: None,
            parent_auth_source: None,
            salt: None,
        }
    }
}

/// As it is read again. Where auth values come from is said, too: a caller that shows it to people
/// removes what may be a secret.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            KeyName::Handle(handle) => write!(f, "tpm:handle={handle:#010x}")?,
            KeyName::File(path) => write!(f, "tpm:file={}", Encoded(&path.to_string_lossy()))?,
        }
        let texts = [
            ("tcti", &self.tcti),
            ("auth-source", &self.auth_source),
            ("parent-auth-source", &self.parent_auth_source),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                write!(f, ";{name}={}", Encoded(value))?;
            }
        }
        if let Some(salt) = &self.salt {
            write!(f, ";salt-handle={:#010x};salt-name=", salt.handle)?;
            for byte in &salt.name {
                write!(f, "{byte:02x}")?;
            }
        }
        Ok(())
    }
}

struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                ';' | '?' | '&' | '%' => write!(f, "%{:02X}", u32::from(character))?,
                other if other.is_ascii_control() => write!(f, "%{:02X}", u32::from(other))?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}

fn key_handle(text: &str) -> Result<u32, UriError> {
    let handle = number(text).filter(|handle| PERSISTENT.contains(handle));
    handle.ok_or_else(|| {
        UriError("a persistent handle is a number from 0x81000000 to 0x81ffffff".to_owned())
    })
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u32::from_str_radix(hex, 16).ok()
        }
        Some(_) => None,
        None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        None => None,
    }
}

fn decoded(value: &str) -> Result<String, UriError> {
    let wrong = || UriError("a % in it is not followed by two hex digits".to_owned());
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else {
            return Err(wrong());
        };
        bytes.push(
            hex(*high)
                .zip(hex(*low))
                .map(|(high, low)| high << 4 | low)
                .ok_or_else(wrong)?,
        );
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| UriError("it is not UTF-8".to_owned()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(hex(*high)? << 4 | hex(*low)?),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()
        // A hash algorithm, and a hash.
        .filter(|name| name.len() > 2)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| digit.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    #[test]
    fn uris_are_read() {
        let uri: Uri =
            "tpm:handle=0x81000011;tcti=swtpm:host=127.0.0.1,port=2321;auth-source=file:/a%3Bb;\
             salt-handle=0x81000001;salt-name=000bFF"
                .parse()
                .unwrap();
        assert_eq!(uri.key, KeyName::Handle(0x8100_0011));
        assert_eq!(uri.tcti.as_deref(), Some("swtpm:host=127.0.0.1,port=2321"));
        assert_eq!(uri.auth_source.as_deref(), Some("file:/a;b"));
        let salt = uri.salt.clone().unwrap();
        assert_eq!(
            (salt.handle, &*salt.name),
            (0x8100_0001, &[0, 11, 0xff][..])
        );
        assert_eq!(uri.to_string().parse(), Ok(uri));
        let uri: Uri = "tpm:file=device.tss2?auth-source=cred:hub&parent-auth-source=env:P"
            .parse()
            .unwrap();
        assert_eq!(uri.key, KeyName::File("device.tss2".into()));
        assert_eq!(uri.auth_source.as_deref(), Some("cred:hub"));
        assert_eq!(uri.parent_auth_source.as_deref(), Some("env:P"));
        let helpers: Uri = "handle:0x81000011".parse().unwrap();
        assert_eq!(helpers, Uri::new(KeyName::Handle(0x8100_0011)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("tpm:", "it names a key"),
            ("tpm:handle=0x81000001;file=a", "it names a key"),
            ("tpm:handle=0x80000001", "0x81000000 to 0x81ffffff"),
            ("tpm:handle=+2164260881", "0x81000000"),
            ("handle:", "0x81000000"),
            ("tpm:file=a;file=b", "file is there twice"),
            ("tpm:file=a;pin=secret", "its attributes are handle, file"),
            ("tpm:file=a;secret", "NAME=VALUE"),
            ("tpm:file=a%0", "two hex digits"),
            ("tpm:file=a;salt-handle=0x81000001", "belong together"),
            ("tpm:file=a;salt-handle=0x81000001;salt-name=0b0", "no name"),
        ] {
            let error = text.parse::<Uri>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(tpm:|handle:)?[ -~é]{0,60}") {
            if let Ok(uri) = text.parse::<Uri>() {
                prop_assert_eq!(uri.to_string().parse::<Uri>(), Ok(uri));
            }
        }

        #[test]
        fn what_is_written_is_read(file in "[^\0]{1,40}", tcti in proptest::option::of("[ -~]{1,30}")) {
            let uri = Uri { tcti, ..Uri::new(KeyName::File(file.into())) };
            prop_assert_eq!(uri.to_string().parse::<Uri>(), Ok(uri));
        }
    }
}

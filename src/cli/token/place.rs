//! A `pkcs11:` URI that was given: what it names, and what its query says of module and PIN.

use core::fmt;
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::{borrow::ToOwned as _, format};

use super::module;
use crate::backend::pkcs11::Uri;
use crate::backend::secret::{Secret, SecretSource};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::sources::{Found, Origin};

/// A token, or a key or certificate in one.
#[derive(Debug, Clone)]
pub struct TokenPlace {
    /// What names it, without a query.
    pub uri: Uri,
    /// The module that the query names.
    pub module: Option<PathBuf>,
    /// The PIN's source that the query names.
    pub pin: Option<SecretSource>,
}

impl TokenPlace {
    /// Reads a URI and its query.
    ///
    /// # Errors
    /// [`CliError`], a usage error that does not repeat a PIN.
    pub fn new(found: &Found, strict: bool, context: &Context<'_>) -> Result<Self, CliError> {
        let mut uri: Uri = found
            .text()?
            .parse()
            .map_err(|error| found.invalid(error))?;
        let module = match (&uri.module_path, &uri.module_name) {
            (Some(path), _) => Some(module_path(found, path)?),
            (None, Some(name)) => Some(module::named(name).map_err(|error| found.invalid(error))?),
            (None, None) => None,
        };
        let pin = match (uri.pin_value.take(), &uri.pin_source) {
            (Some(pin), _) => {
                let pin = Secret::new(pin.as_bytes().to_vec());
                pin_value(&found.origin, strict, context)?;
                Some(SecretSource::Literal(pin))
            }
            (None, Some(source)) => {
                let mut source = pin_source(source).ok_or_else(|| found.invalid(NoPinSource))?;
                if let SecretSource::File(path) = &mut source {
                    *path = found.beside(path);
                }
                Some(source)
            }
            (None, None) => None,
        };
        Ok(Self {
            uri: uri.without_query(),
            module,
            pin,
        })
    }
}

/// A URI as it may be shown: without a PIN.
pub fn shown(text: &str) -> Cow<'_, str> {
    let Ok(mut uri) = text.parse::<Uri>() else {
        // The PIN may be anywhere in what cannot be read.
        return "pkcs11:…".into();
    };
    let Some(source) = uri.pin_source.take() else {
        return match uri.pin_value {
            None => text.into(),
            Some(_) => uri.to_string().into(),
        };
    };
    // What is no source may be the PIN itself, put there by mistake.
    let source = pin_source(&source).map_or_else(|| "…".to_owned(), |known| known.to_string());
    let has_query = uri.module_path.is_some() || uri.module_name.is_some();
    let separator = if has_query { '&' } else { '?' };
    format!("{uri}{separator}pin-source={source}").into()
}

/// `pin-value` works, as RFC 7512 has it, and is no good place for a PIN.
fn pin_value(origin: &Origin, strict: bool, context: &Context<'_>) -> Result<(), CliError> {
    let who = match origin {
        Origin::File { .. } => "everyone who can read the file",
        _ => "every user of this machine",
    };
    let what = format!("{origin}: pin-value shows the PIN to {who}");
    let better = "pin-source=file:… in its place, or --password-source, keeps it to yourself";
    if strict {
        return Err(CliError::usage(
            format!("{what}, which --strict refuses"),
            better,
        ));
    }
    context.console.warn(&what, better);
    Ok(())
}

/// RFC 7512's forms of a `pin-source` (`file:` with a path, a bare path, `|` and a command), and ours.
fn pin_source(text: &str) -> Option<SecretSource> {
    if let Some(line) = text.strip_prefix('|') {
        return Some(SecretSource::Cmd(line.to_owned()));
    }
    if let Some(rest) = text.strip_prefix("file://") {
        let path = rest.strip_prefix("localhost").unwrap_or(rest);
        return path
            .starts_with('/')
            .then(|| SecretSource::File(path.into()));
    }
    // Other bare words could be the PIN itself.
    if text.starts_with('/') || text.starts_with("./") {
        return Some(SecretSource::File(text.into()));
    }
    text.parse().ok()
}

struct NoPinSource;

impl fmt::Display for NoPinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a pin-source is one of file:PATH, /PATH, |PROGRAM, env:NAME, fd:NUMBER, cred:NAME, \
             cmd:PROGRAM, prompt",
        )
    }
}

fn module_path(found: &Found, path: &Path) -> Result<PathBuf, CliError> {
    let path = module::beside(found, path);
    if path.is_dir() {
        let why: String = format!(
            "module-path is the module's file, and {} is a folder",
            path.display()
        );
        return Err(found.invalid(why));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_pins() {
        for (text, source) in [
            ("file:/etc/pin", "file:/etc/pin"),
            ("file:///etc/pin", "file:/etc/pin"),
            ("file://localhost/etc/pin", "file:/etc/pin"),
            ("/etc/pin", "file:/etc/pin"),
            ("|/usr/bin/pin --x", "cmd:/usr/bin/pin …"),
            ("env:PIN", "env:PIN"),
            ("cred:hub", "cred:hub"),
            ("fd:3", "fd:3"),
            ("prompt", "prompt"),
        ] {
            let found = pin_source(text).map(|source| source.to_string());
            assert_eq!(found.as_deref(), Some(source), "{text}");
        }
        for text in ["", "1234", "file://elsewhere/pin", "pin.txt"] {
            assert!(pin_source(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_holds_no_pin() {
        for (text, is) in [
            ("pkcs11:token=hub", "pkcs11:token=hub"),
            (
                "pkcs11:object=a;token=hub?module-path=/m.so",
                "pkcs11:object=a;token=hub?module-path=/m.so",
            ),
            (
                "PKCS11:object=a;token=hub?pin-value=1234&module-path=/m.so",
                "pkcs11:token=hub;object=a?module-path=/m.so&pin-value=…",
            ),
            ("pkcs11:?pin-source=file:/p", "pkcs11:?pin-source=file:/p"),
            (
                "pkcs11:?module-name=m&pin-source=1234",
                "pkcs11:?module-name=m&pin-source=…",
            ),
            (
                "pkcs11:?pin-source=%7Cpass%20-k%201234",
                "pkcs11:?pin-source=cmd:pass …",
            ),
            ("pkcs11:token=hub?PIN-VALUE=1234", "pkcs11:…"),
            ("pkcs11:token=hub;pin-value=1234", "pkcs11:…"),
            ("pkcs11:token=hub?p%69n-value=1234", "pkcs11:…"),
            ("pkcs11:?pin-value=1234&pin-value=1234", "pkcs11:…"),
        ] {
            assert_eq!(shown(text), is);
        }
    }
}

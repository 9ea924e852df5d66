//! Where a certificate or a private key is: in a file, or in a token.

use core::fmt;
use std::borrow::Cow;
#[cfg(feature = "pkcs11")]
use std::boxed::Box;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::string::String;
use std::{borrow::ToOwned as _, format};

use super::context::Context;
use super::error::CliError;
use super::flags;
use super::sources::{Found, Sources};
#[cfg(feature = "pkcs11")]
use super::token::place::{self, TokenPlace};
use crate::core::text::Printable;
use crate::host::config::Setting;

/// What a command needs to know that opens what may be in a token, beside the settings that name it.
pub const SETTINGS: [Setting; 8] = [
    Setting::PasswordSource,
    Setting::Strict,
    Setting::Pkcs11Lib,
    Setting::ReusePin,
    Setting::Isolate,
    Setting::NotifyCmd,
    Setting::TokenTimeout,
    Setting::StateDir,
];

/// Where a certificate or a private key is.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// In a token.
    #[cfg(feature = "pkcs11")]
    Token(Box<TokenPlace>),
}

impl Place {
    /// What a setting says.
    ///
    /// # Errors
    /// [`CliError`] if it cannot be used, or not yet.
    pub fn of(
        setting: Setting,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Option<Self>, CliError> {
        let strict = sources.switch(Setting::Strict)?;
        let found = sources.get(setting);
        found
            .map(|found| Self::new(&found, strict, context))
            .transpose()
    }

    /// What a value says. A PIN in it is an error if `strict`, else a warning.
    ///
    /// # Errors
    /// [`CliError`] if it cannot be used, or not yet.
    #[cfg_attr(
        not(feature = "pkcs11"),
        expect(unused_variables, reason = "files hold no PIN")
    )]
    pub fn new(found: &Found, strict: bool, context: &Context<'_>) -> Result<Self, CliError> {
        let value = found.value.as_bytes();
        for scheme in ["tpm:", "handle:"] {
            if value.starts_with(scheme.as_bytes()) {
                let named = format!("{} {scheme}…", found.origin);
                return Err(flags::not_built_yet("TPM keys", &named));
            }
        }
        if !is_token_uri(value) {
            return Ok(Self::File(found.path()));
        }
        #[cfg(feature = "pkcs11")]
        return TokenPlace::new(found, strict, context).map(|place| Self::Token(Box::new(place)));
        #[cfg(not(feature = "pkcs11"))]
        Err(CliError::usage(
            format!("{}: pkcs11:… names a key in a token", found.origin),
            "this program was built without the feature `pkcs11`",
        ))
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            #[cfg(feature = "pkcs11")]
            Self::Token(_) => None,
        }
    }
}

/// Without any secret.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "pkcs11")]
            Self::Token(place) => place.uri.fmt(f),
        }
    }
}

/// A setting that can only be a file.
///
/// # Errors
/// [`CliError`] if it names a key or certificate in a token.
pub fn file(setting: Setting, sources: &Sources<'_>) -> Result<Option<PathBuf>, CliError> {
    let Some(found) = sources.get(setting) else {
        return Ok(None);
    };
    if is_token_uri(found.value.as_bytes()) {
        return Err(CliError::usage(
            format!("{} has to be a file, and not pkcs11:…", found.origin),
            "certificates of the chain that are in the token are found there by themselves",
        ));
    }
    Ok(Some(found.path()))
}

/// A value as it may be shown: without the PIN that a `pkcs11:` URI may hold (RFC 7512 section 2.4).
pub fn shown(text: &str) -> String {
    if is_token_uri(text.as_bytes()) {
        #[cfg(feature = "pkcs11")]
        let shown = place::shown(text);
        // One that cannot be read may have its PIN anywhere.
        #[cfg(not(feature = "pkcs11"))]
        let shown = Cow::Borrowed("pkcs11:…");
        let shown: Cow<'_, str> = shown;
        return format!("{}", Printable(&shown));
    }
    match text.split_once("pin-value=") {
        Some((before, _)) => format!("{}pin-value=…", Printable(before)),
        None => format!("{}", Printable(text)),
    }
}

fn is_token_uri(value: &[u8]) -> bool {
    let scheme = value.get(..7).unwrap_or_default().to_owned();
    scheme.eq_ignore_ascii_case(b"pkcs11:")
}

//! Where a certificate or a private key is: in a file, in a token, or in a TPM.

use core::fmt;
use std::borrow::Cow;
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
use std::boxed::Box;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::string::String;
use std::{borrow::ToOwned as _, format};

use super::context::Context;
use super::error::CliError;
use super::sources::{Found, Sources};
#[cfg(feature = "pkcs11")]
use super::token::place::{self, TokenPlace};
#[cfg(feature = "tpm-direct")]
use super::tpm::{self, place::TpmPlace};
use crate::core::text::Printable;
use crate::host::config::Setting;

/// What a command needs to know that opens what may be in a token or a TPM, beside the settings that name it.
pub const SETTINGS: [Setting; 13] = [
    Setting::PasswordSource,
    Setting::Strict,
    Setting::Pkcs11Lib,
    Setting::ReusePin,
    Setting::Isolate,
    Setting::NotifyCmd,
    Setting::TokenTimeout,
    Setting::Tcti,
    Setting::ParentAuthSource,
    Setting::OwnerAuthSource,
    Setting::TpmPlainAuth,
    Setting::TpmTransport,
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
    /// In a TPM, or in a file that a TPM can read. Keys alone are there.
    #[cfg(feature = "tpm-direct")]
    Tpm(Box<TpmPlace>),
}

impl Place {
    /// Where a setting says that the certificate is.
    ///
    /// # Errors
    /// [`CliError`] if it cannot be used.
    pub fn of_certificate(
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Option<Self>, CliError> {
        let strict = sources.switch(Setting::Strict)?;
        let found = sources.get(Setting::Certificate);
        found
            .map(|found| Self::certificate(&found, strict, context))
            .transpose()
    }

    /// Where a setting says that the key is.
    ///
    /// # Errors
    /// [`CliError`] if it cannot be used.
    pub fn of_key(sources: &Sources<'_>, context: &Context<'_>) -> Result<Option<Self>, CliError> {
        let strict = sources.switch(Setting::Strict)?;
        let found = sources.get(Setting::Key);
        found
            .map(|found| Self::key(&found, strict, context))
            .transpose()
    }

    /// What a value says that names certificates. A PIN in it is an error if `strict`, else a warning.
    ///
    /// # Errors
    /// [`CliError`] if it cannot be used.
    pub fn certificate(
        found: &Found,
        strict: bool,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        if is_tpm_uri(found.value.as_bytes()) {
            return Err(no_certificate(found.shown()));
        }
        Self::new(found, strict, context)
    }

    /// What a value says that names a key. A PIN in it is an error if `strict`, else a warning.
    ///
    /// # Errors
    /// [`CliError`] if it cannot be used.
    pub fn key(found: &Found, strict: bool, context: &Context<'_>) -> Result<Self, CliError> {
        let place = Self::new(found, strict, context)?;
        #[cfg(feature = "tpm-direct")]
        if let Self::File(path) = &place
            && let Some(place) = TpmPlace::in_file(path)
        {
            return Ok(Self::Tpm(Box::new(place)));
        }
        Ok(place)
    }

    /// What a value says that names a key or certificate.
    ///
    /// # Errors
    /// [`CliError`] if it cannot be used.
    #[cfg_attr(
        not(feature = "pkcs11"),
        expect(unused_variables, reason = "files hold no PIN")
    )]
    pub fn new(found: &Found, strict: bool, context: &Context<'_>) -> Result<Self, CliError> {
        let value = found.value.as_bytes();
        if is_tpm_uri(value) {
            #[cfg(feature = "tpm-direct")]
            return TpmPlace::new(found).map(|place| Self::Tpm(Box::new(place)));
            #[cfg(not(feature = "tpm-direct"))]
            return Err(without_tpm(format!(
                "{}: {} names a key in a TPM",
                found.origin,
                found.shown()
            )));
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

    /// The error where this is to be a certificate, and is a key in a TPM.
    #[cfg(feature = "tpm-direct")]
    pub fn no_certificate(&self) -> CliError {
        no_certificate(self)
    }

    /// The file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            #[cfg(feature = "pkcs11")]
            Self::Token(_) => None,
            #[cfg(feature = "tpm-direct")]
            Self::Tpm(_) => None,
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
            #[cfg(feature = "tpm-direct")]
            Self::Tpm(place) => place.fmt(f),
        }
    }
}

fn no_certificate(named: impl fmt::Display) -> CliError {
    CliError::usage(
        format!("{named}: a TPM keeps keys, and no certificates"),
        "--certificate names the certificate's file, and --key the key in the TPM",
    )
}

/// The error for what this program could do if it had the feature.
#[cfg(not(feature = "tpm-direct"))]
pub fn without_tpm(what: impl Into<String>) -> CliError {
    CliError::usage(
        format!(
            "{}, and this program was built without the feature `tpm-direct`",
            what.into()
        ),
        "use one that was built with it: the profiles `hub` and `full` have it",
    )
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
    if is_tpm_uri(found.value.as_bytes()) {
        return Err(no_certificate(found.shown()));
    }
    Ok(Some(found.path()))
}

/// A value as it may be shown: without the PIN that a `pkcs11:` URI may hold (RFC 7512 section 2.4), or
/// the auth value that may be in a `tpm:` URI by mistake.
pub fn shown(text: &str) -> String {
    if is_tpm_uri(text.as_bytes()) {
        #[cfg(feature = "tpm-direct")]
        let shown = tpm::place::shown(text);
        #[cfg(not(feature = "tpm-direct"))]
        let shown = Cow::Borrowed("tpm:…");
        let shown: Cow<'_, str> = shown;
        return format!("{}", Printable(&shown));
    }
    if is_token_uri(text.as_bytes()) {
        #[cfg(feature = "pkcs11")]
        let shown = place::shown(text);
        // One that cannot be read may have its PIN anywhere.
        #[cfg(not(feature = "pkcs11"))]
        let shown = Cow::Borrowed("pkcs11:…");
        let shown: Cow<'_, str> = shown;
        return format!("{}", Printable(&shown));
    }
    for attribute in ["pin-value=", "auth-source="] {
        if let Some((before, _)) = text.split_once(attribute) {
            return format!("{}{attribute}…", Printable(before));
        }
    }
    format!("{}", Printable(text))
}

fn is_token_uri(value: &[u8]) -> bool {
    let scheme = value.get(..7).unwrap_or_default().to_owned();
    scheme.eq_ignore_ascii_case(b"pkcs11:")
}

/// Whether this is a TPM's key, in our form or in that of AWS's helper.
fn is_tpm_uri(value: &[u8]) -> bool {
    let scheme = value.get(..4).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"tpm:") || value.starts_with(b"handle:")
}

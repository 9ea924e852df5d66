//! Which certificate and key a command uses, and how strictly they are looked at.

use std::borrow::ToOwned as _;
use std::format;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use clap::ArgMatches;

use super::context::Context;
use super::error::CliError;
use super::place::{self, Place};
use super::sources::Sources;
#[cfg(feature = "pkcs11")]
use super::token::TokenPlan;
use super::{flags, plan};
use crate::backend::secret::{Secret, SecretSource};
use crate::host::config::Setting;

/// Certificate and key, and how strictly they are looked at.
#[derive(Debug)]
pub struct IdentityPlan {
    /// The certificate.
    pub certificate: Option<Place>,
    /// The key; in the certificate's file, or beside it in its token, if there is none.
    pub key: Option<Place>,
    /// A file of further certificates.
    pub intermediates: Option<PathBuf>,
    /// Where the password of a key's file comes from.
    pub password: Option<SecretSource>,
    /// How tokens are reached.
    #[cfg(feature = "pkcs11")]
    pub token: TokenPlan,
    /// Whether only a key that never was outside hardware is taken.
    pub require_hardware: bool,
    /// Whether certificates that the service is going to refuse are sent all the same.
    pub skip_rules: bool,
    /// Whether a key file that others can read is an error.
    pub strict: bool,
}

impl IdentityPlan {
    /// Checks what is said of certificate and key.
    ///
    /// # Errors
    /// [`CliError`] for what cannot be used, or not yet.
    pub fn new(
        matches: &ArgMatches,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        flags::refuse_unsupported(matches)?;
        if flags::has_extra(matches) {
            // It is not repeated: it may be the second word of a password.
            let what = "an argument belongs to no flag";
            if !context.drop_in {
                let remedy = "every value belongs to a flag; quote one that has blanks in it";
                return Err(CliError::usage(what, remedy));
            }
            context.console.warn(what, "");
        }
        let strict = sources.switch(Setting::Strict)?;
        Ok(Self {
            certificate: Place::of(Setting::Certificate, sources, context)?,
            key: Place::of(Setting::Key, sources, context)?,
            intermediates: place::file(Setting::Intermediates, sources)?,
            password: password(matches, sources, strict, context)?,
            #[cfg(feature = "pkcs11")]
            token: TokenPlan::new(sources, context)?,
            require_hardware: sources.switch(Setting::RequireHardware)?,
            skip_rules: sources.switch(Setting::SkipCertificateRules)?,
            strict,
        })
    }

    /// Where the key is: beside its certificate, if nothing else is said.
    pub fn key_place(&self) -> Option<&Place> {
        self.key.as_ref().or(self.certificate.as_ref())
    }
}

fn password(
    matches: &ArgMatches,
    sources: &Sources<'_>,
    strict: bool,
    context: &Context<'_>,
) -> Result<Option<SecretSource>, CliError> {
    let source = plan::password_source(sources)?;
    let Some(password) = flags::value(matches, flags::PKCS8_PASSWORD) else {
        return Ok(source);
    };
    let better =
        "--password-source file:…, env:…, fd:…, cred:…, cmd:… or prompt keeps it to yourself";
    let what = "--pkcs8-password shows the password to every user of this machine";
    if source.is_some() {
        return Err(CliError::usage(
            "--pkcs8-password and a password source are both given",
            "leave --pkcs8-password out",
        ));
    }
    if strict {
        return Err(CliError::usage(
            format!("{what}, which --strict refuses"),
            better,
        ));
    }
    context.console.warn(what, better);
    let secret = Secret::new(password.as_bytes().to_owned());
    Ok(Some(SecretSource::Literal(secret)))
}

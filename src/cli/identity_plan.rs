//! Which certificate and key a command uses, and how strictly they are looked at.

use std::borrow::ToOwned as _;
use std::format;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
#[cfg(feature = "serve")]
use std::string::String;
#[cfg(feature = "serve")]
use std::vec::Vec;

use super::context::Context;
use super::error::CliError;
use super::flags::Given;
use super::place::{self, Place};
use super::sources::Sources;
#[cfg(feature = "pkcs11")]
use super::token::TokenPlan;
#[cfg(feature = "tpm-direct")]
use super::tpm::TpmPlan;
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
    /// How TPMs are reached.
    #[cfg(feature = "tpm-direct")]
    pub tpm: TpmPlan,
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
        given: &dyn Given,
        sources: &Sources<'_>,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        flags::refuse_unsupported(given)?;
        if given.has_extra() {
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
            certificate: Place::of_certificate(sources, context)?,
            key: Place::of_key(sources, context)?,
            intermediates: place::file(Setting::Intermediates, sources)?,
            password: password(flags::PKCS8_PASSWORD, given, sources, strict, context)?,
            #[cfg(feature = "pkcs11")]
            token: TokenPlan::new(sources, context)?,
            #[cfg(feature = "tpm-direct")]
            tpm: TpmPlan::new(tpm_auth(given, sources, strict, context)?, sources, context)?,
            require_hardware: sources.switch(Setting::RequireHardware)?,
            skip_rules: sources.switch(Setting::SkipCertificateRules)?,
            strict,
        })
    }

    /// The variables that hold the passwords, PINs and auth values of certificate and key.
    #[cfg(feature = "serve")]
    pub fn secret_variables(&self) -> Vec<String> {
        let password = self.password.as_ref().and_then(SecretSource::variable);
        let variables = password.map(String::from).into_iter();
        #[cfg(feature = "pkcs11")]
        let variables = {
            let token = |place: &'_ Option<Place>| match place {
                Some(Place::Token(place)) => Some(place.clone()),
                _ => None,
            };
            let places = [token(&self.key), token(&self.certificate)];
            let places = places.each_ref().map(Option::as_deref);
            variables.chain(self.token.secret_variables(&places))
        };
        #[cfg(feature = "tpm-direct")]
        let variables = {
            let place = match &self.key {
                Some(Place::Tpm(place)) => Some(place.as_ref()),
                _ => None,
            };
            variables.chain(self.tpm.secret_variables(place))
        };
        variables.collect()
    }

    /// Where the key is: beside its certificate, if nothing else is said.
    pub fn key_place(&self) -> Option<&Place> {
        self.key.as_ref().or(self.certificate.as_ref())
    }
}

/// Where the password of a key comes from: `flag`, which has it on the command line, or a source.
fn password(
    flag: &'static str,
    given: &dyn Given,
    sources: &Sources<'_>,
    strict: bool,
    context: &Context<'_>,
) -> Result<Option<SecretSource>, CliError> {
    let source = plan::secret_source(Setting::PasswordSource, sources)?;
    let Some(password) = given.value(flag) else {
        return Ok(source);
    };
    let better =
        "--password-source file:…, env:…, fd:…, cred:…, cmd:… or prompt keeps it to yourself";
    let what = format!("--{flag} shows the password to every user of this machine");
    if source.is_some() {
        return Err(CliError::usage(
            format!("--{flag} and a password source are both given"),
            format!("leave --{flag} out"),
        ));
    }
    if strict {
        return Err(CliError::usage(
            format!("{what}, which --strict refuses"),
            better,
        ));
    }
    context.console.warn(&what, better);
    let secret = Secret::new(password.as_bytes().to_owned());
    Ok(Some(SecretSource::Literal(secret)))
}

/// Where the auth value of a TPM's key comes from: with AWS's helper's switch it is the empty one.
#[cfg(feature = "tpm-direct")]
fn tpm_auth(
    given: &dyn Given,
    sources: &Sources<'_>,
    strict: bool,
    context: &Context<'_>,
) -> Result<Option<SecretSource>, CliError> {
    let source = password(flags::TPM_KEY_PASSWORD, given, sources, strict, context)?;
    if !flags::switch(given, flags::NO_TPM_KEY_PASSWORD)? {
        return Ok(source);
    }
    if source.is_some() {
        return Err(CliError::usage(
            "--no-tpm-key-password and a password, or a source of one, are both given",
            "leave one of them out",
        ));
    }
    Ok(Some(SecretSource::Literal(Secret::new(Vec::new()))))
}

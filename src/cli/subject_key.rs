//! The key that a command is about: `KEY` on its command line, or the key of an identity.

use std::borrow::ToOwned as _;
use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::context::Context;
use super::error::CliError;
use super::identity_plan::IdentityPlan;
use super::place::{self, Place};
use super::sources::{Found, Sources};
use super::{flags, identity};
use crate::backend::BoxedSigner;
#[cfg(feature = "pkcs11")]
use crate::backend::pkcs11::{PinRole, Uri};
use crate::backend::secret::SecretSource;
use crate::host::config::Setting;

/// What it is called on the command line.
const NAME: &str = "KEY";

const SO_PIN_SOURCE: &str = "so-pin-source";

/// The argument for it.
pub fn argument() -> Arg {
    Arg::new(NAME)
        .value_parser(value_parser!(OsString))
        .help("The key: a file, pkcs11:… or tpm:… [default: that of --identity]")
}

/// The flags that go with it.
pub fn flags(command: Command) -> Command {
    flags::common(command, &place::SETTINGS)
}

/// The flag for those who change a token.
pub fn security_officer() -> Arg {
    Arg::new(SO_PIN_SOURCE)
        .long(SO_PIN_SOURCE)
        .value_name("SOURCE")
        .value_parser(value_parser!(OsString))
        .help(
            "Log in as the token's security officer, with the PIN from there (sources as for --pin-source); with a \
             YubiKey it is the management key",
        )
}

/// The key, and all that is known of how it is reached.
pub struct SubjectKey {
    /// Where it is.
    pub place: Place,
    /// How it is reached.
    pub plan: IdentityPlan,
    /// What the URI that names it says of module and PIN.
    #[cfg(feature = "pkcs11")]
    query: Uri,
}

impl SubjectKey {
    /// Checks what is said of it.
    ///
    /// # Errors
    /// [`CliError`], a usage error.
    pub fn new(matches: &ArgMatches, context: &Context<'_>) -> Result<Self, CliError> {
        let given =
            flags::value(matches, NAME).map(|value| Found::argument(NAME, value.to_owned()));
        let required = [Setting::Key];
        let required = if given.is_some() { &[] } else { &required[..] };
        let sources = Sources::new(matches, context).completed(required)?;
        let mut plan = IdentityPlan::new(matches, &sources, context)?;
        let Some(found) = given.or_else(|| sources.get(Setting::Key)) else {
            return Err(CliError::usage(
                "no key is named",
                "name its file, or its pkcs11: or tpm: URI, as KEY, or an identity of keystead.toml with --identity",
            ));
        };
        let place = Place::key(&found, plan.strict, context)?;
        plan.key = Some(place.clone());
        // There may be none yet.
        plan.certificate = None;
        #[cfg(feature = "pkcs11")]
        {
            plan.token.security_officer = security_officer_source(matches)?;
        }
        #[cfg(not(feature = "pkcs11"))]
        security_officer_source(matches)?;
        Ok(Self {
            #[cfg(feature = "pkcs11")]
            query: query(&found, &place),
            place,
            plan,
        })
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`CliError`] naming the file, the token, or the TPM.
    pub fn open(&self, context: &Context<'_>) -> Result<BoxedSigner, CliError> {
        identity::open_signer(&self.plan, context)
    }

    /// Who logs in to change the token.
    #[cfg(feature = "pkcs11")]
    pub fn role(&self) -> PinRole {
        match self.plan.token.security_officer {
            Some(_) => PinRole::SecurityOfficer,
            None => PinRole::User,
        }
    }

    /// The URI of something in the same token, with what the key's own says of module and PIN: it is to
    /// be used in its place.
    #[cfg(feature = "pkcs11")]
    pub fn uri_of(&self, uri: Uri) -> Uri {
        let Uri {
            module_path,
            module_name,
            pin_source,
            ..
        } = self.query.clone();
        Uri {
            module_path,
            module_name,
            pin_source,
            ..uri
        }
    }
}

/// What a URI says beside what it names, without a PIN.
#[cfg(feature = "pkcs11")]
fn query(found: &Found, place: &Place) -> Uri {
    let uri = match place {
        Place::Token(_) => found.text().ok().and_then(|text| text.parse::<Uri>().ok()),
        _ => None,
    };
    let mut uri = uri.unwrap_or_default();
    uri.pin_value.take();
    uri
}

fn security_officer_source(matches: &ArgMatches) -> Result<Option<SecretSource>, CliError> {
    let Some(value) = flags::value(matches, SO_PIN_SOURCE) else {
        return Ok(None);
    };
    // It is not repeated: it may be the PIN itself, given by mistake.
    let source = value.to_str().and_then(|text| text.parse().ok());
    source.map(Some).ok_or_else(|| {
        CliError::usage(
            "--so-pin-source names no source of secrets",
            "it is file:PATH, env:NAME, fd:N, cred:NAME (systemd), cmd:PROGRAM, or prompt",
        )
    })
}

//! From the plan to a certificate with its key, with every doubt said.

use std::borrow::ToOwned as _;
use std::format;
use std::path::Path;
use std::string::ToString as _;
use std::vec::Vec;

use super::attended::is_attended;
use super::context::{Context, ProcessEnvironment};
use super::error::{CliError, Exit};
use super::identity_plan::IdentityPlan;
use super::place::Place;
#[cfg(feature = "pkcs11")]
use super::token;
#[cfg(feature = "tpm-direct")]
use super::tpm;
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
use crate::backend::chain;
use crate::backend::file::{self, FileIdentity, OpenError, Warning};
use crate::backend::secret::{Secret, SecretError, SecretSource};
use crate::backend::{BoxedSigner, Identity};
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::host::rules;

/// Opens certificate and key, and checks that Roles Anywhere is going to take the certificate.
/// Without a `now` to trust, its validity is not judged.
///
/// # Errors
/// [`CliError`] naming the file, the token, or the rule.
pub fn open(
    plan: &IdentityPlan,
    now: Option<UnixTime>,
    context: &Context<'_>,
) -> Result<Identity, CliError> {
    let identity = open_unchecked(plan, context)?;
    check_rules(&identity, plan, now, context)?;
    Ok(identity)
}

/// Opens a key: the plan's, of which nothing has to be certified; without one, the certificate's.
///
/// # Errors
/// [`CliError`] naming the file or the token.
pub fn open_signer(plan: &IdentityPlan, context: &Context<'_>) -> Result<BoxedSigner, CliError> {
    match &plan.key {
        None => {
            let (_, signer) = open_unchecked(plan, context)?.into_parts();
            Ok(signer)
        }
        Some(Place::File(path)) => open_key_file(plan, path, context),
        #[cfg(feature = "pkcs11")]
        Some(Place::Token(key)) => token::identity::open_signer(plan, key, context),
        #[cfg(feature = "tpm-direct")]
        Some(Place::Tpm(key)) => tpm::identity::open_signer(plan, key, context),
    }
}

/// Opens a key's file.
///
/// # Errors
/// [`CliError`] naming the file.
pub fn open_key_file(
    plan: &IdentityPlan,
    path: &Path,
    context: &Context<'_>,
) -> Result<BoxedSigner, CliError> {
    refuse_soft_key(plan, path)?;
    let signer = file::open_key(path, &mut || password(plan, path)).map_err(open_error)?;
    if let Some(warning) = file::check_permissions(path) {
        warn(&warning, plan, context)?;
    }
    Ok(signer)
}

/// Opens certificate and key.
fn open_unchecked(plan: &IdentityPlan, context: &Context<'_>) -> Result<Identity, CliError> {
    #[cfg(feature = "tpm-direct")]
    if let Some(Place::Tpm(key)) = &plan.key {
        return tpm::identity::open(plan, key, context);
    }
    #[cfg(feature = "pkcs11")]
    if let Some(identity) = token::identity::open(plan, context)? {
        return Ok(identity);
    }
    let path = |place: &Option<Place>| place.as_ref().and_then(Place::file).map(Path::to_owned);
    let certificate = path(&plan.certificate).unwrap_or_default();
    let private_key = path(&plan.key);
    let key = private_key.as_deref().unwrap_or(&certificate);
    refuse_soft_key(plan, key)?;
    let files = FileIdentity {
        certificate: &certificate,
        private_key: private_key.as_deref(),
        intermediates: plan.intermediates.as_deref(),
    };
    let (identity, warnings) =
        file::open(&files, &mut || password(plan, key)).map_err(open_error)?;
    for warning in &warnings {
        warn(warning, plan, context)?;
    }
    Ok(identity)
}

/// Puts the chain in order, with the intermediates of the plan's file, and joins it with the signer;
/// `name` is where the certificates are from.
///
/// # Errors
/// [`CliError`] if none of them is for the signer's key, or they are no chain.
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
pub fn join(
    plan: &IdentityPlan,
    name: &str,
    mut certificates: Vec<Vec<u8>>,
    signer: BoxedSigner,
    context: &Context<'_>,
) -> Result<Identity, CliError> {
    let of_chain = |error: chain::ChainError| {
        let remedy = error.remedy().unwrap_or_default();
        CliError::new(Exit::Key, format!("{name}: {error}"), remedy)
    };
    let own = certificates.len();
    let intermediates = plan.intermediates.as_deref();
    if let Some(path) = intermediates {
        let more = read_certificates(path)?;
        certificates.extend(more);
    }
    let chain = chain::build(&certificates, signer.public_key()).map_err(of_chain)?;
    for (index, certificate) in certificates[own..].iter().enumerate() {
        if let Some(stray) = chain::stray(certificate, &chain).map_err(of_chain)? {
            let warning = Warning::Stray {
                path: intermediates.unwrap_or(Path::new("")).into(),
                number: index + 1,
                stray,
            };
            warn(&warning, plan, context)?;
        }
    }
    Identity::new(chain, signer)
        .map_err(|error| CliError::new(Exit::Key, format!("{name}: {error}"), ""))
}

/// The certificates in a file.
///
/// # Errors
/// [`CliError`] naming the file.
pub fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, CliError> {
    file::read_certificates(path).map_err(open_error)
}

fn refuse_soft_key(plan: &IdentityPlan, path: &Path) -> Result<(), CliError> {
    if !plan.require_hardware {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Key,
        format!(
            "{}: --require-hardware takes no key from a file",
            path.display()
        ),
        "name a key in a token (--key pkcs11:…) or in a TPM (tpm:…), or leave --require-hardware out",
    ))
}

/// The password of a key file, from wherever the plan says.
///
/// # Errors
/// [`SecretError`], if its source cannot be read.
pub fn password(plan: &IdentityPlan, key: &Path) -> Result<Option<Secret>, SecretError> {
    let Some(source) = &plan.password else {
        return Ok(None);
    };
    if matches!(source, SecretSource::Prompt) && !is_attended() {
        return Ok(None);
    }
    let environment = ProcessEnvironment::with_secrets(source.variable());
    let what = format!("password of {}", key.display());
    source.read(&what, &environment).map(Some)
}

/// Says a warning; one about a secret is an error if the plan is strict.
///
/// # Errors
/// [`CliError`] if it is one.
pub fn warn(warning: &Warning, plan: &IdentityPlan, context: &Context<'_>) -> Result<(), CliError> {
    if plan.strict && matches!(warning, Warning::Exposed { .. }) {
        return Err(CliError::new(Exit::Key, warning.to_string(), ""));
    }
    context.console.warn(&warning.to_string(), "");
    Ok(())
}

/// The error for a file that cannot be used.
pub fn open_error(error: OpenError) -> CliError {
    let exit = if error.concerns_password() {
        Exit::Pin
    } else {
        Exit::Key
    };
    CliError::new(exit, error.to_string(), error.remedy().unwrap_or_default())
}

fn check_rules(
    identity: &Identity,
    plan: &IdentityPlan,
    now: Option<UnixTime>,
    context: &Context<'_>,
) -> Result<(), CliError> {
    // `Identity::new` has read it before.
    let Ok(leaf) = Certificate::from_der(identity.leaf()) else {
        return Ok(());
    };
    let name = plan.certificate.as_ref().map(Place::to_string);
    let name = name.unwrap_or_default();
    for violation in rules::check(&leaf, now) {
        let what = format!("{name}: {violation}");
        if plan.skip_rules || context.drop_in {
            context.console.warn(&what, violation.remedy());
        } else {
            let remedy = violation.remedy();
            let anyhow = "--skip-certificate-rules sends it all the same";
            return Err(CliError::new(
                Exit::Key,
                what,
                format!("{remedy}; {anyhow}"),
            ));
        }
    }
    Ok(())
}

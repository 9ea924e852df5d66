//! From the plan to a key in a TPM, with its certificate.

use std::boxed::Box;
use std::string::ToString as _;
use std::vec::Vec;

use super::error;
use super::place::TpmPlace;
use crate::backend::tpm::OpenKey;
use crate::backend::{BoxedSigner, Identity};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::identity;
use crate::cli::identity_plan::IdentityPlan;
use crate::cli::place::Place;
#[cfg(feature = "pkcs11")]
use crate::cli::token::identity::Certificates;

/// Opens the key and its certificate, which is in a file or in a token.
///
/// # Errors
/// [`CliError`] naming the key, the TPM, or where the certificate is.
pub fn open(
    plan: &IdentityPlan,
    key: &TpmPlace,
    context: &Context<'_>,
) -> Result<Identity, CliError> {
    match &plan.certificate {
        None => Err(CliError::usage(
            std::format!("{key}: no certificate is named"),
            "--certificate names the file of the certificate that was issued for this key",
        )),
        Some(Place::File(path)) => {
            let certificates = identity::read_certificates(path)?;
            let signer = open_key(plan, key, certificates.clone(), context)?;
            identity::join(
                plan,
                &path.display().to_string(),
                certificates,
                signer,
                context,
            )
        }
        #[cfg(feature = "pkcs11")]
        Some(Place::Token(place)) => {
            let found = Certificates::find(plan, place, context)?;
            let signer = open_key(plan, key, found.matching_der(), context)?;
            found.identity(plan, place, signer, context)
        }
        Some(place @ Place::Tpm(_)) => Err(place.no_certificate()),
    }
}

/// Opens a key, of which nothing has to be certified.
///
/// # Errors
/// [`CliError`] naming the key or the TPM.
pub fn open_signer(
    plan: &IdentityPlan,
    key: &TpmPlace,
    context: &Context<'_>,
) -> Result<BoxedSigner, CliError> {
    // It saves the TPM a command, and is worth no question for a token's PIN.
    let certificates = match &plan.certificate {
        Some(Place::File(path)) => identity::read_certificates(path)?,
        _ => Vec::new(),
    };
    open_key(plan, key, certificates, context)
}

fn open_key(
    plan: &IdentityPlan,
    key: &TpmPlace,
    certificates: Vec<Vec<u8>>,
    context: &Context<'_>,
) -> Result<BoxedSigner, CliError> {
    let request = OpenKey {
        key: key.contents()?,
        certificates,
        salt: key.salt.clone(),
    };
    let operator = plan.tpm.operator(Some(key));
    let opened = plan
        .tpm
        .key_device(Some(key), context)?
        .open(&request, Box::new(operator))
        .map_err(|failed| error(&failed))?;
    for warning in &opened.warnings {
        context.console.warn(&warning.to_string(), "");
    }
    Ok(opened.signer)
}

//! `keystead read-certificate-data`: what AWS's SDKs want to know of a certificate.

#[cfg(feature = "pkcs11")]
use core::fmt::Write as _;
use std::ffi::OsString;
use std::format;
use std::path::Path;
use std::process::ExitCode;
use std::string::String;
use std::vec::Vec;

use clap::Command;
#[cfg(feature = "pkcs11")]
use ring::digest;

use super::context::{self, Context};
use super::error::{CliError, Exit};
use super::identity_plan::IdentityPlan;
use super::place::{self, Place};
use super::sources::Sources;
#[cfg(feature = "pkcs11")]
use super::token::{self, place::TokenPlace};
use super::{flags, identity, parse};
#[cfg(feature = "pkcs11")]
use crate::core::text::Hex;
use crate::core::x509::Certificate;
use crate::host::config::Setting;
use crate::host::x509_text::CertificateData;
#[cfg(feature = "pkcs11")]
use crate::host::x509_text::{self, NameText};

/// One line about it.
pub const ABOUT: &str = "Print a certificate's key type, serial number and DER as JSON";

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Command::new("read-certificate-data").about(ABOUT);
    let settings = [&[Setting::Certificate][..], &place::SETTINGS].concat();
    let command = flags::common(command, &settings);
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let required = [Setting::Certificate];
    let sources = Sources::new(&matches, context).completed(&required)?;
    let plan = IdentityPlan::new(&matches, &sources, context)?;
    sources.require(&required)?;
    let text = match &plan.certificate {
        None => return Ok(ExitCode::SUCCESS),
        Some(Place::File(path)) => of_file(path)?,
        #[cfg(feature = "pkcs11")]
        Some(Place::Token(place)) => of_token(&plan, place, context)?,
        #[cfg(feature = "tpm-direct")]
        Some(place @ Place::Tpm(_)) => return Err(place.no_certificate()),
    };
    context::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn of_file(path: &Path) -> Result<String, CliError> {
    let certificates = identity::read_certificates(path)?;
    // As AWS's helper: the first one of the file, where there is at least one.
    let first = certificates.first().map_or(&[][..], Vec::as_slice);
    let certificate = Certificate::from_der(first)
        .map_err(|error| CliError::new(Exit::Key, format!("{}: {error}", path.display()), ""))?;
    Ok(format!("{}", CertificateData(&certificate)))
}

/// All that match, as AWS's helper lists them.
#[cfg(feature = "pkcs11")]
fn of_token(
    plan: &IdentityPlan,
    place: &TokenPlace,
    context: &Context<'_>,
) -> Result<String, CliError> {
    let mut text = String::from("Matching identities\n");
    let found = token::identity::certificates(plan, place, context)?;
    for (index, found) in found.iter().enumerate() {
        let subject = Certificate::from_der(&found.der)
            .ok()
            .and_then(|certificate| x509_text::attributes(certificate.subject).ok())
            .unwrap_or_default();
        let fingerprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &found.der);
        // Writing into a string does not fail.
        let _ = writeln!(
            text,
            "{}) {} \"{}\"\n\tURI: {}",
            index + 1,
            Hex(fingerprint.as_ref()),
            NameText(&subject),
            found.uri
        );
    }
    Ok(text)
}

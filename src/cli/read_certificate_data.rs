//! `keystead read-certificate-data`: what AWS's SDKs want to know of a certificate.

use std::ffi::OsString;
use std::format;
use std::process::ExitCode;
use std::vec::Vec;

use clap::Command;

use super::context::{self, Context};
use super::error::{CliError, Exit};
use super::plan::IdentityPlan;
use super::sources::Sources;
use super::{flags, identity, parse};
use crate::backend::file;
use crate::core::x509::Certificate;
use crate::host::config::Setting;
use crate::host::x509_text::CertificateData;

/// One line about it.
pub const ABOUT: &str = "Print a certificate's key type, serial number and DER as JSON";

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Command::new("read-certificate-data").about(ABOUT);
    let command = flags::common(command, &[Setting::Certificate]);
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let required = [Setting::Certificate];
    let sources = Sources::new(&matches, context).completed(&required)?;
    let plan = IdentityPlan::new(&matches, &sources, context)?;
    sources.require(&required)?;
    let path = plan.certificate.unwrap_or_default();
    let certificates = file::read_certificates(&path).map_err(identity::open_error)?;
    // As AWS's helper: the first one of the file, where there is at least one.
    let first = certificates.first().map_or(&[][..], Vec::as_slice);
    let certificate = Certificate::from_der(first)
        .map_err(|error| CliError::new(Exit::Key, format!("{}: {error}", path.display()), ""))?;
    let text = format!("{}", CertificateData(&certificate));
    context::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

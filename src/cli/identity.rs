//! From the plan to a certificate with its key, with every doubt said.

use std::format;
use std::path::Path;
use std::string::ToString as _;

use super::context::{Context, ProcessEnvironment};
use super::error::{CliError, Exit};
use super::plan::IdentityPlan;
use crate::backend::Identity;
use crate::backend::file::{self, FileIdentity, OpenError, Warning};
use crate::backend::secret::{Secret, SecretError};

/// Opens certificate and key.
///
/// # Errors
/// [`CliError`] naming the file.
pub fn open(plan: &IdentityPlan, context: &Context<'_>) -> Result<Identity, CliError> {
    let certificate = plan.certificate.clone().unwrap_or_default();
    let key = plan.key.as_deref().unwrap_or(&certificate);
    let files = FileIdentity {
        certificate: &certificate,
        private_key: plan.key.as_deref(),
        intermediates: plan.intermediates.as_deref(),
    };
    let (identity, warnings) =
        file::open(&files, &mut || password(plan, key)).map_err(open_error)?;
    for warning in &warnings {
        warn(warning, plan, context)?;
    }
    Ok(identity)
}

/// The password of a key file, from wherever the plan says.
pub fn password(plan: &IdentityPlan, key: &Path) -> Result<Option<Secret>, SecretError> {
    let Some(source) = &plan.password else {
        return Ok(None);
    };
    let environment = ProcessEnvironment::with_secret(source.variable());
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

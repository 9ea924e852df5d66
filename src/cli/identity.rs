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
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::host::rules;

/// Opens certificate and key, and checks that Roles Anywhere is going to take the certificate.
/// Without a `now` to trust, its validity is not judged.
///
/// # Errors
/// [`CliError`] naming the file or the rule.
pub fn open(
    plan: &IdentityPlan,
    now: Option<UnixTime>,
    context: &Context<'_>,
) -> Result<Identity, CliError> {
    let identity = open_files(plan, context)?;
    check_rules(&identity, plan, now, context)?;
    Ok(identity)
}

/// Opens certificate and key.
///
/// # Errors
/// [`CliError`] naming the file.
pub fn open_files(plan: &IdentityPlan, context: &Context<'_>) -> Result<Identity, CliError> {
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
    let path = plan.certificate.as_deref().unwrap_or(Path::new(""));
    for violation in rules::check(&leaf, now) {
        let what = format!("{}: {violation}", path.display());
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

//! What is known of this machine when a key is made: its time, its name, its certificate.

use std::format;
use std::path::Path;
use std::sync::Arc;
use std::vec::Vec;

use super::certificate::OwnCertificate;
use super::target::OwnFacts;
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
use crate::cli::place::Place;
use crate::cli::plan;
use crate::cli::sources::Sources;
use crate::cli::{identity, push};
use crate::core::time::Clock as _;
use crate::core::x509::Certificate;
use crate::host::clock::{ConfirmedTime, HostClock};
use crate::host::config::Setting;
use crate::host::key_template::{CertificateFacts, KeyTemplate};

/// The clock, of which people are told if it is wrong.
pub fn clock(sources: &Sources<'_>, context: &Context<'_>) -> Arc<HostClock> {
    let state = plan::state_dir(sources, context.environment);
    let confirmed = state.and_then(|folder| ConfirmedTime::at(folder.join("time")).load());
    let clock = HostClock::new(confirmed);
    if clock.trusted().is_none() {
        context.console.warn(
            &format!(
                "this machine's clock is wrong: it is {} at the earliest, which is taken for now",
                clock.floor()
            ),
            "set the clock (`timedatectl set-ntp true`)",
        );
    }
    Arc::new(clock)
}

/// The facts for `template`. The certificate is read only where the template needs it, and neither a token nor
/// a TPM is opened.
///
/// # Errors
/// [`CliError`] if the certificate is needed and cannot be read.
pub fn facts(
    template: &KeyTemplate,
    sources: &Sources<'_>,
    clock: &HostClock,
    context: &Context<'_>,
) -> Result<OwnFacts, CliError> {
    let certificate = match template.needs_certificate() {
        true => Some(certificate(sources, context)?),
        false => None,
    };
    Ok(OwnFacts::new(clock.now(), certificate))
}

fn certificate(sources: &Sources<'_>, context: &Context<'_>) -> Result<OwnCertificate, CliError> {
    let place = Place::of_certificate(sources, context)?.ok_or_else(|| {
        CliError::usage(
            "the key has {cn} or {serial}, and nobody says which certificate is meant",
            format!(
                "give --{}, set {}, or write it into keystead.toml",
                Setting::Certificate.name(),
                Setting::Certificate.variable()
            ),
        )
    })?;
    match place.file() {
        Some(path) => OwnCertificate::open(path, of_file),
        None => Err(CliError::usage(
            format!("the key has {{cn}} or {{serial}}, and the certificate is in a token: {place}"),
            "write the name or the number into the key in their place, or name a file with the certificate",
        )),
    }
}

fn of_file(path: &Path) -> Result<CertificateFacts, CliError> {
    let certificates = identity::read_certificates(path)?;
    let first = certificates.first().map(Vec::as_slice).unwrap_or_default();
    let certificate = Certificate::from_der(first)
        .map_err(|error| CliError::new(Exit::Key, format!("{}: {error}", path.display()), ""))?;
    Ok(CertificateFacts::of(&certificate))
}

/// The sources of the identity that the settings name, as far as keys need it: an identity that nobody chose among
/// several is no error.
///
/// # Errors
/// As [`push::plan::sources`].
pub fn sources<'a>(
    template: &KeyTemplate,
    matches: &'a clap::ArgMatches,
    identity: Option<&'a str>,
    context: &Context<'a>,
) -> Result<Sources<'a>, CliError> {
    match template.needs_certificate() {
        true => push::plan::sources(matches, identity, context),
        false => Ok(Sources::new(matches, context)),
    }
}

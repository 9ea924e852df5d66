//! Certificates only for keys that are in a genuine TPM.

use std::format;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use super::flags::{Challenge, Issue};
use super::{failure, report};
use crate::backend::attestation;
use crate::backend::file::read_certificates;
use crate::ca::{CertifiedKey, Directory, Proof};
use crate::cli::error::{CliError, Exit};
use crate::cli::{identity, new_file};
use crate::core::time::UnixTime;
use crate::host::attestation::{Document, DocumentError};
use crate::host::files::Access;

/// Challenges the TPM of a request.
pub fn challenge(dir: &Path, flags: &Challenge, now: UnixTime) -> Result<String, CliError> {
    new_file::check(&flags.out)?;
    let request = attestation::Request::read(&flags.request).map_err(document)?;
    let roots = roots(&flags.ek_roots)?;
    let challenge = Directory::open(dir)
        .and_then(|mut directory| directory.challenge(&request, &roots, now, flags.validity))
        .map_err(|error| failure(error, dir))?;
    let text = challenge.to_text().map_err(document)?;
    new_file::write(&flags.out, text.as_bytes(), Access::Everyone)?;
    let until = UnixTime::from_secs(now.as_secs().saturating_add(flags.validity.as_secs()));
    Ok(report::challenged(&flags.out, until))
}

/// Checks the answer to a challenge, if the certificate depends on one.
pub fn prove(
    directory: &Directory,
    dir: &Path,
    flags: &Issue,
    key: &CertifiedKey<'_>,
    now: UnixTime,
) -> Result<Option<Proof>, CliError> {
    let (Some(answer), Some(ek_roots), CertifiedKey::Public(public_key)) =
        (&flags.attested, &flags.ek_roots, key)
    else {
        return Ok(None);
    };
    let answer = attestation::Answer::read(answer).map_err(document)?;
    let proof = directory
        .prove(&answer, &roots(ek_roots)?, public_key, now)
        .map_err(|error| failure(error, dir))?;
    Ok(Some(proof))
}

fn roots(path: &Path) -> Result<Vec<Vec<u8>>, CliError> {
    read_certificates(path).map_err(identity::open_error)
}

fn document(error: DocumentError) -> CliError {
    CliError::new(
        Exit::Usage,
        format!("{error}"),
        "`keystead key attest KEY --request`, `keystead ca challenge` and `keystead key attest KEY --answer` \
         write these files",
    )
}

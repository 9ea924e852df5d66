//! What `keystead ca` says it did, and what to do next.

use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;

use serde_json::{Value, json};

use super::{CliError, Directory, Exit, Files, NewAuthority};
use crate::backend::attestation::Endorsed;
use crate::ca::Record;
use crate::core::time::UnixTime;
use crate::host::pkix::name_text;
use crate::host::serial::Serial;

/// ` --dir DIR`, where that is not the usual one.
pub fn dir_flag(dir: &Path) -> String {
    if dir == Path::new("ca") {
        String::new()
    } else {
        format!(" --dir {}", dir.display())
    }
}

/// After `init`.
pub fn created(dir: &Path, plan: &NewAuthority, written: &[PathBuf]) -> String {
    let mut text = format!(
        "{}: an authority with {} keys, valid until {}\n",
        plan.root, plan.key_type, plan.validity.not_after
    );
    for path in written {
        text += &format!("  {}\n", path.display());
    }
    text += &format!(
        "Next: keystead ca{} issue --subject CN=hub-17 --out hub-17\n",
        dir_flag(dir)
    );
    text
}

/// After `issue`; `intermediates` is what a certificate without its chain needs beside it.
pub fn issued(record: &Record, files: &Files, intermediates: Option<&Path>) -> String {
    let mut text = format!(
        "{}: certificate {}, valid until {}\n",
        record.subject, record.serial, record.not_after
    );
    let chain = files.chain.as_ref();
    let named = [
        (Some(&files.certificate), "the certificate"),
        (chain, "the certificate and those between it and the root"),
        (files.key.as_ref(), "its private key"),
    ];
    for (path, what) in named {
        if let Some(path) = path {
            text += &format!("  {}  {what}\n", path.display());
        }
    }
    let key = match &files.key {
        Some(key) => key.display().to_string(),
        None => String::from("KEY"),
    };
    let beside = match (chain, intermediates) {
        (None, Some(path)) => format!(" --intermediates {}", path.display()),
        _ => String::new(),
    };
    text += &format!(
        "Next: keystead credential-process --certificate {} --key {key}{beside} \\\n    \
         --trust-anchor-arn ARN --profile-arn ARN --role-arn ARN\n",
        chain.unwrap_or(&files.certificate).display(),
    );
    text
}

/// After `challenge`.
pub fn challenged(path: &Path, until: UnixTime) -> String {
    format!(
        "{}: a challenge that only the TPM of the request can answer, until {until}\n\
         Next, where the TPM is: keystead key attest KEY --answer {} --out answer.json\n",
        path.display(),
        path.display()
    )
}

/// Before what was issued for a key in a TPM.
pub fn proven(endorsed: &Endorsed) -> String {
    format!(
        "the key is in the TPM with the endorsement certificate {} by {}\n",
        Serial::new(&endorsed.serial),
        name_text(&endorsed.issuer)
    )
}

/// After `revoke`.
pub fn revoked(dir: &Path, record: &Record) -> String {
    format!(
        "{}: certificate {} is revoked; sessions that it already got live on until they expire\n\
         Next: keystead ca{} crl\n",
        record.subject,
        record.serial,
        dir_flag(dir)
    )
}

/// After `crl`.
pub fn listed(path: &Path, records: &[Record]) -> String {
    let count = records
        .iter()
        .filter(|record| record.revoked.is_some())
        .count();
    format!(
        "{}: a list of {count} revoked certificate{}\n\
         Next: import it: aws rolesanywhere import-crl --enabled --name NAME --trust-anchor-arn ARN \
         --crl-data fileb://{}\n",
        path.display(),
        if count == 1 { "" } else { "s" },
        path.display()
    )
}

/// For `show`.
pub fn table(directory: &Directory, now: UnixTime) -> String {
    let authority = directory.authority();
    let mut text = format!(
        "{}, valid until {}\n",
        authority.subject(),
        authority.validity().not_after
    );
    if directory.records().is_empty() {
        text += "no certificate was issued\n";
        return text;
    }
    text += "\nSERIAL                            STATUS         UNTIL                 SUBJECT\n";
    for record in directory.records() {
        text += &format!(
            "{:32}  {:13}  {:20}  {}\n",
            record.serial.to_string(),
            record.status(now).name(),
            record.not_after.to_string(),
            record.subject
        );
    }
    text
}

/// For `show --json`.
pub fn json(directory: &Directory, now: UnixTime) -> Result<String, CliError> {
    let authority = directory.authority();
    let unwritable = |error: serde_json::Error| {
        CliError::new(Exit::Internal, format!("the list has no JSON: {error}"), "")
    };
    let certificates: Result<Vec<Value>, _> = directory
        .records()
        .iter()
        .map(|record| {
            let mut value = serde_json::to_value(record)?;
            value["status"] = record.status(now).name().into();
            Ok(value)
        })
        .collect();
    let shown = json!({
        "subject": authority.subject().to_string(),
        "notAfter": authority.validity().not_after.to_string(),
        "certificates": certificates.map_err(unwritable)?,
    });
    let text = serde_json::to_string_pretty(&shown).map_err(unwritable)?;
    Ok(text + "\n")
}

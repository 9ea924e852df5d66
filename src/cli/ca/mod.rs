//! `keystead ca`: the development CA on the command line.

mod attest;
mod flags;
mod report;

use std::ffi::OsString;
use std::format;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::string::String;

use clap::{CommandFactory as _, FromArgMatches as _};

use self::flags::{Action, Ca, Destination, Init, Issue, List, Revoke, Show};
use super::context::{self, Context};
use super::error::{CliError, Exit};
use super::{identity, parse};
use crate::backend::file::read_document;
use crate::ca::{
    CertificateRequest, CertifiedKey, Directory, Error, NewAuthority, Subject, Template, Usage,
    Validity,
};
use crate::core::time::UnixTime;
use crate::host::serial::Serial;

/// One line about it.
pub const ABOUT: &str = "Run a certificate authority for development";

/// Runs the command.
///
/// # Errors
/// [`CliError`]; no file has been written then.
pub fn run(arguments: &[OsString], _: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Ca::command()
        .arg(super::flags::error_format())
        // Without a subcommand an error is due, not the help.
        .arg_required_else_help(false);
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let ca = Ca::from_arg_matches(&matches).map_err(|error| parse::usage_error("ca", &error))?;
    let now = context::now()?;
    let report = match &ca.action {
        Action::Init(flags) => init(&ca.dir, flags, now),
        Action::Issue(flags) => issue(&ca.dir, flags, now),
        Action::Challenge(flags) => attest::challenge(&ca.dir, flags, now),
        Action::Revoke(flags) => revoke(&ca.dir, flags, now),
        Action::Crl(flags) => list(&ca.dir, flags, now),
        Action::Show(flags) => show(&ca.dir, flags, now),
    };
    context::print(report?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn init(dir: &Path, flags: &Init, now: UnixTime) -> Result<String, CliError> {
    let intermediate = match &flags.intermediate {
        None => None,
        Some(Some(subject)) => Some(subject.clone()),
        Some(None) => Some(below(&flags.subject)?),
    };
    let plan = NewAuthority {
        root: flags.subject.clone(),
        intermediate,
        key_type: flags.key_type,
        validity: Validity::starting(now, flags.validity),
    };
    let written = Directory::create(dir, &plan).map_err(|error| failure(error, dir))?;
    Ok(report::created(dir, &plan, &written))
}

/// The name of an intermediate that was given none.
fn below(root: &Subject) -> Result<Subject, CliError> {
    format!("{root},OU=Intermediate").parse().map_err(|error| {
        CliError::usage(
            format!("the intermediate needs a name: {error}"),
            "give it one with --intermediate=CN=…",
        )
    })
}

fn issue(dir: &Path, flags: &Issue, now: UnixTime) -> Result<String, CliError> {
    let fail = |error| failure(error, dir);
    let request = flags.csr.as_deref().map(read_request).transpose()?;
    let template = Template {
        usage: Usage::Client,
        subject: subject(flags, request.as_ref())?,
        alternative_names: match &request {
            Some(request) if flags.san.is_empty() => request.alternative_names.clone(),
            _ => flags.san.clone(),
        },
        validity: Validity::starting(now, flags.validity),
    };
    let files = destination(&flags.destination, request.is_some())?;
    let key = match (&request, &files.key) {
        (Some(request), _) => CertifiedKey::Public(&request.public_key),
        (None, Some(path)) => CertifiedKey::New(flags.key_type, path),
        (None, None) => {
            return Err(CliError::usage(
                "there is no file for the new private key",
                "name one with --key FILE, or certify a key that exists with --csr FILE",
            ));
        }
    };
    let mut directory = Directory::open(dir).map_err(fail)?;
    let proof = attest::prove(&directory, dir, flags, &key, now)?;
    let key = proof.as_ref().map_or(key, CertifiedKey::Proven);
    let record = directory
        .issue(&template, key, &files.certificate, files.chain.as_deref())
        .map_err(fail)?;
    let intermediates = directory.intermediate_path();
    let proven = proof.map_or_else(String::new, |proof| report::proven(proof.endorsed()));
    Ok(proven + &report::issued(&record, &files, intermediates.as_deref()))
}

fn read_request(path: &Path) -> Result<CertificateRequest, CliError> {
    let der = read_document(path, "CERTIFICATE REQUEST").map_err(identity::open_error)?;
    CertificateRequest::from_der(&der).map_err(|error| {
        CliError::new(
            Exit::Key,
            format!("{}: {error}", path.display()),
            "`keystead key generate KEY` makes a key, `keystead cert request KEY --subject CN=NAME --out \
             FILE` its request",
        )
    })
}

fn subject(flags: &Issue, request: Option<&CertificateRequest>) -> Result<Subject, CliError> {
    let requested = request.and_then(|request| request.subject.as_ref());
    flags
        .subject
        .as_ref()
        .or(requested)
        .cloned()
        .ok_or_else(|| {
            CliError::usage(
                "the certificate has no subject",
                "give it one, such as --subject CN=hub-17,O=Acme",
            )
        })
}

/// The files that a certificate is written to.
struct Files {
    certificate: PathBuf,
    chain: Option<PathBuf>,
    key: Option<PathBuf>,
}

fn destination(flags: &Destination, has_key: bool) -> Result<Files, CliError> {
    if has_key && flags.key.is_some() {
        return Err(CliError::usage(
            "--key names a file for a new key, but the request brings its own",
            "leave out --key or --csr",
        ));
    }
    Ok(match (&flags.out, &flags.cert) {
        (Some(directory), _) => Files {
            certificate: directory.join("cert.pem"),
            chain: Some(directory.join("chain.pem")),
            key: (!has_key).then(|| directory.join("key.pem")),
        },
        (None, Some(certificate)) => Files {
            certificate: certificate.clone(),
            chain: flags.chain.clone(),
            key: flags.key.clone(),
        },
        (None, None) => {
            return Err(CliError::usage(
                "there is no place for the certificate",
                "name a new directory with --out DIR, or a file with --cert FILE",
            ));
        }
    })
}

fn revoke(dir: &Path, flags: &Revoke, now: UnixTime) -> Result<String, CliError> {
    let fail = |error| failure(error, dir);
    let mut directory = Directory::open(dir).map_err(fail)?;
    let serial = match flags.certificate.parse::<Serial>() {
        Ok(serial) => serial,
        Err(_) => directory
            .serial_in(Path::new(&flags.certificate))
            .map_err(fail)?,
    };
    let record = directory.revoke(&serial, flags.reason, now).map_err(fail)?;
    Ok(report::revoked(dir, &record))
}

fn list(dir: &Path, flags: &List, now: UnixTime) -> Result<String, CliError> {
    let fail = |error| failure(error, dir);
    let mut directory = Directory::open(dir).map_err(fail)?;
    let path = directory
        .write_revocation_list(now, flags.validity)
        .map_err(fail)?;
    Ok(report::listed(&path, directory.records()))
}

fn show(dir: &Path, flags: &Show, now: UnixTime) -> Result<String, CliError> {
    let directory = Directory::open(dir).map_err(|error| failure(error, dir))?;
    if flags.json {
        report::json(&directory, now)
    } else {
        Ok(report::table(&directory, now))
    }
}

/// What failed, and what to do about it.
fn failure(error: Error, dir: &Path) -> CliError {
    if let Error::Open(error) = error {
        return identity::open_error(error);
    }
    let remedy = match &error {
        Error::Attestation(error) => error.remedy().unwrap_or_default(),
        Error::NoAuthority(_) => format!("make one: keystead ca{} init", report::dir_flag(dir)),
        Error::Exists(_) => {
            "nothing is ever overwritten: choose another name, or move it away".into()
        }
        Error::OutlivesAuthority { .. } => "choose a shorter --validity".into(),
        Error::Validity => "choose a longer --validity".into(),
        Error::NotIssued(_) => format!(
            "keystead ca{} show lists what it issued",
            report::dir_flag(dir)
        ),
        _ => String::new(),
    };
    let exit = match error {
        Error::Exists(_)
        | Error::NoAuthority(_)
        | Error::OutlivesAuthority { .. }
        | Error::Validity
        | Error::NotIssued(_)
        | Error::AlreadyRevoked(..) => Exit::Usage,
        Error::OtherAuthority(_)
        | Error::Certificate(_)
        | Error::KeyMismatch
        | Error::NotAnAuthority
        | Error::PublicKey
        | Error::Sign(_)
        | Error::Attestation(_) => Exit::Key,
        _ => Exit::Internal,
    };
    CliError::new(exit, format!("{error}"), remedy)
}

//! `keystead cert import`: a certificate beside the key that it was issued for.

use std::borrow::ToOwned as _;
use std::ffi::OsString;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::backend::chain;
use crate::backend::file::{self, holds_private_key};
#[cfg(feature = "pkcs11")]
use crate::backend::pkcs11::StoreCertificate;
use crate::cli::context::{self, Context};
use crate::cli::error::{CliError, Exit};
use crate::cli::place::Place;
use crate::cli::subject_key::{self, SubjectKey};
#[cfg(feature = "pkcs11")]
use crate::cli::token::{self, place::TokenPlace};
use crate::cli::{flags, identity, new_file};
use crate::core::key::Signer as _;
use crate::core::x509::Certificate;
use crate::host::files::{self, Access};
use crate::host::pkix::pem;
use crate::host::rules;

const NAME: &str = "CERT";

const DETAILS: &str = "\
In a token the certificate gets label and CKA_ID of its key. Beside a key's file it is written, with the \
certificates of CERT that lead up from it, to a file of the same name that ends in .cert.pem, unless --out \
names another one. A TPM keeps no certificates: beside a handle's, --out says where. What is printed is \
where it is.

For example:
    keystead cert import hub-17.key hub-17-issued.pem
    keystead cert import 'pkcs11:token=hsm;object=hub-17' hub-17-issued.pem --pin-source file:/run/pin";

/// Its flags.
pub fn command() -> Command {
    let command = Command::new("import")
        .about("Store a certificate beside its key")
        .after_help(DETAILS)
        .arg(
            subject_key::argument()
                .required(true)
                .help("The key: a file, pkcs11:… or tpm:…"),
        )
        .arg(
            Arg::new(NAME)
                .required(true)
                .value_parser(value_parser!(OsString))
                .help("The certificate's file, alone or with its chain, PEM or DER"),
        )
        .arg(
            Arg::new("replace")
                .long("replace")
                .action(ArgAction::SetTrue)
                .help("Replace another certificate that is there"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write it there, with a key in a file or in a TPM"),
        )
        .arg(subject_key::security_officer());
    subject_key::flags(command)
}

/// Runs the command.
///
/// # Errors
/// [`CliError`]; what was there before is still there then.
pub fn run(matches: &ArgMatches, context: &Context<'_>) -> Result<(), CliError> {
    let key = SubjectKey::new(matches, context)?;
    let path = Path::new(flags::value(matches, NAME).unwrap_or_default());
    let certificates = identity::read_certificates(path)?;
    let replace = matches.get_flag("replace");
    let out = matches.get_one::<PathBuf>("out");
    let named = match &key.place {
        Place::File(key_path) => {
            let out = out.map_or_else(|| beside(key_path), PathBuf::to_owned);
            into_file(&key, &certificates, path, &out, replace, context)?
        }
        #[cfg(feature = "tpm-direct")]
        Place::Tpm(place) => {
            let beside = || place.file().map(beside);
            let out = out.cloned().or_else(beside).ok_or_else(|| {
                CliError::usage(
                    format!("{place}: a TPM keeps keys, and no certificates"),
                    "--out FILE writes it to a file, which --certificate (certificate = … in keystead.toml) \
                     names from then on",
                )
            })?;
            into_file(&key, &certificates, path, &out, replace, context)?
        }
        #[cfg(feature = "pkcs11")]
        Place::Token(_) if out.is_some() => {
            return Err(CliError::usage(
                "--out goes with a key in a file or in a TPM; in a token the certificate is stored beside its key",
                "leave --out out",
            ));
        }
        #[cfg(feature = "pkcs11")]
        Place::Token(place) => into_token(&key, place, &certificates, path, replace, context)?,
    };
    context::print(format!("{named}\n").as_bytes())
}

/// Where a certificate belongs, by its key's file. It never is that file itself.
fn beside(key: &Path) -> PathBuf {
    key.with_extension("cert.pem")
}

fn into_file(
    key: &SubjectKey,
    certificates: &[Vec<u8>],
    path: &Path,
    out: &Path,
    replace: bool,
    context: &Context<'_>,
) -> Result<String, CliError> {
    let named = format!("{}", out.display());
    let signer = key.open(context)?;
    let chain = chain::build(certificates, signer.public_key()).map_err(|error| {
        let remedy = error.remedy().unwrap_or_default();
        CliError::new(Exit::Key, format!("{}: {error}", path.display()), remedy)
    })?;
    warn_of_rules(&chain[0], path, context)?;
    let mut text = String::new();
    for certificate in &chain {
        text += &pem("CERTIFICATE", certificate)
            .map_err(|error| CliError::new(Exit::Internal, error.to_string(), ""))?;
    }
    if out.symlink_metadata().is_err() {
        return new_file::write(out, text.as_bytes(), Access::Everyone).map(|()| named);
    }
    let refuse = |what: &str, remedy: &str| {
        Err(CliError::usage(
            format!("{named} is already there, {what}"),
            remedy,
        ))
    };
    // A file that holds something else was not meant.
    match file::read_certificates(out) {
        _ if holds_private_key(out) => {
            refuse("and holds a private key", "choose another file with --out")
        }
        Err(_) => refuse("and holds no certificate", "choose another file with --out"),
        Ok(there) if there == chain => Ok(named),
        Ok(_) if !replace => refuse(
            "with another certificate",
            "--replace replaces it; --out names another file",
        ),
        Ok(_) => files::replace(out, text.as_bytes())
            .map(|()| named)
            .map_err(new_file::error),
    }
}

#[cfg(feature = "pkcs11")]
fn into_token(
    key: &SubjectKey,
    place: &TokenPlace,
    certificates: &[Vec<u8>],
    path: &Path,
    replace: bool,
    context: &Context<'_>,
) -> Result<String, CliError> {
    let leaf = leaf(certificates);
    warn_of_rules(leaf, path, context)?;
    let request = StoreCertificate {
        key: place.uri.clone(),
        certificate: leaf.to_vec(),
        replace,
        role: key.role(),
    };
    let plan = &key.plan.token;
    let mut operator = plan.operator(&[Some(place)], context.console);
    let uri = plan
        .tokens(&[Some(place)])?
        .store(&request, &mut operator)
        .map_err(|error| token::error(&error))?;
    if certificates.len() > 1 {
        let path = path.display();
        context.console.warn(
            &format!("{path}: only the certificate itself is stored in the token"),
            &format!("--intermediates {path} names the others when credentials are asked for"),
        );
    }
    Ok(format!("{}", key.uri_of(uri)))
}

/// The certificate among others: the first that is no authority's. Whether it is the key's shows when it
/// is stored.
#[cfg(feature = "pkcs11")]
fn leaf(certificates: &[Vec<u8>]) -> &[u8] {
    let is_ca = |der: &&Vec<u8>| {
        let constraints = Certificate::from_der(der)
            .ok()
            .and_then(|one| one.basic_constraints);
        constraints.is_some_and(|constraints| constraints.ca)
    };
    let leaf = certificates.iter().find(|der| !is_ca(der));
    leaf.or(certificates.first()).map_or(&[], Vec::as_slice)
}

/// Says which rules of Roles Anywhere the certificate breaks: better now than when it is used.
fn warn_of_rules(leaf: &[u8], path: &Path, context: &Context<'_>) -> Result<(), CliError> {
    let now = context::now()?;
    if let Ok(certificate) = Certificate::from_der(leaf) {
        for violation in rules::check(&certificate, Some(now)) {
            let what = format!("{}: {violation}", path.display());
            context.console.warn(&what, violation.remedy());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_never_written_over_its_key() {
        for (key, certificate) in [
            ("hub", "hub.cert.pem"),
            ("a/hub.key", "a/hub.cert.pem"),
            ("a/key.pem", "a/key.cert.pem"),
            ("a.b/x.cert.pem", "a.b/x.cert.cert.pem"),
        ] {
            assert_eq!(beside(Path::new(key)), Path::new(certificate));
        }
    }
}

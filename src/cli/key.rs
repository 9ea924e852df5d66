//! `keystead key generate`: a new private key, in a token, in a TPM, or in a file.

use std::ffi::OsString;
use std::format;
use std::path::Path;
use std::process::ExitCode;
use std::string::String;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueEnum, value_parser};

use super::context::{self, Context};
use super::error::{CliError, Exit};
#[cfg(not(feature = "tpm-direct"))]
use super::place;
use super::place::Place;
use super::subject_key::{self, SubjectKey};
#[cfg(feature = "pkcs11")]
use super::token::{self, place::TokenPlace};
#[cfg(feature = "tpm-direct")]
use super::tpm;
use super::{identity, new_file, parse};
use crate::backend::file::{GenerateError, KeyType, PrivateKey};
#[cfg(feature = "pkcs11")]
use crate::backend::pkcs11::{GenerateKey, KeyAlgorithm};
use crate::host::files::Access;

/// One line about it.
pub const ABOUT: &str =
    "Make a private key (key generate), or prove that it is in a TPM (key attest)";

const DETAILS: &str = "\
In a token the key is sensitive and not extractable; object= and id= of the URI become its label and \
CKA_ID. What is printed is the new key's whole URI. A file is new, PKCS#8 in PEM for its owner alone, and \
encrypted if --password-source says with what.

A key of a TPM is either at a persistent handle, or in a new file that only this TPM can read. Its wrong auth \
values do not count towards the TPM's lockout, unless --counts-towards-lockout. What is printed is its whole \
URI, with what its sessions are salted to.

For example:
    keystead key generate 'pkcs11:token=hsm;object=hub-17' --pin-source file:/run/pin
    keystead key generate 'pkcs11:manufacturer=Yubico%20(www.yubico.com);id=%01' \\
        --pkcs11-lib libykcs11.so --so-pin-source file:/run/management-key
    keystead key generate tpm:file=hub-17.tss2 --new-auth hub-17.auth --policy-pcr 7
    keystead key generate tpm:handle=0x81000011 --new-auth hub-17.auth
    keystead key generate hub-17.key";

/// Runs the command.
///
/// # Errors
/// [`CliError`]; there is no new key then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let generate = Command::new("generate")
        .about("Make a private key, in a token, a TPM, or a file")
        .after_help(DETAILS)
        .arg(subject_key::argument())
        .arg(
            Arg::new("type")
                .long("type")
                .value_name("TYPE")
                .value_parser(value_parser!(KeyType))
                .default_value(KeyType::P256.name())
                .help("Kind of the key; tokens and TPMs make EC and RSA keys"),
        )
        .arg(
            Arg::new("allow-duplicate")
                .long("allow-duplicate")
                .action(ArgAction::SetTrue)
                .help("Make it even if label or id are taken (but in no YubiKey, where the old key would \
                       be gone)"),
        )
        .arg(subject_key::security_officer());
    #[cfg(feature = "tpm-direct")]
    let generate = tpm::generate::flags(generate);
    let command = Command::new("key")
        .about(ABOUT)
        .subcommand_required(true)
        .subcommand(subject_key::flags(generate));
    #[cfg(feature = "tpm-direct")]
    let command = command.subcommand(tpm::attest::command());
    #[cfg(not(feature = "tpm-direct"))]
    if arguments.first().is_some_and(|name| name == "attest") {
        return Err(place::without_tpm(
            "`keystead key attest` is for keys of TPMs",
        ));
    }
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    match matches.subcommand() {
        Some(("generate", matches)) => {
            let named = make(matches, context)?;
            context::print(format!("{named}\n").as_bytes())?;
        }
        #[cfg(feature = "tpm-direct")]
        Some(("attest", matches)) => tpm::attest::run(matches, context)?,
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the key, and gives what names it.
fn make(matches: &ArgMatches, context: &Context<'_>) -> Result<String, CliError> {
    let key = SubjectKey::new(matches, context)?;
    let kind = matches.get_one("type").copied().unwrap_or_default();
    #[cfg(feature = "tpm-direct")]
    if !matches!(key.place, Place::Tpm(_)) {
        tpm::generate::refuse_flags(matches)?;
    }
    match &key.place {
        Place::File(path) => {
            in_file(&key, path, kind)?;
            Ok(format!("{}", path.display()))
        }
        #[cfg(feature = "pkcs11")]
        Place::Token(place) => {
            let allow_duplicate = matches.get_flag("allow-duplicate");
            in_token(&key, place, kind, allow_duplicate, context)
        }
        #[cfg(feature = "tpm-direct")]
        Place::Tpm(place) => tpm::generate::run(&key, place, kind, matches, context),
    }
}

fn in_file(key: &SubjectKey, path: &Path, kind: KeyType) -> Result<(), CliError> {
    new_file::check(path)?;
    let password = identity::password(&key.plan, path)
        .map_err(|error| CliError::new(Exit::Pin, format!("{error}"), ""))?;
    if password
        .as_ref()
        .is_some_and(|password| password.expose().is_empty())
    {
        return Err(CliError::new(
            Exit::Pin,
            "the password for the new key is empty",
            "without a password source the key is not encrypted",
        ));
    }
    let failed = |error: GenerateError| {
        let remedy = match error {
            GenerateError::NotBuilt(kind) => format!(
                "`openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:{} -out {}` makes it",
                kind.name().trim_start_matches("rsa-"),
                path.display()
            ),
            _ => String::new(),
        };
        CliError::new(Exit::Key, format!("{error}"), remedy)
    };
    let key = PrivateKey::generate(kind).map_err(failed)?;
    let pem = match password {
        Some(password) => key.to_encrypted_pem(&password),
        None => key.to_pem(),
    };
    let pem = pem.map_err(failed)?;
    new_file::write(path, pem.as_bytes(), Access::Owner)
}

#[cfg(feature = "pkcs11")]
fn in_token(
    key: &SubjectKey,
    place: &TokenPlace,
    kind: KeyType,
    allow_duplicate: bool,
    context: &Context<'_>,
) -> Result<String, CliError> {
    let request = GenerateKey {
        uri: place.uri.clone(),
        algorithm: algorithm(kind)?,
        allow_duplicate,
        role: key.role(),
    };
    let plan = &key.plan.token;
    let mut operator = plan.operator(&[Some(place)], context.console);
    let made = plan
        .tokens(&[Some(place)])?
        .generate(&request, &mut operator)
        .map_err(|error| token::error(&error))?;
    Ok(format!("{}", key.uri_of(made.uri)))
}

#[cfg(feature = "pkcs11")]
fn algorithm(kind: KeyType) -> Result<KeyAlgorithm, CliError> {
    Ok(match kind {
        KeyType::P256 => KeyAlgorithm::P256,
        KeyType::P384 => KeyAlgorithm::P384,
        KeyType::P521 => KeyAlgorithm::P521,
        KeyType::Rsa2048 => KeyAlgorithm::Rsa(2048),
        KeyType::Rsa3072 => KeyAlgorithm::Rsa(3072),
        KeyType::Rsa4096 => KeyAlgorithm::Rsa(4096),
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => {
            return Err(CliError::usage(
                format!("keystead makes no {kind} keys in tokens"),
                "tokens make EC and RSA keys (--type); a file holds ML-DSA keys, too",
            ));
        }
    })
}

impl ValueEnum for KeyType {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let value = PossibleValue::new(self.name());
        // As those say it who speak of curves.
        Some(match self.name().strip_prefix("ec-") {
            Some(curve) => value.alias(curve),
            None => value,
        })
    }
}

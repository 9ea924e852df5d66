//! `keystead sign-string`: signs a fixed text, to see that a key and its password work.

use std::ffi::OsString;
use std::process::ExitCode;
use std::string::String;
use std::vec::Vec;
use std::{eprintln, format};

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};
use ring::digest::{Context as Sha, SHA256};

use super::context::{self, Context};
use super::error::CliError;
use super::identity_plan::IdentityPlan;
use super::sources::Sources;
use super::{flags, identity, parse, place, refusal};
use crate::core::key::{KeyKind, MAX_SIGNATURE_LEN, Scheme, Signer};
use crate::core::text::Hex;
use crate::core::x509::PublicKeyInfo;
use crate::host::config::Setting;

/// One line about it.
pub const ABOUT: &str = "Sign a fixed text, to see that a key works";

const DETAILS: &str = "\
The text is \"AWS Roles Anywhere Credential Helper Signing Test1\", followed by the SHA-256 of \"IAM RA\" \
and the public key (for RSA and EC), as with aws_signing_helper.";

/// What has to be known, beside [`place::SETTINGS`].
const SETTINGS: [Setting; 3] = [Setting::Certificate, Setting::Key, Setting::RequireHardware];

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let choice = |name, values: [&'static str; 3], default, help| {
        Arg::new(name)
            .long(name)
            .value_name(name)
            .value_parser(PossibleValuesParser::new(values))
            .default_value(default)
            .help(help)
    };
    let command = Command::new("sign-string")
        .about(ABOUT)
        .after_help(DETAILS)
        .arg(choice(
            "format",
            ["json", "text", "bin"],
            "json",
            "How the signature is printed: hexadecimal in quotes, hexadecimal, or as it is",
        ))
        .arg(choice(
            "digest",
            ["SHA256", "SHA384", "SHA512"],
            "SHA256",
            "What the text is hashed with; ML-DSA has no choice",
        ));
    let command = flags::common(command, &[&SETTINGS[..], &place::SETTINGS].concat());
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let chosen = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let sources = Sources::new(&matches, context);
    // The file of a certificate may hold its key.
    let required = match sources.get(Setting::Certificate) {
        Some(_) => Setting::Certificate,
        None => Setting::Key,
    };
    let sources = sources.completed(&[required])?;
    sources.require(&[required])?;
    let plan = IdentityPlan::new(&matches, &sources, context)?;
    let mut signer = identity::open_signer(&plan, context)?;
    let text = fixed_text(&*signer);
    if flags::switch(&matches, "debug")? {
        eprintln!("--- text to sign\n{}", text.escape_ascii());
    }
    let scheme = scheme(signer.key(), chosen("digest"));
    let mut signature = [0; MAX_SIGNATURE_LEN];
    let len = signer
        .sign(scheme, &text, &mut signature)
        .map_err(|error| refusal::signature(error, &plan))?;
    let signature = &signature[..len];
    match chosen("format") {
        "bin" => context::print(signature)?,
        "text" => context::print(format!("{}", Hex(signature)).as_bytes())?,
        _ => context::print(format!("\"{}\"", Hex(signature)).as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn fixed_text(signer: &dyn Signer) -> Vec<u8> {
    let mut text = Vec::from(*b"AWS Roles Anywhere Credential Helper Signing Test1");
    let public_key = PublicKeyInfo::from_der(signer.public_key());
    if let (KeyKind::Rsa { .. } | KeyKind::P256 | KeyKind::P384 | KeyKind::P521, Ok(info)) =
        (signer.key(), public_key)
    {
        let mut sha = Sha::new(&SHA256);
        sha.update(b"IAM RA");
        sha.update(info.key);
        text.extend_from_slice(sha.finish().as_ref());
    }
    text
}

fn scheme(key: KeyKind, digest: &str) -> Scheme {
    match (key, digest) {
        (KeyKind::Rsa { .. }, "SHA384") => Scheme::RsaPkcs1Sha384,
        (KeyKind::Rsa { .. }, "SHA512") => Scheme::RsaPkcs1Sha512,
        (KeyKind::P256 | KeyKind::P384 | KeyKind::P521, "SHA384") => Scheme::EcdsaSha384,
        (KeyKind::P256 | KeyKind::P384 | KeyKind::P521, "SHA512") => Scheme::EcdsaSha512,
        _ => key.roles_anywhere_scheme(),
    }
}

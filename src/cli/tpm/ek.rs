//! `keystead tpm ek`: the endorsement key, and whether a maker of TPMs vouches for it.

use core::fmt::Write as _;
use std::format;
use std::path::PathBuf;
use std::string::{String, ToString as _};

use clap::{Arg, ArgMatches, Command, value_parser};

use super::error;
use crate::backend::attestation::verify_endorsement;
use crate::backend::tpm::{EkTemplate, EndorsementKey, endorsement_key};
use crate::cli::context::{self, Context};
use crate::cli::error::{CliError, Exit};
use crate::cli::identity;
use crate::cli::identity_plan::IdentityPlan;
use crate::cli::place::Place;
use crate::cli::sources::Sources;
use crate::core::text::{Hex, Printable};
use crate::core::x509::Certificate;
use crate::host::pkix::name_text;
use crate::host::serial::Serial;

const KIND: &str = "ek";
const ROOTS: &str = "ek-roots";

/// The endorsement keys, by what is different about them for people.
const KINDS: [(&str, EkTemplate); 8] = [
    ("ec-p256", EkTemplate::L2),
    ("rsa-2048", EkTemplate::L1),
    ("ec-p256-high", EkTemplate::H2),
    ("rsa-2048-high", EkTemplate::H1),
    ("ec-p384", EkTemplate::H3),
    ("ec-p521", EkTemplate::H4),
    ("rsa-3072", EkTemplate::H6),
    ("rsa-4096", EkTemplate::H7),
];

/// Persistent handles (TPM 2.0 Part 2, section 7.5); others are hierarchies.
const PERSISTENT: u32 = 0x8100_0000;

const DETAILS: &str = "\
With --ek-roots the key is proven to be in a TPM of one of these makers. Then salt-handle and salt-name are \
printed, which a key's URI takes: its sessions are salted to the endorsement key, so that nobody between here \
and the TPM learns its auth value, or can guess it offline.

For example:
    keystead tpm ek --ek-roots makers.pem";

/// The flag that chooses one of the endorsement keys.
pub fn kind_argument() -> Arg {
    Arg::new(KIND)
        .long(KIND)
        .value_name("KIND")
        .value_parser(KINDS.map(|(name, _)| name))
        .help("This endorsement key [default: the first that has a certificate, EC before RSA]")
}

/// What it says.
pub fn kind(matches: &ArgMatches) -> Option<EkTemplate> {
    let kind = matches.get_one::<String>(KIND)?;
    let mut kinds = KINDS.iter();
    kinds
        .find(|(name, _)| name == kind)
        .map(|(_, template)| *template)
}

/// Its flags, without the common ones.
pub fn command() -> Command {
    Command::new("ek")
        .about("Show the endorsement key, and whether a maker of TPMs vouches for it")
        .after_help(DETAILS)
        .arg(kind_argument())
        .arg(
            Arg::new(ROOTS)
                .long(ROOTS)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The certificates of makers of TPMs, and those between them and their TPMs'"),
        )
}

/// What the command prints.
///
/// # Errors
/// [`CliError`], also if the key is not proven to be a TPM's.
pub fn text(matches: &ArgMatches, context: &Context<'_>) -> Result<String, CliError> {
    let sources = Sources::new(matches, context).completed(&[])?;
    let plan = IdentityPlan::new(matches, &sources, context)?;
    let place = match &plan.key {
        Some(Place::Tpm(place)) => Some(&**place),
        _ => None,
    };
    let roots = matches.get_one::<PathBuf>(ROOTS);
    let roots = roots
        .map(|path| identity::read_certificates(path).map(|roots| (path, roots)))
        .transpose()?;
    let mut operator = plan.tpm.operator(place);
    let mut device = plan.tpm.device(place, context)?;
    let ek = endorsement_key(&mut *device, kind(matches), &mut operator)
        .map_err(|failed| error(&failed))?;
    let mut text = String::new();
    line(
        &mut text,
        "endorsement",
        &format!("{}, {}", ek.template, place_of(&ek)),
    );
    line(&mut text, "name", &Hex(&ek.name).to_string());
    let certificate = ek.certificate.as_deref().unwrap_or_default();
    match Certificate::from_der(certificate) {
        _ if ek.certificate.is_none() => line(&mut text, "certificate", "none in the TPM"),
        Ok(shown) => {
            let serial = Serial::new(shown.serial);
            let until = shown.not_after;
            line(
                &mut text,
                "certificate",
                &format!(
                    "of {}, serial {serial}, until {until}",
                    name_text(shown.issuer)
                ),
            );
        }
        Err(error) => line(&mut text, "certificate", &error.to_string()),
    }
    let Some((path, roots)) = roots else {
        line(
            &mut text,
            "proven",
            "no: --ek-roots FILE names the makers that are trusted",
        );
        return Ok(text);
    };
    prove(&ek, &roots)?;
    line(
        &mut text,
        "proven",
        &format!("to be in a TPM, by {}", path.display()),
    );
    let salt = if ek.handle >= PERSISTENT {
        format!(
            "salt-handle={:#010x};salt-name={}",
            ek.handle,
            Hex(&ek.name)
        )
    } else {
        "sessions are salted only to one at a persistent handle, where `tpm2_createek -G ecc -c 0x81010016` \
         puts it"
            .into()
    };
    line(&mut text, "salt", &salt);
    Ok(text)
}

fn prove(ek: &EndorsementKey, roots: &[std::vec::Vec<u8>]) -> Result<(), CliError> {
    let Some(certificate) = &ek.certificate else {
        return Err(CliError::new(
            Exit::Key,
            format!(
                "the endorsement key {} has no certificate in the TPM",
                ek.template
            ),
            "some makers give it out on their web site; --ek names another endorsement key",
        ));
    };
    verify_endorsement(
        certificate,
        &ek.chain,
        roots,
        &ek.public_key,
        context::now()?,
    )
    .map(|_| ())
    .map_err(|error| {
        let remedy = error.remedy().unwrap_or_default();
        let what = format!("the endorsement key {}: {error}", ek.template);
        CliError::new(Exit::Key, what, remedy)
    })
}

fn place_of(ek: &EndorsementKey) -> String {
    if ek.handle >= PERSISTENT {
        format!("at {:#010x}", ek.handle)
    } else {
        "at no persistent handle".into()
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing into a string does not fail.
    let _ = writeln!(text, "{name:<12} {}", Printable(value));
}

//! `keystead cert show`: what a certificate says, and whether Roles Anywhere takes it.

use core::fmt::Write as _;
use std::borrow::ToOwned as _;
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::Path;
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{format, vec};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Value, json};

use crate::backend::file;
use crate::cli::context::{self, Context};
use crate::cli::error::{CliError, Exit};
use crate::cli::identity_plan::IdentityPlan;
use crate::cli::place::{self, Place};
use crate::cli::sources::{Found, Sources};
#[cfg(feature = "pkcs11")]
use crate::cli::token;
use crate::cli::{flags, identity};
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::host::config::Setting;
use crate::host::pkix::Description;

const NAME: &str = "CERT";

/// What stands for standard input.
const STDIN: &str = "-";

/// The most that is read from there: as from a file.
const MAX_LEN: u64 = 1 << 20;

/// Its flags.
pub fn command() -> Command {
    let command = Command::new("show")
        .about("Show what a certificate says, and which rules of Roles Anywhere it breaks")
        .arg(
            Arg::new(NAME)
                .value_parser(value_parser!(OsString))
                .help("A file of certificates, pkcs11:…, or - for standard input [default: that of --identity]"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("As JSON"),
        );
    flags::common(command, &place::SETTINGS)
}

/// A certificate, and where it is in a token.
struct Shown {
    der: Vec<u8>,
    uri: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed then.
pub fn run(matches: &ArgMatches, context: &Context<'_>) -> Result<(), CliError> {
    let given = flags::value(matches, NAME).map(|value| Found::argument(NAME, value.to_owned()));
    let required = [Setting::Certificate];
    let required = if given.is_some() { &[] } else { &required[..] };
    let sources = Sources::new(matches, context).completed(required)?;
    let plan = IdentityPlan::new(matches, &sources, context)?;
    let Some(found) = given.or_else(|| sources.get(Setting::Certificate)) else {
        return Err(CliError::usage(
            "no certificate is named",
            "name its file or its pkcs11: URI as CERT, or an identity of keystead.toml with --identity",
        ));
    };
    let place = Place::certificate(&found, plan.strict, context)?;
    let all = match &place {
        Place::File(path) => files(read(path)?),
        #[cfg(feature = "pkcs11")]
        Place::Token(token) => token::identity::certificates(&plan, token, context)?
            .into_iter()
            .map(|found| Shown {
                der: found.der,
                uri: Some(found.uri.to_string()),
            })
            .collect(),
        #[cfg(feature = "tpm-direct")]
        Place::Tpm(_) => return Err(place.no_certificate()),
    };
    let now = context::now()?;
    let text = if matches.get_flag("json") {
        let all = all.iter().map(|shown| describe_json(shown, now, &place));
        let all = all.collect::<Result<Vec<Value>, _>>()?;
        format!("{:#}\n", json!({ "certificates": all }))
    } else {
        text(&all, now, &place)?
    };
    context::print(text.as_bytes())
}

fn files(certificates: Vec<Vec<u8>>) -> Vec<Shown> {
    let shown = |der| Shown { der, uri: None };
    certificates.into_iter().map(shown).collect()
}

fn read(path: &Path) -> Result<Vec<Vec<u8>>, CliError> {
    if path != Path::new(STDIN) {
        return identity::read_certificates(path);
    }
    let name = Path::new("standard input");
    let mut contents = vec![];
    io::stdin()
        .lock()
        .take(MAX_LEN + 1)
        .read_to_end(&mut contents)
        .map_err(|error| {
            CliError::new(Exit::Internal, format!("{}: {error}", name.display()), "")
        })?;
    file::parse_certificates(&contents, name).map_err(identity::open_error)
}

fn certificate<'a>(shown: &'a Shown, place: &Place) -> Result<Certificate<'a>, CliError> {
    Certificate::from_der(&shown.der)
        .map_err(|error| CliError::new(Exit::Key, format!("{place}: {error}"), ""))
}

fn describe_json(shown: &Shown, now: UnixTime, place: &Place) -> Result<Value, CliError> {
    let certificate = certificate(shown, place)?;
    let mut described = Description::new(&certificate, now).to_json();
    if let Some(uri) = &shown.uri {
        described["uri"] = uri.as_str().into();
    }
    Ok(described)
}

fn text(all: &[Shown], now: UnixTime, place: &Place) -> Result<String, CliError> {
    let mut text = String::new();
    for shown in all {
        let certificate = certificate(shown, place)?;
        let description = Description::new(&certificate, now);
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing into a string does not fail.
        if let Some(uri) = &shown.uri {
            let _ = writeln!(text, "{:<13} {uri}", "URI");
        }
        text += &description.to_string();
        // An authority beside a certificate is not what is presented to Roles Anywhere.
        if description.is_ca() && all.len() > 1 {
            continue;
        }
        for violation in description.violations() {
            let _ = writeln!(text, "{:<13} {violation}", "BROKEN RULE");
            let _ = writeln!(text, "{:<13}   {}", "", violation.remedy());
        }
        if description.violations().is_empty() {
            let _ = writeln!(text, "{:<13} all of Roles Anywhere's are kept", "rules");
        }
    }
    Ok(text)
}

//! `keystead token list`: slots, tokens, keys and certificates.

mod report;

use std::borrow::ToOwned as _;
use std::ffi::OsString;
use std::format;
use std::process::ExitCode;
use std::string::String;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::context::{self, Context};
use super::error::CliError;
use super::identity_plan::IdentityPlan;
use super::place::{self, Place};
use super::sources::{Found, Sources};
use super::{flags, parse, token};
use crate::backend::pkcs11::{Inventory, Uri};
use crate::core::text::Printable;

/// One line about it.
pub const ABOUT: &str = "Show PKCS#11 tokens, their keys and certificates (token list)";

const NAME: &str = "URI";

const DETAILS: &str = "\
Without a source of the PIN only what tokens show without a login is listed. With one, exactly one token has \
to be meant: its PIN is tried on no other.

For example:
    keystead token list
    keystead token list pkcs11:token=hsm --pin-source file:/run/pin --json";

/// Runs the command.
///
/// # Errors
/// [`CliError`], if the module cannot be used at all; nothing has been printed then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let list = Command::new("list")
        .about("Show slots, tokens, keys, certificates, mechanisms, and the state of PINs")
        .after_help(DETAILS)
        .arg(
            Arg::new(NAME)
                .value_parser(value_parser!(OsString))
                .help("Show only what this pkcs11: URI means [default: everything]"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("As JSON"),
        );
    let command = Command::new("token")
        .about(ABOUT)
        .subcommand_required(true)
        .subcommand(flags::common(list, &place::SETTINGS));
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    if let Some(("list", matches)) = matches.subcommand() {
        let text = list_tokens(matches, context)?;
        context::print(text.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list_tokens(matches: &ArgMatches, context: &Context<'_>) -> Result<String, CliError> {
    let sources = Sources::new(matches, context).completed(&[])?;
    let plan = IdentityPlan::new(matches, &sources, context)?;
    let given = flags::value(matches, NAME).map(|value| Found::argument(NAME, value.to_owned()));
    let place = match given {
        None => None,
        Some(found) => match Place::new(&found, plan.strict, context)? {
            Place::Token(place) => Some(place),
            _ => return Err(found.invalid("this is no pkcs11: URI")),
        },
    };
    let place = place.as_deref();
    let uri = place.map_or_else(Uri::default, |place| place.uri.clone());
    let module = &plan.token.module_of(place);
    let has_pin = plan.token.pin.is_some() || place.is_some_and(|place| place.pin.is_some());

    let mut tokens = plan.token.tokens(&[place])?;
    let mut operator = plan.token.operator(&[place], context.console);
    let mut inventory = |login| {
        let found = tokens.inventory(&uri, login, &mut operator);
        found.map_err(|error| token::error(&error))
    };
    let mut found = inventory(false)?;
    let mut is_logged_in = false;
    if has_pin {
        match token_count(&found) {
            0 => {}
            1 => {
                found = inventory(true)?;
                is_logged_in = true;
            }
            several => context.console.warn(
                &format!("{several} tokens are meant: the PIN is tried on none of them"),
                "name one of them: keystead token list pkcs11:serial=…",
            ),
        }
    }
    for slot in &found.slots {
        if let Some(problem) = &slot.problem {
            let what = format!("slot {}: {}", slot.id, Printable(problem));
            context.console.warn(&what, "");
        }
    }
    Ok(if matches.get_flag("json") {
        format!("{:#}\n", report::json(&found, module, is_logged_in))
    } else {
        report::text(&found, module, is_logged_in)
    })
}

/// How many tokens there are that could be logged in to.
fn token_count(inventory: &Inventory) -> usize {
    let slots = inventory.slots.iter();
    slots.filter(|slot| slot.initialized).count()
}

//! `keystead config check`: what each setting resolves to, and where it comes from.

#[cfg(feature = "push")]
mod uploads;

use core::fmt::Write as _;
use std::ffi::OsString;
use std::process::ExitCode;
use std::string::String;
use std::vec::Vec;
use std::{env, format, vec};

use clap::Command;

use super::context::{self, Context};
use super::error::CliError;
use super::identity_plan::IdentityPlan;
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
use super::place::Place;
use super::plan::{Plan, REQUIRED};
#[cfg(feature = "http-server")]
use super::settings::Settings;
#[cfg(feature = "http-server")]
use super::sources::Origin;
use super::sources::Sources;
use super::{flags, parse};
use crate::core::create_session;
use crate::core::text::Printable;
use crate::host::config::Setting;
use crate::host::document;
#[cfg(feature = "http-server")]
use crate::host::section::SectionSetting;
use crate::host::serve_config::ServeSetting;

/// One line about it.
pub const ABOUT: &str =
    "Show what each setting resolves to, and where it comes from (config check)";

/// The variables that are no settings of an identity.
const GENERAL_VARIABLES: [&str; 3] = [
    "KEYSTEAD_CONFIG",
    "KEYSTEAD_IDENTITY",
    "KEYSTEAD_ERROR_FORMAT",
];

/// The variables of commands that this program is without begin so.
const LEFT_TO_OTHERS: &[&str] = if cfg!(feature = "push") {
    &[]
} else {
    &["KEYSTEAD_PUSH_", "KEYSTEAD_SPOOL_"]
};

/// Runs `config check`.
///
/// # Errors
/// [`CliError`] if an identity cannot be used; what could be resolved is printed all the same.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let check = Command::new("check").about("Show what each setting resolves to");
    let command = Command::new("config")
        .about(ABOUT)
        .subcommand_required(true)
        .subcommand(flags::common(check, &Setting::ALL));
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let Some(("check", matches)) = matches.subcommand() else {
        return Ok(ExitCode::SUCCESS);
    };
    warn_of_unknown_variables(context);
    let all = Sources::new(matches, context).for_each_identity()?;
    let mut text = String::new();
    let mut problems = vec![];
    for sources in &all {
        if !text.is_empty() {
            text.push('\n');
        }
        text += &settings(sources);
        match Plan::new(matches, sources, context) {
            Ok(plan) => {
                text += &derived(&plan);
                text += &of_token(&plan.identity);
                text += &of_tpm(&plan.identity, context);
            }
            Err(error) => {
                // Writing into a string does not fail.
                let _ = writeln!(text, "\n  PROBLEM: {}", error.what);
                problems.push(error);
            }
        }
    }
    #[cfg(feature = "serve")]
    {
        text += &of_serve(&Settings::new(matches, context)?);
    }
    #[cfg(feature = "push")]
    let problem = uploads::shown(matches, context, &mut text)?;
    #[cfg(not(feature = "push"))]
    let problem = None;
    context::print(text.as_bytes())?;
    match (problems.pop(), problems.len()) {
        (None, _) => problem.map_or(Ok(ExitCode::SUCCESS), Err),
        (Some(only), 0) => Err(only),
        (Some(_), more) => Err(CliError::usage(
            format!("{} of {} identities cannot be used", more + 1, all.len()),
            "each PROBLEM stands below its identity",
        )),
    }
}

/// Commands ignore variables that are none of theirs; here a mistyped one shows.
fn warn_of_unknown_variables(context: &Context<'_>) {
    let mut known: Vec<String> = GENERAL_VARIABLES.map(String::from).into();
    known.extend(Setting::ALL.map(Setting::variable));
    known.extend(ServeSetting::ALL.map(ServeSetting::variable));
    #[cfg(feature = "push")]
    known.extend(uploads::variables());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if !name.starts_with("KEYSTEAD_")
            || known.iter().any(|known| *known == name)
            || LEFT_TO_OTHERS.iter().any(|start| name.starts_with(start))
        {
            continue;
        }
        let nearest = document::nearest(&name, known.iter().map(String::as_str));
        let remedy = nearest.map(|nearest| format!("did you mean {nearest}?"));
        context.console.warn(
            &format!("the variable {} means nothing", Printable(&name)),
            remedy.as_deref().unwrap_or_default(),
        );
    }
}

fn settings(sources: &Sources<'_>) -> String {
    let mut rows = vec![];
    for setting in Setting::ALL {
        if let Some(found) = sources.get(setting) {
            rows.push((setting.name(), found.shown(), format!("{}", found.origin)));
        } else if REQUIRED.contains(&setting) {
            let variable = setting.variable();
            let origin = format!("give --{} or {variable}", setting.name());
            rows.push((setting.name(), String::from("MISSING"), origin));
        }
    }
    let heading = match sources.configuration() {
        Some((path, identity)) => {
            format!("identity {} of {}", identity.name(), path.display())
        }
        None => String::from("no keystead.toml with an identity was found"),
    };
    table(&heading, rows)
}

/// What `keystead serve` opens, if anybody says anything about that.
#[cfg(feature = "serve")]
fn of_serve(settings: &Settings<'_>) -> String {
    // Elsewhere identities are those of every command.
    let rows = rows(settings, |setting: ServeSetting, origin| {
        setting != ServeSetting::Identities || matches!(origin, Origin::File { .. })
    });
    match rows.is_empty() {
        true => String::new(),
        false => format!("\n{}", table("keystead serve", rows)),
    }
}

#[cfg(feature = "http-server")]
fn rows<S: SectionSetting>(
    settings: &Settings<'_>,
    counts: impl Fn(S, &Origin) -> bool,
) -> Vec<(&'static str, String, String)> {
    let found = S::SETTINGS.iter().filter_map(|&setting| {
        let given = settings.get(setting)?;
        counts(setting, &given.origin)
            .then(|| (setting.key(), given.shown(), format!("{}", given.origin)))
    });
    found.collect()
}

fn table(heading: &str, rows: Vec<(&str, String, String)>) -> String {
    let mut text = format!("{heading}\n\n");
    let width = rows.iter().map(|(_, value, _)| value.chars().count()).max();
    // Longer values stand out, rather than pushing every origin out of sight.
    let width = width.unwrap_or_default().min(40);
    for (name, value, origin) in rows {
        // Writing into a string does not fail.
        let _ = writeln!(text, "  {name:22}  {value:width$}  {origin}");
    }
    text
}

/// What follows from the settings.
fn derived(plan: &Plan) -> String {
    let session = &plan.session;
    let proxy = match &plan.network.transport.proxy {
        Some(_) => "yes",
        None => "none",
    };
    format!(
        "\n  requests go to          {}\n  signed for the region   {}\n  credentials live for    {} s\n  proxy                   {proxy}\n  \
         credentials are kept    {}\n",
        session.endpoint.url(create_session::PATH),
        session.region,
        session.duration,
        plan.cache.shown(),
    )
}

/// How the token is reached, if there is one.
#[cfg(feature = "pkcs11")]
fn of_token(plan: &IdentityPlan) -> String {
    let token = |place: &Option<Place>| match place {
        Some(Place::Token(place)) => Some(place.clone()),
        _ => None,
    };
    let places = [token(&plan.key), token(&plan.certificate)];
    let mut places = places.iter().flatten().map(AsRef::as_ref).peekable();
    let Some(first) = places.peek() else {
        return String::new();
    };
    let module = plan.token.module_of(Some(first));
    let module = module.display();
    let pin = match places.find_map(|place| place.pin.as_ref()) {
        Some(pin) => format!("{pin}"),
        None => match &plan.token.pin {
            Some(pin) => format!("{pin}"),
            None => String::from("asked for on the terminal"),
        },
    };
    format!("  PKCS#11 module          {module}\n  PIN                     {pin}\n")
}

#[cfg(not(feature = "pkcs11"))]
fn of_token(_: &IdentityPlan) -> String {
    String::new()
}

/// How the TPM is reached, if the key is in one.
#[cfg(feature = "tpm-direct")]
fn of_tpm(plan: &IdentityPlan, context: &Context<'_>) -> String {
    let Some(Place::Tpm(place)) = &plan.key else {
        return String::new();
    };
    let tcti = match plan.tpm.tcti(Some(place), context.environment) {
        Ok(tcti) => format!("{}", Printable(&tcti)),
        Err(error) => error.what,
    };
    let auth = match plan.tpm.auths(Some(place)).key {
        Some(source) => format!("{source}"),
        None => String::from("none, or asked for on the terminal"),
    };
    format!("  TPM                     {tcti}\n  auth value              {auth}\n")
}

#[cfg(not(feature = "tpm-direct"))]
fn of_tpm(_: &IdentityPlan, _: &Context<'_>) -> String {
    String::new()
}

//! What `config check` shows of `keystead push` and `keystead spool`.

use std::format;
use std::string::String;
use std::vec::Vec;

use clap::ArgMatches;

use super::{rows, table};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::push::attributes::AttributesPlan;
use crate::cli::push::plan::{self, CredentialsPlan, UploadPlan};
use crate::cli::push::target::Target;
use crate::cli::settings::Settings;
use crate::cli::sources::Origin;
use crate::cli::spool::place::SpoolPlan;
use crate::host::push_config::{PushSetting, SpoolSetting};
use crate::host::section::SectionSetting as _;

/// The variables of their settings.
pub fn variables() -> impl Iterator<Item = String> {
    let push = PushSetting::ALL.map(PushSetting::variable_name);
    push.into_iter()
        .chain(SpoolSetting::ALL.map(SpoolSetting::variable_name))
}

/// Adds what `keystead push` and `keystead spool` do, if anybody says anything about that. What is wrong with it is
/// returned, too.
///
/// # Errors
/// [`CliError`] if the file cannot be read.
pub fn shown(
    matches: &ArgMatches,
    context: &Context<'_>,
    text: &mut String,
) -> Result<Option<CliError>, CliError> {
    let settings = Settings::with_file(matches, context)?;
    let push = rows(&settings, |setting: PushSetting, origin| {
        setting != PushSetting::Identity || matches!(origin, Origin::File { .. })
    });
    let spool = rows(&settings, |_: SpoolSetting, _| true);
    let mut problem = None;
    let mut add = |heading, rows: Vec<_>, derived: Result<String, CliError>| {
        if rows.is_empty() {
            return;
        }
        *text += &format!("\n{}", table(heading, rows));
        match derived {
            Ok(derived) => *text += &derived,
            Err(error) => {
                *text += &format!("\n  PROBLEM: {}\n", error.what);
                problem = Some(error);
            }
        }
    };
    add("keystead push", push, derived(&settings, matches, context));
    let dir = SpoolPlan::new(&settings, context.environment)
        .map(|plan| format!("\n  the spool is in         {}\n", plan.dir.display()));
    add("keystead spool", spool, dir);
    Ok(problem)
}

/// What follows from `[push]`.
fn derived(
    settings: &Settings<'_>,
    matches: &ArgMatches,
    context: &Context<'_>,
) -> Result<String, CliError> {
    AttributesPlan::new(settings)?;
    let bucket = match settings.get(PushSetting::To) {
        Some(_) => Target::of_settings(settings)?.bucket,
        None => String::from("any that is named"),
    };
    let identity = plan::identity(settings)?;
    let sources = plan::sources(matches, identity.as_deref(), context)?;
    let plan = UploadPlan::new(settings, matches, &sources, context)?;
    let place = &plan.place.place;
    let server = place.endpoint.as_ref();
    Ok(format!(
        "\n  the bucket              {bucket}\n  in the region           {}\n  at                      {}\n  with \
         credentials of     {}\n",
        place.region,
        server.map_or(String::from("AWS"), |endpoint| endpoint.url("")),
        match plan.credentials {
            CredentialsPlan::Identity => "the identity",
            CredentialsPlan::Environment => "the environment",
        }
    ))
}

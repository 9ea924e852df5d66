//! `keystead push`, and what it shares with `keystead spool`.

pub mod attributes;
pub mod certificate;
mod display;
pub mod environment;
mod failure;
pub mod flags;
pub mod inputs;
mod jobs;
pub mod moment;
pub mod place;
pub mod plan;
mod run;
mod sessions;
mod stream;
mod tally;
pub mod target;
pub mod transfer;
mod trying;

use core::time::Duration;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};

use self::attributes::AttributesPlan;
use self::display::{Display, Mode};
use self::inputs::Inputs;
use self::jobs::Jobs;
use self::plan::UploadPlan;
use self::run::Push;
use super::context::Context;
use super::error::CliError;
use super::parse;
use super::plan::positive;
use super::settings::Settings;
use crate::host::config::Setting;
use crate::host::push_config::PushSetting;

/// One line about it.
pub const ABOUT: &str = "Upload files, folders or standard input to S3";

const DETAILS: &str = "\
    keystead push report.json s3://sensor-logs/sensors/
    keystead push --recursive /var/log/sensors 's3://sensor-logs/{hostname}/{date:%Y/%m/%d}/'
    tar cz data | keystead push - s3://sensor-logs/data.tar.gz

A / at the end of the destination goes on with the file's name. --timeout is how long the \
command tries where nothing gets through [default: 1m]; how long an upload takes does not count. What has to be there whatever \
happens belongs into the spool: `keystead spool add`.

The flags under Destination, Object and Transfer can also be set as variables (--part-size: \
KEYSTEAD_PUSH_PART_SIZE) or as keys of [push] in keystead.toml.";

const RECURSIVE: &str = "recursive";
const FOLLOW: &str = "follow-symlinks";
const JSON: &str = "json";
const NO_PROGRESS: &str = "no-progress";

/// How long it is tried where nothing gets through, unless somebody says so.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command.
///
/// # Errors
/// [`CliError`] if something cannot be uploaded; everything else is.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Command::new("push").about(ABOUT).after_help(DETAILS);
    let command = super::flags::signing(command, &Setting::ALL);
    let command = inputs::add(flags::add(command, &PushSetting::ALL)).args(own_flags());
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let inputs = Inputs::new(&matches)?;
    let settings = Settings::with_file(&matches, context)?;
    let target = inputs.target(&matches, &settings)?;
    let identity = plan::identity(&settings)?;
    let sources = plan::sources(&matches, identity.as_deref(), context)?;
    let plan = UploadPlan::new(&settings, &matches, &sources, context)?;
    let way = plan.way(&target.bucket, &sources, context)?;
    let attributes = AttributesPlan::new(&settings)?;
    let display = Display::new(
        Mode::new(
            matches.get_flag(JSON),
            matches.get_flag(NO_PROGRESS),
            context,
        ),
        context.console,
    );
    let walk = jobs::Walk {
        recursive: matches.get_flag(RECURSIVE),
        follow: matches.get_flag(FOLLOW),
    };
    let template = match walk.recursive {
        true => target.template.into_prefix(),
        false => target.template,
    };
    let clock = moment::clock(&sources, context);
    let facts = moment::facts(&template, &sources, &clock, context)?;
    let jobs = Jobs::find(&inputs.inputs, walk, &template, &facts, &display)?;
    let patience = sources.parsed(Setting::Timeout, positive)?;
    let push = Push {
        jobs,
        way,
        attributes,
        transfer: plan.transfer.clone(),
        clock,
        patience: patience.unwrap_or(PATIENCE),
        display,
    };
    let debug = super::flags::switch(&matches, "debug")?;
    let sessions = sessions::open(plan, debug, context)?;
    push.run(&*sessions)
}

fn own_flags() -> [Arg; 4] {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    [
        switch(RECURSIVE, "Upload folders with everything in them").help_heading("Destination"),
        switch(
            FOLLOW,
            "Go where symbolic links in folders lead, instead of leaving them out",
        )
        .help_heading("Destination"),
        switch(JSON, "Print one JSON object for each event").help_heading("Output"),
        switch(NO_PROGRESS, "Show no progress").help_heading("Output"),
    ]
}

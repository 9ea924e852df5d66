//! `keystead spool status`: how the spool is, whether it is being delivered or not.

use std::format;
use std::process::ExitCode;
use std::string::{String, ToString as _};

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::failure;
use super::place::SpoolPlan;
use super::report::Report;
use crate::cli::context::{self, Context};
use crate::cli::error::{CliError, Exit};
use crate::cli::settings::Settings;
use crate::cli::{flags, place, push};
use crate::core::text::JsonString;
use crate::host::clock::system_time;
use crate::host::push_config::SpoolSetting;
use crate::host::spool::{Aside, Spool};

/// The name of the command.
pub const NAME: &str = "status";

const ABOUT: &str = "Say how the spool is: what waits, how fast, and what went wrong last";

const DETAILS: &str = "\
    keystead spool status
    keystead spool status --aside
    keystead spool status --json

While `keystead spool run` is running it is asked; else the spool itself is looked at, with what the last one left.";

const JSON: &str = "json";
const ASIDE: &str = "aside";

/// The command.
pub fn command() -> Command {
    let switch = |name, help| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
            .help_heading("Output")
    };
    let command = Command::new(NAME).about(ABOUT).after_help(DETAILS);
    let command = flags::signing(command, &[]);
    push::flags::add_spool(command, &SpoolSetting::OF_FOLDER)
        .arg(switch(JSON, "Print JSON"))
        .arg(switch(
            ASIDE,
            "List the entries that are set aside, each with its reason",
        ))
}

/// Runs the command.
///
/// # Errors
/// [`CliError`] if there is no spool, or it cannot be looked at.
pub fn run(matches: &ArgMatches, context: &Context<'_>) -> Result<ExitCode, CliError> {
    let settings = Settings::with_file(matches, context)?;
    let plan = SpoolPlan::new(&settings, context.environment)?;
    let json = matches.get_flag(JSON);
    if matches.get_flag(ASIDE) {
        let aside = plan.open_existing()?.aside();
        let aside = aside.map_err(|error| failure::of(&error, ""))?;
        let lines = aside.iter().map(match json {
            true => of_aside_json,
            false => of_aside,
        });
        context::print(lines.collect::<String>().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = report(&plan)?;
    let text = match json {
        true => report.json() + "\n",
        false => report.text(system_time()),
    };
    context::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn report(plan: &SpoolPlan) -> Result<Report, CliError> {
    let asked = Report::ask(&plan.dir).map_err(|error| {
        CliError::new(
            Exit::Internal,
            format!(
                "{} is being delivered, but `keystead spool run` cannot be asked: {error}",
                plan.dir.display()
            ),
            "run this as its user, or in the group that the spool belongs to",
        )
    })?;
    if let Some(report) = asked {
        return Ok(report);
    }
    let spool: Spool = plan.open_existing()?;
    Report::of_idle(&spool, system_time()).map_err(|error| failure::of(&error, ""))
}

/// One that is set aside, in two lines.
pub fn of_aside(aside: &Aside) -> String {
    let name = match &aside.head {
        Some(head) => format!(
            "s3://{}/{}",
            place::shown(&head.bucket),
            place::shown(&head.key)
        ),
        None => "(damaged)".into(),
    };
    let why = match &aside.reason {
        Some(reason) => format!(
            "{}, {}: {}",
            reason.at,
            place::shown(&reason.code),
            place::shown(&reason.what)
        ),
        None => "nobody has written down why".into(),
    };
    format!("{}  {name}\n  {why}\n", aside.id)
}

fn of_aside_json(aside: &Aside) -> String {
    let text = |text: Option<&str>| match text {
        Some(text) => JsonString(text).to_string(),
        None => "null".into(),
    };
    let head = aside.head.as_ref();
    let reason = aside.reason.as_ref();
    let number = |number: Option<u64>| number.map_or("null".into(), |number| format!("{number}"));
    format!(
        "{{\"id\":\"{}\",\"bucket\":{},\"key\":{},\"bytes\":{},\"code\":{},\"reason\":{},\"at\":{}}}\n",
        aside.id,
        text(head.map(|head| head.bucket.as_str())),
        text(head.map(|head| head.key.as_str())),
        number(head.map(|head| head.digests.length)),
        text(reason.map(|reason| reason.code.as_str())),
        text(reason.map(|reason| reason.what.as_str())),
        number(reason.map(|reason| reason.at.as_secs())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::UnixTime;
    use crate::host::s3::{Attributes, Digests};
    use crate::host::spool::{EntryId, Head, Reason};

    /// Whoever may add can write what they like into the spool.
    #[test]
    fn nothing_steers_the_terminal() {
        let time = UnixTime::from_secs(0);
        let head = Head {
            bucket: "b\u{1b}[2J".into(),
            key: "k\r".into(),
            attributes: Attributes::default(),
            digests: Digests::of(b""),
            accepted: time,
            sequence: 1,
            after: None,
        };
        let reason = Reason {
            code: "c\u{7}".into(),
            what: "w\u{9b}".into(),
            at: time,
        };
        let text = of_aside(&Aside {
            id: EntryId([0; 16]),
            head: Some(head),
            reason: Some(reason),
        });
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(steers), "{text:?}");
        assert_eq!(text.lines().count(), 2);
    }
}

//! `keystead spool add`: what is named is on disk when the command returns.

use std::boxed::Box;
use std::format;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::string::String;
use std::vec::Vec;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::failure;
use super::place::SpoolPlan;
use super::records;
use crate::cli::context::{self, Context};
use crate::cli::error::{CliError, Exit};
use crate::cli::flags;
use crate::cli::place;
use crate::cli::push::attributes::AttributesPlan;
use crate::cli::push::inputs::{self, Input, Inputs};
use crate::cli::push::moment;
use crate::cli::push::plan;
use crate::cli::push::target::OwnFacts;
use crate::cli::push::target::Target;
use crate::cli::settings::Settings;
use crate::core::text::{Base64Text, Hex, JsonString};
use crate::host::config::Setting;
use crate::host::push_config::{PushSetting, SpoolSetting};
use crate::host::spool::{Added, EntryWriter, Naming, Spool, SpoolError};

/// The name of the command.
pub const NAME: &str = "add";

const ABOUT: &str =
    "Accept files or standard input: they are synced to disk, and their keys decided";

const DETAILS: &str = "\
    keystead spool add report.json
    sensors-read | keystead spool add - --name readings.csv
    sensors-follow | keystead spool add --records --compress gzip

Prints the entry's id and where it will be. When that is printed, the data is on the disk, and `keystead spool \
run` delivers it. Neither network nor private key is needed for this. The same content under the same key is one \
entry, however often it is added.";

const JSON: &str = "json";

/// Entries that wait for the disk together. Each is an open file until then.
const TOGETHER: usize = 64;

/// How much is read at once.
const PIECE: usize = 128 * 1024;

/// The command.
pub fn command() -> Command {
    let command = Command::new(NAME).about(ABOUT).after_help(DETAILS);
    let command = flags::signing(command, &[Setting::Certificate, Setting::StateDir]);
    let command = crate::cli::push::flags::add(command, &[PushSetting::To]);
    let command = crate::cli::push::flags::add(command, &PushSetting::OF_OBJECT);
    let command = crate::cli::push::flags::add_spool(command, &SpoolSetting::OF_FOLDER);
    let command = records::add(command);
    let command = crate::cli::push::flags::add_spool(command, &SpoolSetting::OF_RECORDS);
    inputs::add(command).arg(
        Arg::new(JSON)
            .long(JSON)
            .action(ArgAction::SetTrue)
            .help("Print one JSON object for each entry")
            .help_heading("Output"),
    )
}

/// Runs the command.
///
/// # Errors
/// [`CliError`] of the first input that was not accepted. The others are tried all the same.
pub fn run(matches: &ArgMatches, context: &Context<'_>) -> Result<ExitCode, CliError> {
    if matches.get_flag(records::RECORDS) {
        return records::run(matches, context);
    }
    let inputs = Inputs::new(matches)?;
    let settings = Settings::with_file(matches, context)?;
    let target = inputs.target(matches, &settings)?;
    check_keys(&target, &inputs)?;
    let identity = plan::identity(&settings)?;
    let sources = moment::sources(&target.template, matches, identity.as_deref(), context)?;
    let adding = Adding {
        attributes: AttributesPlan::new(&settings)?,
        facts: moment::facts(
            &target.template,
            &sources,
            &moment::clock(&sources, context),
            context,
        )?,
        spool: SpoolPlan::new(&settings, context.environment)?.open()?,
        target,
        json: matches.get_flag(JSON),
    };
    adding.all(&inputs.inputs, context)
}

/// Several files under one key would overwrite one another.
fn check_keys(target: &Target, inputs: &Inputs) -> Result<(), CliError> {
    match inputs.inputs.len() {
        2.. if !target.template.tells_names_apart() => Err(CliError::usage(
            "there are several files, and all of them would have the same key",
            "put {name} into the key, or a / at its end",
        )),
        _ => Ok(()),
    }
}

struct Adding {
    spool: Spool,
    target: Target,
    attributes: AttributesPlan,
    facts: OwnFacts,
    json: bool,
}

/// An input that was read, and what it will be.
struct Ready<'a> {
    input: &'a Input,
    naming: Naming,
}

impl Adding {
    fn all(&self, inputs: &[Input], context: &Context<'_>) -> Result<ExitCode, CliError> {
        let mut failed = None;
        for together in inputs.chunks(TOGETHER) {
            let mut batch = self.spool.batch();
            let mut ready = Vec::new();
            for input in together {
                let added = self.read(input).and_then(|(writer, naming)| {
                    batch
                        .add(writer, naming.clone())
                        .map_err(|error| failure::of(&error, &input.shown()))?;
                    Ok(Ready { input, naming })
                });
                match added {
                    Ok(one) => ready.push(one),
                    Err(error) => report(error, &mut failed, context),
                }
            }
            match batch.commit() {
                Ok(added) => self.print(&ready, &added)?,
                Err(error) => {
                    let names: Vec<String> = ready.iter().map(|one| one.input.shown()).collect();
                    report(failure::of(&error, &names.join(", ")), &mut failed, context);
                }
            }
        }
        match failed {
            None => Ok(ExitCode::SUCCESS),
            Some(exit) => Ok(exit.into()),
        }
    }

    fn read(&self, input: &Input) -> Result<(EntryWriter, Naming), CliError> {
        let mut length = None;
        let mut content: Box<dyn Read> = match input {
            Input::Path(path) => {
                let file = open(path).map_err(|error| input.unreadable(&error))?;
                let metadata = file.metadata().ok();
                length = metadata.filter(Metadata::is_file).map(|file| file.len());
                Box::new(file)
            }
            Input::Stdin(_) => Box::new(io::stdin().lock()),
        };
        let name = input.name();
        let key = self
            .facts
            .key(&self.target.template, &name, input.shown())?;
        let naming = Naming {
            bucket: self.target.bucket.clone(),
            attributes: self.attributes.of(&key, &name),
            key,
        };
        let mut writer = self.spool.writer();
        let expected = match length {
            Some(length) => writer.expect(length, &naming),
            None => Ok(()),
        };
        expected
            .and_then(|()| copy(&mut *content, &mut writer))
            .map_err(|error| failure::of(&error, &input.shown()))?;
        Ok((writer, naming))
    }

    fn print(&self, ready: &[Ready<'_>], added: &[Added]) -> Result<(), CliError> {
        let mut text = String::new();
        for (one, added) in ready.iter().zip(added) {
            text += &match self.json {
                true => json(one, added),
                false => plain(one, added),
            };
        }
        context::print(text.as_bytes())
    }
}

fn plain(one: &Ready<'_>, added: &Added) -> String {
    let Naming { bucket, key, .. } = &one.naming;
    let known = if added.is_new { "" } else { "  (was there)" };
    let (bucket, key) = (place::shown(bucket), place::shown(key));
    format!("{}  s3://{bucket}/{key}{known}\n", added.id)
}

fn json(one: &Ready<'_>, added: &Added) -> String {
    let Naming { bucket, key, .. } = &one.naming;
    let source = match one.input {
        Input::Path(path) => path.to_string_lossy(),
        Input::Stdin(_) => "-".into(),
    };
    format!(
        "{{\"id\":\"{}\",\"bucket\":{},\"key\":{},\"source\":{},\"bytes\":{},\"sha256\":\"{}\",\"crc64nvme\":\"{}\",\"new\":{}}}\n",
        added.id,
        JsonString(bucket),
        JsonString(key),
        JsonString(&source),
        added.digests.length,
        Hex(&added.digests.sha256),
        Base64Text(&added.digests.crc64nvme.to_be_bytes()),
        added.is_new,
    )
}

/// What went wrong with one of several is said at once.
fn report(error: CliError, failed: &mut Option<Exit>, context: &Context<'_>) {
    failed.get_or_insert(error.exit);
    context.console.report(&error);
}

/// Opens what a person has named: a file by whatever way leads there, or a pipe.
fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(io::Error::other("this is a folder; name the files in it"));
    }
    if kind.is_block_device() {
        return Err(io::Error::other("this is a block device"));
    }
    Ok(file)
}

fn copy(from: &mut dyn Read, to: &mut EntryWriter) -> Result<(), SpoolError> {
    let mut piece = std::vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => to.append(&piece[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SpoolError::Source(error)),
        }
    }
}

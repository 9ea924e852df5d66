//! `FILE… [s3://BUCKET/KEY]`: what is uploaded, and where to.

use std::ffi::OsString;
use std::format;
use std::io;
use std::path::PathBuf;
use std::string::String;
use std::vec;
use std::vec::Vec;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::target::Target;
use crate::cli::error::{CliError, Exit};
use crate::cli::flags;
use crate::cli::place;
use crate::cli::settings::Settings;
use crate::host::key_template::SourceName;
use crate::host::push_config::PushSetting;
use crate::host::section::SectionSetting as _;

const FILES: &str = "file";
const NAME: &str = "name";

/// What stands for standard input.
const STDIN: &str = "-";

/// The command with its arguments.
pub fn add(command: Command) -> Command {
    command
        .arg(
            Arg::new(FILES)
                .num_args(0..)
                .value_name("FILE")
                .value_parser(value_parser!(OsString))
                .help("What to upload, - for standard input; last s3://BUCKET/KEY, if --to does not name it"),
        )
        .arg(
            Arg::new(NAME)
                .long(NAME)
                .value_name("NAME")
                .value_parser(value_parser!(OsString))
                .help("What standard input is called in {name} and {path}")
                .help_heading("Destination"),
        )
}

/// One of the things to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A file, or a folder.
    Path(PathBuf),
    /// Standard input.
    Stdin(SourceName),
}

impl Input {
    /// What people call it.
    pub fn shown(&self) -> String {
        match self {
            Self::Path(path) => place::shown(&path.to_string_lossy()),
            Self::Stdin(_) => String::from("standard input"),
        }
    }

    /// What it is called in keys.
    pub fn name(&self) -> SourceName {
        match self {
            Self::Path(path) => SourceName::of_file(path),
            Self::Stdin(name) => name.clone(),
        }
    }

    /// The error for one that cannot be read.
    pub fn unreadable(&self, error: &io::Error) -> CliError {
        let what = format!("{}: {error}", self.shown());
        CliError::new(Exit::Internal, what, "")
    }
}

/// All of them.
#[derive(Debug)]
pub struct Inputs {
    /// What is uploaded, in the order of the command line.
    pub inputs: Vec<Input>,
    target: Option<Target>,
}

impl Inputs {
    /// Reads the arguments.
    ///
    /// # Errors
    /// [`CliError`], a usage error.
    pub fn new(matches: &ArgMatches) -> Result<Self, CliError> {
        let words = matches.get_many::<OsString>(FILES).unwrap_or_default();
        let mut words: Vec<OsString> = words.cloned().collect();
        let target = words
            .pop_if(|last| last.to_str().is_some_and(Target::is_meant_by))
            .map(|text| read(&text))
            .transpose()?;
        let name = flags::value(matches, NAME);
        let source = name.map(SourceName::given).unwrap_or_default();
        let mut inputs = Vec::new();
        for word in words {
            if word.to_str().is_some_and(Target::is_meant_by) {
                return Err(CliError::usage(
                    format!(
                        "`{}` is not the last argument",
                        place::shown(&word.to_string_lossy())
                    ),
                    "files come first, then one destination; nothing is fetched from S3",
                ));
            }
            let input = match word == STDIN {
                true => Input::Stdin(source.clone()),
                false => Input::Path(word.into()),
            };
            if matches!(input, Input::Stdin(_)) && inputs.contains(&input) {
                return Err(CliError::usage("standard input is given twice", ""));
            }
            inputs.push(input);
        }
        if inputs.is_empty() {
            return Err(CliError::usage(
                "there is nothing to upload",
                "name files, or - for standard input",
            ));
        }
        let has_stdin = inputs.iter().any(|input| matches!(input, Input::Stdin(_)));
        if name.is_some() && !has_stdin {
            return Err(CliError::usage(
                "--name is what standard input is called, and standard input is not uploaded",
                "files are called what they are; - stands for standard input",
            ));
        }
        Ok(Self { inputs, target })
    }

    /// Where to, for what comes from standard input without being named.
    ///
    /// # Errors
    /// [`CliError`] if other inputs are named, or no destination.
    pub fn target_alone(matches: &ArgMatches, settings: &Settings<'_>) -> Result<Target, CliError> {
        let words = matches.get_many::<OsString>(FILES).unwrap_or_default();
        let mut words: Vec<OsString> = words.cloned().collect();
        let is_target = |word: &mut OsString| word.to_str().is_some_and(Target::is_meant_by);
        let target = words
            .pop_if(is_target)
            .map(|text| read(&text))
            .transpose()?;
        if let Some(word) = words.iter().find(|word| *word != STDIN) {
            return Err(CliError::usage(
                format!(
                    "`{}`: records come from standard input",
                    place::shown(&word.to_string_lossy())
                ),
                "redirect the file: keystead spool add --records <FILE",
            ));
        }
        let inputs = vec![];
        Self { inputs, target }.target(matches, settings)
    }

    /// Where to: what the arguments or the settings say.
    ///
    /// # Errors
    /// [`CliError`] if nobody says it, or both a flag and the last argument do.
    pub fn target(
        &self,
        matches: &ArgMatches,
        settings: &Settings<'_>,
    ) -> Result<Target, CliError> {
        let Some(target) = &self.target else {
            return Target::of_settings(settings);
        };
        match flags::value(matches, PushSetting::To.flag_name()) {
            None => Ok(target.clone()),
            Some(_) => Err(CliError::usage(
                "there are two destinations: --to, and the last argument",
                "leave one of them out",
            )),
        }
    }
}

fn read(text: &OsString) -> Result<Target, CliError> {
    let shown = place::shown(&text.to_string_lossy());
    let target = Target::parse(text.to_str().unwrap_or_default());
    target.map_err(|error| CliError::usage(format!("`{shown}`: {error}"), ""))
}

//! `keystead spool add --records`: records from standard input become batches.

use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::{thread, vec};

use clap::{Arg, ArgAction, ArgMatches, Command};
use rustix::event::{PollFd, PollFlags, Timespec};

use super::failure;
use super::intake::{Namer, RecordsPlan};
use super::place::SpoolPlan;
use crate::cli::context::{self, Console, Context};
use crate::cli::error::{CliError, Exit};
use crate::cli::push::attributes::AttributesPlan;
use crate::cli::push::inputs::Inputs;
use crate::cli::push::{moment, plan};
use crate::cli::settings::Settings;
use crate::host::push_config::PushSetting;
use crate::host::spool::record::{Intake, Observer, RecordError, Recorder};
use crate::host::spool::{Added, Bell};

/// The flag that asks for it.
pub const RECORDS: &str = "records";

const WAIT: &str = "wait";

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

/// So much waits for the same sync at most.
const GROUP: usize = 1024 * 1024;

/// More bad lines are counted, and not shown.
const MOST_SHOWN: u64 = 20;

/// The command with the flags that are only for records.
pub fn add(command: Command) -> Command {
    let flag = |name, help| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
            .help_heading("Records")
    };
    command
        .arg(flag(
            RECORDS,
            "Read newline-delimited JSON from standard input, and collect it into objects; what is on disk is \
             answered on standard output",
        ))
        .arg(flag(WAIT, "Wait for room when the spool is full").requires(RECORDS))
}

/// Runs the command.
///
/// # Errors
/// [`CliError`] if records were refused, or could not be accepted.
pub fn run(matches: &ArgMatches, context: &Context<'_>) -> Result<ExitCode, CliError> {
    let settings = Settings::with_file(matches, context)?;
    let target = Inputs::target_alone(matches, &settings)?;
    let identity = plan::identity(&settings)?;
    let sources = moment::sources(&target.template, matches, identity.as_deref(), context)?;
    let clock = moment::clock(&sources, context);
    let facts = moment::facts(&target.template, &sources, &clock, context)?;
    let spool = SpoolPlan::new(&settings, context.environment)?;
    let mut records = RecordsPlan::new(&settings, spool.options.max_bytes)?;
    records.options.is_patient = matches.get_flag(WAIT);
    records.options.clock = Some(clock.clone());
    let has_type = settings.get(PushSetting::ContentType).is_some();
    let namer = Namer::new(target, AttributesPlan::new(&settings)?, facts, has_type)?;
    let spool = spool.open()?;
    let is_patient = records.options.is_patient;
    let group_commit = records.options.group_commit;
    // There is one stream: it is waited for where it is read.
    records.options.group_commit = Duration::ZERO;
    let recorder = Recorder::new(
        spool,
        Box::new(move |name, begun| namer.of_batch(name, begun)),
        records.options,
        Box::new(Log(context.console)),
    );
    recorder
        .recover()
        .map_err(|error| failure::of(&error, ""))?;
    let bell = Bell::new().map_err(|error| refused(&error))?;
    let mut stream = Stream {
        intake: Intake::new(recorder.clone(), records.longest),
        is_patient,
        group_commit,
        bad: 0,
        console: context.console,
        has_listener: true,
    };
    let read = thread::scope(|scope| {
        let clock = thread::Builder::new().name("batches".into());
        clock
            .spawn_scoped(scope, || recorder.keep_time(&bell))
            .map_err(|error| refused(&error))?;
        let read = stream.read(&bell);
        bell.ring();
        read
    });
    let closed = recorder.close().map_err(|error| of_record(&error));
    let settled = stream.intake.settled();
    read.and(closed).map_err(|error| CliError {
        what: format!(
            "{} ({} lines settled, {} records accepted)",
            error.what, settled.lines, settled.accepted
        ),
        ..error
    })?;
    match settled.refused {
        0 => Ok(ExitCode::SUCCESS),
        refused => Err(CliError::usage(
            format!(
                "{refused} of {} lines are no records and were refused; {} records were accepted",
                settled.lines, settled.accepted
            ),
            "each line has to be one JSON value in UTF-8",
        )),
    }
}

struct Stream {
    intake: Intake,
    is_patient: bool,
    group_commit: Duration,
    bad: u64,
    console: Console,
    has_listener: bool,
}

impl Stream {
    fn read(&mut self, bell: &Bell) -> Result<(), CliError> {
        let mut stdin = io::stdin().lock();
        let mut piece = vec![0; PIECE];
        loop {
            let read = match stdin.read(&mut piece) {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let what = format!("standard input cannot be read: {error}");
                    return Err(CliError::new(Exit::Internal, what, ""));
                }
            };
            let bytes = piece.get(..read).filter(|bytes| !bytes.is_empty());
            self.feed(bytes);
            let is_end = bytes.is_none();
            // More of what is there already, or comes at once, shares the sync.
            if !is_end && self.intake.pending() < GROUP && self.has_more(&stdin) {
                continue;
            }
            self.settle(bell)?;
            self.answer();
            if is_end {
                return Ok(());
            }
        }
    }

    fn feed(&mut self, bytes: Option<&[u8]>) {
        let (bad, console) = (&mut self.bad, self.console);
        self.intake.feed(bytes, &mut |line, why| {
            *bad += 1;
            if *bad <= MOST_SHOWN {
                console.warn(&format!("line {line} is refused: {why}"), "");
            } else if *bad == MOST_SHOWN + 1 {
                console.warn("further lines are refused, and not shown", "");
            }
        });
    }

    fn has_more(&self, stdin: &io::StdinLock<'_>) -> bool {
        if self.group_commit.is_zero() {
            return false;
        }
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: self.group_commit.subsec_nanos().into(),
        };
        let mut all = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        rustix::event::poll(&mut all, Some(&timeout)).is_ok_and(|ready| ready > 0)
    }

    fn settle(&mut self, bell: &Bell) -> Result<(), CliError> {
        if self.is_patient {
            let console = self.console;
            self.intake.settle_patiently(bell, &mut |error| {
                console.warn(&format!("records have to wait: {error}"), error.remedy);
            });
            return Ok(());
        }
        self.intake.settle().map_err(|error| of_record(&error))
    }

    /// Says how much is on disk. Somebody who does not want to know that has closed standard output.
    fn answer(&mut self) {
        let answers = self.intake.answers();
        if self.has_listener && !answers.is_empty() {
            self.has_listener = context::print(answers).is_ok();
        }
        self.intake.answers().clear();
    }
}

struct Log(Console);

impl Observer for Log {
    fn added(&self, _added: &Added, _records: u64) {}

    fn failed(&self, error: &RecordError) {
        let what = format!("a batch of records waits on disk for becoming an entry: {error}");
        self.0.warn(&what, error.remedy);
    }

    fn damaged(&self, error: &RecordError) {
        self.0.warn(&error.what, error.remedy);
    }
}

fn of_record(error: &RecordError) -> CliError {
    let exit = match error.is_full {
        true => Exit::Full,
        false => Exit::Internal,
    };
    CliError::new(exit, error.what.clone(), error.remedy)
}

fn refused(error: &io::Error) -> CliError {
    CliError::new(Exit::Internal, format!("the system refuses: {error}"), "")
}

//! What processes do with a spool, and say of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use hsm_tests::power::Note;
use keystead::core::time::UnixTime;
use keystead::host::spool::{EntryId, Reason, Selection, Spool, SpoolError};

use crate::audit::options;
use crate::load;

/// One thing that is done to a spool.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Adds the key of that number, with so many bytes.
    Add(usize, usize),
    /// Adds four small ones together, from that number on.
    Batch(usize),
    Deliver(usize, usize),
    SetAside(usize, usize),
    Retry,
    /// Removes everything that was set aside; only that key is.
    Discard(usize, usize),
}

/// Does it, and tells what can be relied on: after it was accepted, and before it is removed.
pub fn work(folder: &Path, steps: &[Step], mut tell: impl FnMut(Note)) -> Result<(), SpoolError> {
    let spool = Spool::open(folder, options())?;
    for step in steps {
        match *step {
            Step::Add(number, length) => {
                let key = load::key(number, length);
                spool.add(&mut &load::content(&key)[..], load::naming(&key))?;
                tell(Note::Accepted(key));
            }
            Step::Batch(first) => {
                let keys: Vec<_> = (first..first + 4)
                    .map(|number| load::key(number, 50))
                    .collect();
                let mut batch = spool.batch();
                for key in &keys {
                    let mut writer = spool.writer();
                    writer.append(&load::content(key))?;
                    batch.add(writer, load::naming(key))?;
                }
                batch.commit()?;
                keys.into_iter().map(Note::Accepted).for_each(&mut tell);
            }
            Step::Deliver(number, length) => {
                let key = load::key(number, length);
                tell(Note::Delivered(key.clone()));
                spool.remove(id(&key))?;
            }
            Step::SetAside(number, length) => {
                let reason = Reason {
                    code: "KeyTooLongError".into(),
                    what: "your key is too long".into(),
                    at: UnixTime::from_secs(1_700_000_000),
                };
                spool.set_aside(id(&load::key(number, length)), &reason)?;
            }
            Step::Retry => {
                spool.retry(&Selection::All)?;
            }
            Step::Discard(number, length) => {
                tell(Note::Delivered(load::key(number, length)));
                spool.discard(&Selection::All)?;
            }
        }
    }
    Ok(())
}

fn id(key: &str) -> EntryId {
    use sha2::{Digest as _, Sha256};
    EntryId::of(
        load::BUCKET,
        key,
        &Sha256::digest(&*load::content(key)).into(),
    )
}

/// The same in a process that says on standard output what it would tell.
pub fn work_aloud(folder: &Path, steps: &[Step]) {
    let done = work(folder, steps, |note| {
        let (word, key) = match note {
            Note::Accepted(key) => ("accepted", key),
            Note::Delivered(key) => ("delivered", key),
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nsays {word} {key}")
            .and_then(|()| out.flush())
            .expect("somebody reads");
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}

/// Runs such a process to its end, whatever that is, and hears it. Whether it succeeded.
pub fn listen(command: &mut Command, mut hear: impl FnMut(Note)) -> bool {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the test can be started again");
    let out = child.stdout.take().expect("standard output is a pipe");
    for line in BufReader::new(out).lines() {
        let line = line.expect("the process writes text");
        match line
            .strip_prefix("says ")
            .and_then(|said| said.split_once(' '))
        {
            Some(("accepted", key)) => hear(Note::Accepted(key.into())),
            Some(("delivered", key)) => hear(Note::Delivered(key.into())),
            _ => {}
        }
    }
    child.wait().expect("it is our child").success()
}

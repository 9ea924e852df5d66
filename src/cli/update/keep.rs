//! Keeps what is in the file in step with what a refresher has: new credentials go in, and none stay that
//! have expired.

use core::time::Duration;
use std::borrow::ToOwned as _;
use std::format;
use std::string::{String, ToString as _};
use std::sync::Arc;

use crate::cli::context::Console;
use crate::core::time::UnixTime;
use crate::host::refresh::LAST;
use crate::host::session::Credentials;
use crate::output::credentials_file::{CredentialsFile, FileError, Written};

/// The delays after which a file that could not be written is tried again.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// How often it is looked whether the credentials still live: clocks can be set, and machines sleep. A
/// refresher gives none for the last seconds of their life: so none stay here that have expired.
const GLANCE: Duration = LAST;

/// Who keeps a profile in step.
pub struct Keeper {
    file: CredentialsFile,
    console: Console,
    /// What is in the file.
    written: Option<Arc<Credentials>>,
    /// Whether people were told that the profile is there, and have not been told otherwise.
    is_told: bool,
    warned_of_others: bool,
    /// Why the file could not be changed, if it could not be.
    failure: Option<String>,
    failures: u32,
}

impl Keeper {
    /// The keeper of a profile, in which there may be anything.
    pub fn new(file: CredentialsFile, console: Console) -> Self {
        Self {
            file,
            console,
            written: None,
            is_told: false,
            warned_of_others: false,
            failure: None,
            failures: 0,
        }
    }

    /// Brings the file up to `live`, the credentials that live; gives the time after which to come again at
    /// the latest.
    pub fn step(&mut self, live: Option<Arc<Credentials>>, now: UnixTime) -> Duration {
        let outcome = match live {
            Some(live) => self.write(live),
            None => self.clear(now),
        };
        match outcome {
            Ok(()) => {
                self.failures = 0;
                self.failure = None;
                GLANCE
            }
            Err(error) => {
                self.fail(&error);
                let doublings = 2u32.saturating_pow(self.failures.saturating_sub(1));
                SHORTEST.saturating_mul(doublings).min(LONGEST)
            }
        }
    }

    /// Whether there are credentials in the file.
    pub fn has_written(&self) -> bool {
        self.written.is_some()
    }

    /// Removes the credentials from the file.
    pub fn leave(&mut self) {
        if let Some(written) = self.written.take()
            && let Err(error) = self.file.remove(&written.access_key_id)
        {
            self.fail(&error);
        }
    }

    fn write(&mut self, live: Arc<Credentials>) -> Result<(), FileError> {
        let is_there = |written: &Arc<_>| Arc::ptr_eq(written, &live);
        if self.written.as_ref().is_some_and(is_there) {
            return Ok(());
        }
        let written = self.file.write(&live)?;
        self.warn_of_others(written);
        if !self.is_told || self.failure.is_some() {
            self.is_told = true;
            self.console.note(&format!(
                "{}: credentials until {}",
                self.place(),
                live.expiration
            ));
        }
        self.written = Some(live);
        Ok(())
    }

    /// Removes what has expired: this process's, or that of an earlier one.
    fn clear(&mut self, now: UnixTime) -> Result<(), FileError> {
        let removed = match &self.written {
            Some(written) => self.file.remove(&written.access_key_id)?,
            None if self.is_told => return Ok(()),
            None => self.file.remove_expired(now)?,
        };
        self.written = None;
        if removed.changed {
            self.is_told = false;
            self.console.warn(
                &format!("{}: expired credentials were removed", self.place()),
                "programs find none there until there are new ones",
            );
        }
        Ok(())
    }

    fn fail(&mut self, error: &FileError) {
        self.failures += 1;
        let text = error.to_string();
        if self.failure.as_ref() != Some(&text) {
            self.console.warn(&text, error.remedy());
        }
        self.failure = Some(text);
    }

    fn warn_of_others(&mut self, written: Written) {
        if !self.warned_of_others {
            super::warn_of_others(&self.file, written, self.console);
        }
        self.warned_of_others = written.open_to_others;
    }

    fn place(&self) -> String {
        let path = self.file.path().display();
        format!("profile {} in {path}", self.file.profile()).to_owned()
    }
}

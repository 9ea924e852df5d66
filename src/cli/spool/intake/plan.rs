//! What is taken over while `spool run` runs: one typed value, everything checked.

use core::time::Duration;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;
use std::{format, fs};

use crate::cli::error::CliError;
use crate::cli::settings::Settings;
use crate::host::push_config::SpoolSetting;
use crate::host::spool::record::{self, Compression, LARGEST_RECORD, Limits, USUAL_RECORD};
use crate::host::spool::watch;
use crate::host::{duration, size};

/// So long a sync is put off for others to share it.
const GROUP_COMMIT: Duration = Duration::from_millis(10);

/// How records become objects.
#[derive(Debug, Clone)]
pub struct RecordsPlan {
    /// How they are collected.
    pub options: record::Options,
    /// How long one may be.
    pub longest: usize,
}

impl RecordsPlan {
    /// Checks what the settings say, for a spool that takes so many bytes at most.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(settings: &Settings<'_>, quota: Option<u64>) -> Result<Self, CliError> {
        let usual = Limits::default();
        let given = settings.parsed(SpoolSetting::BatchSize, at_least_one)?;
        // A batch is there twice while it becomes an entry.
        let most = quota.map_or(u64::MAX, |quota| (quota / 4).max(1));
        if let Some(bytes) = given
            && bytes > most
        {
            return Err(CliError::usage(
                format!(
                    "batch-size: batches of {bytes} bytes are more than a quarter of the spool's quota"
                ),
                "give a smaller --batch-size, or a larger --max-size",
            ));
        }
        let limits = Limits {
            bytes: given.unwrap_or(usual.bytes.min(most)),
            records: settings
                .parsed(SpoolSetting::BatchRecords, |text| match text.parse() {
                    Ok(number @ 1..) => Ok(number),
                    _ => Err("the number of records is 1 or more"),
                })?
                .unwrap_or(usual.records),
            age: settings
                .parsed(SpoolSetting::BatchAge, at_least_a_second)?
                .unwrap_or(usual.age),
        };
        let longest = settings.parsed(SpoolSetting::RecordMaxSize, |text| {
            longest_record(at_least_one(text)?, most)
        })?;
        let groups = settings.switch(SpoolSetting::GroupCommit)?;
        Ok(Self {
            options: record::Options {
                limits,
                compression: settings
                    .parsed(SpoolSetting::Compress, str::parse::<Compression>)?
                    .unwrap_or_default(),
                group_commit: if groups { GROUP_COMMIT } else { Duration::ZERO },
                is_patient: false,
                clock: None,
            },
            longest: longest.unwrap_or_else(|| within(USUAL_RECORD, most)),
        })
    }
}

/// What is taken over.
#[derive(Debug, Clone)]
pub struct IntakePlan {
    /// Folders whose files are taken.
    pub watched: Vec<PathBuf>,
    /// How they are watched.
    pub watch: watch::Options,
    /// Where records come in by.
    pub socket: Option<PathBuf>,
    /// How they are collected.
    pub records: RecordsPlan,
}

impl IntakePlan {
    /// Checks what the settings say, for a spool that takes so many bytes at most.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(settings: &Settings<'_>, quota: Option<u64>) -> Result<Self, CliError> {
        let usual = watch::Options::default();
        let mut records = RecordsPlan::new(settings, quota)?;
        // Who brings them waits at the socket.
        records.options.is_patient = true;
        Ok(Self {
            watched: settings.paths(SpoolSetting::Watch),
            watch: watch::Options {
                quiet: settings
                    .parsed(SpoolSetting::WatchQuiet, duration::parse)?
                    .unwrap_or(usual.quiet),
                polls: settings.switch(SpoolSetting::WatchPoll)?,
            },
            socket: settings.path(SpoolSetting::RecordSocket),
            records,
        })
    }

    /// Whether anything is taken over.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty() && self.socket.is_none()
    }

    /// The folders that are written in, but for the spool.
    pub fn writes(&self) -> Vec<PathBuf> {
        let of_socket = self.socket.as_ref().and_then(|path| path.parent());
        let of_socket = of_socket.map(|folder| match folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => folder.into(),
        });
        let all = self.watched.iter().cloned().chain(of_socket);
        all.filter(|folder| fs::metadata(folder).is_ok_and(|found| found.is_dir()))
            .collect()
    }
}

/// A record that is a batch by itself is there twice as well. One that never fits would be waited for, for ever, by
/// all who share its sync.
fn longest_record(given: u64, most: u64) -> Result<usize, String> {
    let bytes = usize::try_from(given).ok();
    let bytes = bytes
        .filter(|bytes| *bytes <= LARGEST_RECORD)
        .ok_or_else(|| format!("a record has {} MiB at most", LARGEST_RECORD >> 20))?;
    match given <= most {
        true => Ok(bytes),
        false => Err(format!(
            "records of {given} bytes are more than a quarter of the spool's quota"
        )),
    }
}

fn within(usual: usize, most: u64) -> usize {
    usize::try_from(most).map_or(usual, |most| usual.min(most))
}

fn at_least_one(text: &str) -> Result<u64, String> {
    match size::parse(text) {
        Ok(0) => Err("this takes nothing at all".into()),
        Ok(size) => Ok(size),
        Err(error) => Err(format!("{error}")),
    }
}

fn at_least_a_second(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(age) if age < Duration::from_secs(1) => Err("this is less than a second".into()),
        Ok(age) => Ok(age),
        Err(error) => Err(format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_fits_into_the_quota() {
        assert_eq!(longest_record(5000, 5000), Ok(5000));
        for (given, most, says) in [
            (5001, 5000, "more than a quarter"),
            (LARGEST_RECORD as u64 + 1, u64::MAX, "64 MiB at most"),
        ] {
            let error = longest_record(given, most).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(within(USUAL_RECORD, 5000), 5000);
        assert_eq!(within(USUAL_RECORD, u64::MAX), USUAL_RECORD);
    }
}

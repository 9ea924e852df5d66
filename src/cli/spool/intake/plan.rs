//! How records are taken in: one typed value, everything checked.

use core::time::Duration;
use std::format;
use std::string::String;

use crate::cli::error::CliError;
use crate::cli::settings::Settings;
use crate::host::push_config::SpoolSetting;
use crate::host::spool::record::{self, Compression, LARGEST_RECORD, Limits, USUAL_RECORD};
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
            let bytes = at_least_one(text)?;
            let bytes = usize::try_from(bytes).ok();
            bytes
                .filter(|bytes| *bytes <= LARGEST_RECORD)
                .ok_or_else(|| format!("a record has {} MiB at most", LARGEST_RECORD >> 20))
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
            },
            longest: longest.unwrap_or(USUAL_RECORD),
        })
    }
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

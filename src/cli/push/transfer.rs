//! How uploads go.

use core::ops::RangeInclusive;
use std::format;
use std::string::String;

use crate::cli::error::CliError;
use crate::cli::settings::Settings;
use crate::host::push_config::PushSetting;
use crate::host::s3::ChecksumAlgorithm;
use crate::host::size::{self, Bytes};
use crate::output::push::{Confirm, MAX_PART, MIN_PART, UploadOptions};

/// What S3 takes for all parts but the last.
const PART_SIZES: RangeInclusive<u64> = MIN_PART..=MAX_PART;

/// Uploads at once, if nobody says anything.
const DEFAULT_CONCURRENCY: usize = 4;

/// Each is a thread with a connection of its own.
const MAX_CONCURRENCY: usize = 64;

/// How uploads go.
#[derive(Debug, Clone)]
pub struct TransferPlan {
    /// Part size, checksum, and what confirms an upload.
    pub options: UploadOptions,
    /// How many uploads there are at once.
    pub concurrency: usize,
    /// How many bytes go out each second at most.
    pub bandwidth: Option<u64>,
}

impl TransferPlan {
    /// Checks what the settings say.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(settings: &Settings<'_>) -> Result<Self, CliError> {
        let checksum = settings.parsed(PushSetting::Checksum, |text| match text {
            "crc64nvme" => Ok(ChecksumAlgorithm::Crc64Nvme),
            "sha256" => Ok(ChecksumAlgorithm::Sha256),
            _ => Err("the checksum is crc64nvme or sha256"),
        })?;
        let confirm = settings.parsed(PushSetting::Confirm, |text| match text {
            "checksum" => Ok(Confirm::Checksum),
            "status" => Ok(Confirm::Status),
            _ => Err("what confirms an upload is its checksum or the status"),
        })?;
        let default = UploadOptions::default();
        let part_size = settings.parsed(PushSetting::PartSize, part_size)?;
        Ok(Self {
            options: UploadOptions {
                part_size: part_size.unwrap_or(default.part_size),
                checksum: checksum.unwrap_or(default.checksum),
                confirm: confirm.unwrap_or(default.confirm),
                ..default
            },
            concurrency: settings
                .parsed(PushSetting::Concurrency, concurrency)?
                .unwrap_or(DEFAULT_CONCURRENCY),
            bandwidth: settings.parsed(PushSetting::Bandwidth, size::parse_rate)?,
        })
    }
}

fn part_size(text: &str) -> Result<u64, String> {
    let size = size::parse(text).map_err(|error| format!("{error}"))?;
    match PART_SIZES.contains(&size) {
        true => Ok(size),
        false => Err(format!(
            "S3 takes parts from {} to {}",
            Bytes(*PART_SIZES.start()),
            Bytes(*PART_SIZES.end())
        )),
    }
}

fn concurrency(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=MAX_CONCURRENCY) => Ok(number),
        _ => Err(format!(
            "the number of uploads at once is from 1 to {MAX_CONCURRENCY}"
        )),
    }
}

//! How uploads go.

use core::ops::RangeInclusive;
use std::format;
use std::string::String;

use crate::cli::error::CliError;
use crate::cli::settings::Settings;
use crate::host::push_config::PushSetting;
use crate::host::size::{self, Bytes};

/// What S3 takes for all parts but the last (S3 User Guide, "Amazon S3 multipart upload limits").
const PART_SIZES: RangeInclusive<u64> = 5 << 20..=5 << 30;

/// Uploads at once, if nobody says anything.
const DEFAULT_CONCURRENCY: usize = 4;

/// Each is a thread with a connection of its own.
const MAX_CONCURRENCY: usize = 64;

/// Which checksum is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumPlan {
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-256.
    Sha256,
}

/// What confirms an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfirmPlan {
    /// The checksum.
    Checksum,
    /// A 200.
    Status,
}

/// How uploads go.
#[derive(Debug, Clone)]
pub struct TransferPlan {
    /// Which checksum is sent.
    pub checksum: ChecksumPlan,
    /// What confirms an upload.
    pub confirm: ConfirmPlan,
    /// How large parts are, if anybody says so.
    pub part_size: Option<u64>,
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
            "crc64nvme" => Ok(ChecksumPlan::Crc64Nvme),
            "sha256" => Ok(ChecksumPlan::Sha256),
            _ => Err("the checksum is crc64nvme or sha256"),
        })?;
        let confirm = settings.parsed(PushSetting::Confirm, |text| match text {
            "checksum" => Ok(ConfirmPlan::Checksum),
            "status" => Ok(ConfirmPlan::Status),
            _ => Err("what confirms an upload is its checksum or the status"),
        })?;
        Ok(Self {
            checksum: checksum.unwrap_or(ChecksumPlan::Crc64Nvme),
            confirm: confirm.unwrap_or(ConfirmPlan::Checksum),
            part_size: settings.parsed(PushSetting::PartSize, part_size)?,
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

//! The flags of the commands that upload: one for each setting of `[push]` and `[spool]`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, value_parser};

use crate::cli::flags::with_value;
use crate::host::push_config::{PushSetting, SpoolSetting};
use crate::host::section::SectionSetting;

const DESTINATION: &str = "Destination";
const OBJECT: &str = "Object";
const TRANSFER: &str = "Transfer";
const SPOOL: &str = "Spool";
const WATCH: &str = "Watched folders";
const RECORDS: &str = "Records";

/// The command with the flags of `settings`, but for the one that is of the identity.
pub fn add(command: Command, settings: &[PushSetting]) -> Command {
    let settings = settings.iter().copied();
    let own = settings.filter(|setting| *setting != PushSetting::Identity);
    command.args(own.map(|setting| flag(setting, describe(setting))))
}

/// The command with the flags of `settings`.
pub fn add_spool(command: Command, settings: &[SpoolSetting]) -> Command {
    let settings = settings.iter().copied();
    command.args(settings.map(|setting| flag(setting, describe_spool(setting))))
}

struct Description {
    heading: &'static str,
    /// What its value is called; switches have none.
    value: Option<&'static str>,
    help: &'static str,
}

fn flag<S: SectionSetting>(setting: S, description: Description) -> Arg {
    let arg = Arg::new(setting.flag_name())
        .long(setting.flag_name())
        .help(description.help)
        .help_heading(description.heading);
    match setting.has_several() {
        true => arg
            .action(ArgAction::Append)
            .value_parser(value_parser!(OsString))
            .value_name(description.value.unwrap_or("VALUE")),
        false => with_value(arg, description.value),
    }
}

fn describe(setting: PushSetting) -> Description {
    let of = |heading, value, help| Description {
        heading,
        value,
        help,
    };
    let destination = |value, help| of(DESTINATION, Some(value), help);
    let object = |value, help| of(OBJECT, Some(value), help);
    let transfer = |value, help| of(TRANSFER, Some(value), help);
    match setting {
        PushSetting::Identity => destination("NAME", ""),
        PushSetting::To => destination(
            "s3://BUCKET/KEY",
            "The bucket, and the key or its template: {hostname} {date:%Y/%m/%d} {name} {path} {cn} {serial}; a / \
             at the end goes on with the file's name",
        ),
        PushSetting::Credentials => destination(
            "WHOSE",
            "Whose credentials: `identity`, or `environment` for AWS_ACCESS_KEY_ID and its like [default: identity \
             where there is one]",
        ),
        PushSetting::S3Region => {
            destination("REGION", "The bucket's region [default: the identity's]")
        }
        PushSetting::S3Endpoint => destination(
            "URL",
            "Another server that speaks S3's protocol [default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, else AWS]",
        ),
        PushSetting::PathStyle => of(DESTINATION, None, "Put the bucket's name into the path"),
        PushSetting::VirtualHost => of(DESTINATION, None, "Put the bucket's name into the host's"),
        PushSetting::S3DualStack => of(DESTINATION, None, "Use S3's endpoint with IPv6"),
        PushSetting::S3Fips => of(DESTINATION, None, "Use S3's FIPS endpoint"),
        PushSetting::ExpectedBucketOwner => destination(
            "ACCOUNT",
            "Have S3 refuse everything unless the bucket is this account's",
        ),
        PushSetting::ContentType => object(
            "TYPE",
            "Content-Type, or `none` [default: by the extension of key or file]",
        ),
        PushSetting::ContentEncoding => object("CODING", "Content-Encoding, such as gzip"),
        PushSetting::Metadata => {
            object("NAME=VALUE", "x-amz-meta-NAME; may be given several times")
        }
        PushSetting::Tag => object("NAME=VALUE", "A tag; may be given several times"),
        PushSetting::StorageClass => object("CLASS", "The storage class, such as STANDARD_IA"),
        PushSetting::Sse => object(
            "WITH",
            "Encryption at rest with keys that S3 has (`s3`), of KMS (`kms`), or two layers of it (`kms-dsse`)",
        ),
        PushSetting::SseKmsKeyId => object("KEY", "The id or ARN of KMS's key"),
        PushSetting::IfNoneMatch => of(
            OBJECT,
            None,
            "Leave an object that is already there as it is (If-None-Match: *)",
        ),
        PushSetting::Checksum => transfer(
            "WHICH",
            "The checksum that S3 has to confirm: `crc64nvme` or `sha256` [default: crc64nvme]",
        ),
        PushSetting::Confirm => transfer(
            "BY",
            "What confirms an upload: the `checksum`, or the mere `status` for servers that know none \
             [default: checksum]",
        ),
        PushSetting::PartSize => transfer("SIZE", "How large parts are, from 5MiB to 5GiB"),
        PushSetting::Concurrency => {
            transfer("N", "How many uploads there are at once [default: 4]")
        }
        PushSetting::Bandwidth => transfer(
            "RATE",
            "How much of the link is used at most, such as 64KiB/s or 1Mbit/s",
        ),
    }
}

fn describe_spool(setting: SpoolSetting) -> Description {
    let of = |value, help| Description {
        heading: SPOOL,
        value: Some(value),
        help,
    };
    match setting {
        SpoolSetting::Dir => of(
            "DIR",
            "Where the spool is [default: /var/lib/keystead/spool if it is there or for root, else \
             keystead/spool in $XDG_STATE_HOME]",
        ),
        SpoolSetting::MaxSize => of(
            "SIZE",
            "How many bytes it takes at most, such as 2GiB [default: what the disk has]",
        ),
        SpoolSetting::MaxEntries => of("N", "How many entries it takes at most"),
        SpoolSetting::WhenFull => of(
            "WHAT",
            "What happens at the quota: `reject` what is new, or `drop-oldest` [default: reject]",
        ),
        SpoolSetting::Reserve => of("SIZE", "How much of the disk stays free [default: 64MiB]"),
        SpoolSetting::Group => of(
            "GROUP",
            "Whose members may add: a spool that is made gets mode 2770 and this group",
        ),
        SpoolSetting::Between => of(
            "HH:MM-HH:MM",
            "Upload in this part of the day alone, UTC, or with an offset: 01:00-05:00+02:00",
        ),
        SpoolSetting::Metrics => of(
            "ADDRESS:PORT",
            "Serve Prometheus metrics at an address of this machine, such as 127.0.0.1:9913",
        ),
        other => describe_intake(other),
    }
}

fn describe_intake(setting: SpoolSetting) -> Description {
    let of = |heading, value, help| Description {
        heading,
        value,
        help,
    };
    let records = |value, help| of(RECORDS, Some(value), help);
    match setting {
        SpoolSetting::WatchQuiet => of(
            WATCH,
            Some("TIME"),
            "A file that was not renamed into the folder is complete when nothing has happened to it for so long \
             [default: 5s]",
        ),
        SpoolSetting::WatchPoll => of(
            WATCH,
            None,
            "Look at the folders again and again, also where the kernel could tell what changes",
        ),
        SpoolSetting::RecordSocket => records(
            "PATH",
            "Take newline-delimited JSON at this Unix socket, mode 0660, and answer what is on disk",
        ),
        SpoolSetting::RecordMaxSize => records("SIZE", "How long a record may be [default: 1MiB]"),
        SpoolSetting::BatchSize => records(
            "SIZE",
            "So much of records becomes an object [default: 8MiB, at most a quarter of the quota]",
        ),
        SpoolSetting::BatchRecords => {
            records("N", "So many records become an object [default: 100000]")
        }
        SpoolSetting::BatchAge => records(
            "TIME",
            "So long after its first record a batch becomes an object [default: 5m]",
        ),
        SpoolSetting::Compress => records(
            "HOW",
            "How objects of records are compressed: `gzip`, `zstd` or `none` [default: none]",
        ),
        SpoolSetting::GroupCommit => of(
            RECORDS,
            None,
            "Put a sync off for some milliseconds, so that more records share it",
        ),
        _ => of(
            WATCH,
            Some("DIR"),
            "Take over the files that appear in this folder; may be given several times",
        ),
    }
}

//! `[push]` and `[spool]` of `keystead.toml`.

use std::format;
use std::string::String;

use super::config::Config;
use super::section::{SectionConfig, SectionSetting};

/// A setting of what is uploaded, and how: keys of `[push]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushSetting {
    /// The identity whose sessions are used.
    Identity,
    /// Bucket and template of keys.
    To,
    /// Whose credentials.
    Credentials,
    /// The bucket's region.
    S3Region,
    /// A server of the user's own.
    S3Endpoint,
    /// The bucket's name in the path.
    PathStyle,
    /// The bucket's name in the host.
    VirtualHost,
    /// The endpoint with IPv6.
    S3DualStack,
    /// The endpoint with validated cryptography.
    S3Fips,
    /// The account that the bucket has to be of.
    ExpectedBucketOwner,
    /// `Content-Type`.
    ContentType,
    /// `Content-Encoding`.
    ContentEncoding,
    /// User-defined metadata.
    Metadata,
    /// Tags.
    Tag,
    /// The storage class.
    StorageClass,
    /// Encryption at rest.
    Sse,
    /// The key of that.
    SseKmsKeyId,
    /// Whether an object that is there stays.
    IfNoneMatch,
    /// Which checksum is sent.
    Checksum,
    /// What has to confirm an upload.
    Confirm,
    /// How large parts are.
    PartSize,
    /// How many uploads there are at once.
    Concurrency,
    /// How much of the link is used.
    Bandwidth,
}

impl PushSetting {
    /// All of them, in the order in which people read them.
    pub const ALL: [Self; 23] = [
        Self::Identity,
        Self::To,
        Self::Credentials,
        Self::S3Region,
        Self::S3Endpoint,
        Self::PathStyle,
        Self::VirtualHost,
        Self::S3DualStack,
        Self::S3Fips,
        Self::ExpectedBucketOwner,
        Self::ContentType,
        Self::ContentEncoding,
        Self::Metadata,
        Self::Tag,
        Self::StorageClass,
        Self::Sse,
        Self::SseKmsKeyId,
        Self::IfNoneMatch,
        Self::Checksum,
        Self::Confirm,
        Self::PartSize,
        Self::Concurrency,
        Self::Bandwidth,
    ];

    /// What is decided when data is sent.
    pub const OF_DELIVERY: [Self; 13] = [
        Self::Credentials,
        Self::S3Region,
        Self::S3Endpoint,
        Self::PathStyle,
        Self::VirtualHost,
        Self::S3DualStack,
        Self::S3Fips,
        Self::ExpectedBucketOwner,
        Self::Checksum,
        Self::Confirm,
        Self::PartSize,
        Self::Concurrency,
        Self::Bandwidth,
    ];

    /// What is decided when data is accepted, and kept with it.
    pub const OF_OBJECT: [Self; 8] = [
        Self::ContentType,
        Self::ContentEncoding,
        Self::Metadata,
        Self::Tag,
        Self::StorageClass,
        Self::Sse,
        Self::SseKmsKeyId,
        Self::IfNoneMatch,
    ];
}

impl SectionSetting for PushSetting {
    const SETTINGS: &'static [Self] = &Self::ALL;

    fn key(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::To => "to",
            Self::Credentials => "credentials",
            Self::S3Region => "s3-region",
            Self::S3Endpoint => "s3-endpoint",
            Self::PathStyle => "path-style",
            Self::VirtualHost => "virtual-host",
            Self::S3DualStack => "s3-dual-stack",
            Self::S3Fips => "s3-fips",
            Self::ExpectedBucketOwner => "expected-bucket-owner",
            Self::ContentType => "content-type",
            Self::ContentEncoding => "content-encoding",
            Self::Metadata => "metadata",
            Self::Tag => "tag",
            Self::StorageClass => "storage-class",
            Self::Sse => "sse",
            Self::SseKmsKeyId => "sse-kms-key-id",
            Self::IfNoneMatch => "if-none-match",
            Self::Checksum => "checksum",
            Self::Confirm => "confirm",
            Self::PartSize => "part-size",
            Self::Concurrency => "concurrency",
            Self::Bandwidth => "bandwidth",
        }
    }

    fn flag_name(self) -> &'static str {
        self.key()
    }

    fn variable_name(self) -> String {
        match self {
            Self::Identity => String::from("KEYSTEAD_IDENTITY"),
            other => variable("PUSH", other.key()),
        }
    }

    fn has_several(self) -> bool {
        matches!(self, Self::Metadata | Self::Tag)
    }

    fn section(config: &Config) -> &PushConfig {
        config.push()
    }
}

/// A setting of the spool: keys of `[spool]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpoolSetting {
    /// Where it is.
    Dir,
    /// How many bytes it takes.
    MaxSize,
    /// How many entries it takes.
    MaxEntries,
    /// What happens then.
    WhenFull,
    /// How much of the disk stays free.
    Reserve,
    /// Whose members may add.
    Group,
    /// Folders whose files are taken over.
    Watch,
    /// How long nothing has to happen to a file until it is complete.
    WatchQuiet,
    /// Whether folders are looked at again and again.
    WatchPoll,
    /// A Unix socket that records come in by.
    RecordSocket,
    /// How long a record may be.
    RecordMaxSize,
    /// How many bytes of records become an object.
    BatchSize,
    /// How many records do.
    BatchRecords,
    /// How long a batch waits for more.
    BatchAge,
    /// How batches are compressed.
    Compress,
    /// Whether a sync is put off for others to share it.
    GroupCommit,
    /// When uploads are allowed.
    Between,
    /// Where Prometheus asks.
    Metrics,
}

impl SpoolSetting {
    /// All of them, in the order in which people read them.
    pub const ALL: [Self; 18] = [
        Self::Dir,
        Self::MaxSize,
        Self::MaxEntries,
        Self::WhenFull,
        Self::Reserve,
        Self::Group,
        Self::Between,
        Self::Metrics,
        Self::Watch,
        Self::WatchQuiet,
        Self::WatchPoll,
        Self::RecordSocket,
        Self::RecordMaxSize,
        Self::BatchSize,
        Self::BatchRecords,
        Self::BatchAge,
        Self::Compress,
        Self::GroupCommit,
    ];

    /// Where the spool is, and how much it takes.
    pub const OF_FOLDER: [Self; 6] = [
        Self::Dir,
        Self::MaxSize,
        Self::MaxEntries,
        Self::WhenFull,
        Self::Reserve,
        Self::Group,
    ];

    /// How records become objects.
    pub const OF_RECORDS: [Self; 6] = [
        Self::RecordMaxSize,
        Self::BatchSize,
        Self::BatchRecords,
        Self::BatchAge,
        Self::Compress,
        Self::GroupCommit,
    ];
}

impl SectionSetting for SpoolSetting {
    const SETTINGS: &'static [Self] = &Self::ALL;

    fn key(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::MaxSize => "max-size",
            Self::MaxEntries => "max-entries",
            Self::WhenFull => "when-full",
            Self::Reserve => "reserve",
            Self::Group => "group",
            Self::Watch => "watch",
            Self::WatchQuiet => "watch-quiet",
            Self::WatchPoll => "watch-poll",
            Self::RecordSocket => "record-socket",
            Self::RecordMaxSize => "record-max-size",
            Self::BatchSize => "batch-size",
            Self::BatchRecords => "batch-records",
            Self::BatchAge => "batch-age",
            Self::Compress => "compress",
            Self::GroupCommit => "group-commit",
            Self::Between => "between",
            Self::Metrics => "metrics",
        }
    }

    fn flag_name(self) -> &'static str {
        match self {
            Self::Dir => "spool",
            other => other.key(),
        }
    }

    fn variable_name(self) -> String {
        variable("SPOOL", self.key())
    }

    fn has_several(self) -> bool {
        self == Self::Watch
    }

    fn is_name(self) -> bool {
        self == Self::Watch
    }

    fn section(config: &Config) -> &SpoolConfig {
        config.spool()
    }
}

/// What the file says in `[push]`.
pub type PushConfig = SectionConfig<PushSetting>;

/// What the file says in `[spool]`.
pub type SpoolConfig = SectionConfig<SpoolSetting>;

/// `KEYSTEAD_PUSH_PART_SIZE`.
fn variable(section: &str, key: &str) -> String {
    let key = key.replace('-', "_").to_ascii_uppercase();
    format!("KEYSTEAD_{section}_{key}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::string::ToString as _;

    #[test]
    fn values_and_lists() {
        let config = Config::parse(
            "k.toml",
            "[push]\nto = 's3://b/{name}'\nmetadata = ['site=north', 'unit=7']\n\n[spool]\nmax-size = '2 GiB'\n",
        );
        let config = config.unwrap();
        let metadata = config.push().value(PushSetting::Metadata).unwrap();
        assert_eq!(metadata.texts, ["site=north", "unit=7"]);
        assert_eq!(metadata.line, 3);
        let size = config.spool().value(SpoolSetting::MaxSize).unwrap();
        assert_eq!((size.texts[0].as_str(), size.line), ("2 GiB", 6));
        assert!(config.spool().value(SpoolSetting::Dir).is_none());
    }

    #[test]
    fn errors_say_where() {
        for (text, says) in [
            (
                "[push]\nmetdata = []",
                "k.toml, line 2: unknown key `push.metdata`; did you mean `metadata`?",
            ),
            (
                "[spool]\nmax-size = [1]",
                "k.toml, line 2: `spool.max-size` has to be a string, a number, or true or false",
            ),
        ] {
            assert_eq!(Config::parse("k.toml", text).unwrap_err().to_string(), says);
        }
    }

    #[test]
    fn names_are_unique() {
        let flags: BTreeSet<_> = PushSetting::ALL
            .map(PushSetting::flag_name)
            .into_iter()
            .chain(SpoolSetting::ALL.map(SpoolSetting::flag_name))
            .collect();
        assert_eq!(
            flags.len(),
            PushSetting::ALL.len() + SpoolSetting::ALL.len()
        );
        assert_eq!(
            PushSetting::PartSize.variable_name(),
            "KEYSTEAD_PUSH_PART_SIZE"
        );
        assert_eq!(SpoolSetting::Dir.variable_name(), "KEYSTEAD_SPOOL_DIR");
    }
}

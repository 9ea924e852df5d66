//! What is kept with an object: content type, metadata, tags, encryption.

use std::format;
use std::string::String;
use std::vec::Vec;

use crate::cli::error::CliError;
use crate::cli::settings::Settings;
use crate::host::key_template::SourceName;
use crate::host::push_config::PushSetting;
use crate::host::s3::{Attributes, Encryption};
use crate::host::{document, media_type};

/// S3's limit for user-defined metadata: names and values together (S3 User Guide, "Working with object
/// metadata").
const MAX_METADATA: usize = 2048;

/// Each is a header. Servers take a hundred or so in a request, and sorting them for the signature takes time that grows
/// with the square of their number.
const MAX_PAIRS: usize = 44;

/// S3's limits for tags (S3 User Guide, "Categorizing your objects using tags").
const MAX_TAGS: usize = 10;
const MAX_TAG_NAME: usize = 128;
const MAX_TAG_VALUE: usize = 256;

/// As S3's API lists them. Servers of others may have more.
const STORAGE_CLASSES: [&str; 15] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
    "OUTPOSTS",
    "SNOW",
    "EXPRESS_ONEZONE",
    "FSX_OPENZFS",
    "FSX_ONTAP",
    "AWS_BACKUP_WARM",
    "AWS_BACKUP_LOW_COST_WARM",
];

/// What is kept with objects, as far as it is the same for all of them.
#[derive(Debug, Clone)]
pub struct AttributesPlan {
    attributes: Attributes,
    /// Whether the content type follows from the name.
    by_name: bool,
}

impl AttributesPlan {
    /// Checks what the settings say.
    ///
    /// # Errors
    /// [`CliError`], a usage error naming where the value comes from.
    pub fn new(settings: &Settings<'_>) -> Result<Self, CliError> {
        let content_type = settings.parsed(PushSetting::ContentType, content_type)?;
        let metadata = settings.all(PushSetting::Metadata, metadata)?;
        once_each(&metadata, "metadata")?;
        check_size(&metadata)?;
        let tags = settings.all(PushSetting::Tag, tag)?;
        once_each(&tags, "tag")?;
        if tags.len() > MAX_TAGS {
            return Err(CliError::usage(
                format!("there are {} tags, and S3 takes {MAX_TAGS}", tags.len()),
                "leave some of them out",
            ));
        }
        Ok(Self {
            by_name: content_type.is_none(),
            attributes: Attributes {
                content_type: content_type.flatten(),
                content_encoding: settings.parsed(PushSetting::ContentEncoding, coding)?,
                metadata,
                tags,
                storage_class: settings.parsed(PushSetting::StorageClass, storage_class)?,
                encryption: encryption(settings)?,
                only_if_absent: settings
                    .parsed(PushSetting::IfNoneMatch, only_if_absent)?
                    .unwrap_or_default(),
            },
        })
    }

    /// What is kept with one object. Its content type follows from its key, as whoever fetches it sees it; where
    /// that says nothing, from what it was called before.
    pub fn of(&self, key: &str, source: &SourceName) -> Attributes {
        let mut attributes = self.attributes.clone();
        if self.by_name {
            let by_source = || media_type::of_name(source.name.as_deref()?);
            let found = media_type::of_name(key).or_else(by_source);
            attributes.content_type = found.map(String::from);
        }
        attributes
    }
}

/// `None` in it for none at all.
fn content_type(text: &str) -> Result<Option<String>, &'static str> {
    if text == "none" {
        return Ok(None);
    }
    let is_type = text.split_once('/').is_some_and(|(kind, rest)| {
        let subtype = rest.split(';').next().unwrap_or_default().trim_end();
        is_token(kind) && is_token(subtype) && is_header(text)
    });
    match is_type {
        true => Ok(Some(text.into())),
        false => Err("this is no media type such as text/csv, nor `none`"),
    }
}

fn coding(text: &str) -> Result<String, &'static str> {
    match text.split(',').all(|coding| is_token(coding.trim())) {
        true => Ok(text.into()),
        false => Err("this is no content coding such as gzip"),
    }
}

fn metadata(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = pair(text)?;
    if !is_token(name) {
        return Err(
            "a name of metadata becomes part of a header's: letters, digits and -_. are for that",
        );
    }
    if !is_header(value) {
        return Err(
            "S3 keeps only ASCII in metadata, without control characters or blanks at its ends",
        );
    }
    // S3 keeps names in lower case.
    Ok((name.to_ascii_lowercase(), value.into()))
}

fn check_size(metadata: &[(String, String)]) -> Result<(), CliError> {
    if metadata.len() > MAX_PAIRS {
        return Err(CliError::usage(
            format!(
                "metadata: there are {} pairs, and {MAX_PAIRS} fit into a request",
                metadata.len()
            ),
            "leave some of them out, or put several into one",
        ));
    }
    let size: usize = metadata
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if size > MAX_METADATA {
        return Err(CliError::usage(
            format!("metadata: names and values have {size} bytes, and S3 takes {MAX_METADATA}"),
            "leave some of it out",
        ));
    }
    Ok(())
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    let allowed = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
    if name.chars().count() > MAX_TAG_NAME || value.chars().count() > MAX_TAG_VALUE {
        return Err(format!(
            "S3 takes {MAX_TAG_NAME} characters for a tag's name, and {MAX_TAG_VALUE} for its value"
        ));
    }
    if name.is_empty() || !name.chars().chain(value.chars()).all(allowed) {
        return Err("tags are of letters, digits, blanks and +-=._:/@".into());
    }
    if name.to_ascii_lowercase().starts_with("aws:") {
        return Err("tags that begin with aws: are AWS's own".into());
    }
    Ok((name.into(), value.into()))
}

fn storage_class(text: &str) -> Result<String, String> {
    let class = text.to_ascii_uppercase();
    let is_class = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if class.is_empty() || !class.bytes().all(is_class) {
        return Err(format!(
            "storage classes are {}",
            STORAGE_CLASSES.join(", ")
        ));
    }
    match document::nearest(&class, STORAGE_CLASSES) {
        Some(near) if near != class => Err(format!("did you mean {near}?")),
        _ => Ok(class),
    }
}

fn encryption(settings: &Settings<'_>) -> Result<Option<Encryption>, CliError> {
    let key = settings.parsed(PushSetting::SseKmsKeyId, kms_key)?;
    let with = settings.parsed(PushSetting::Sse, |text| match text {
        "s3" | "AES256" => Ok(None),
        "kms" | "aws:kms" => Ok(Some(false)),
        "kms-dsse" | "aws:kms:dsse" => Ok(Some(true)),
        _ => Err("encryption is with s3, kms or kms-dsse"),
    })?;
    match with {
        Some(Some(dual)) => Ok(Some(Encryption::Kms { key, dual })),
        _ if key.is_some() => Err(CliError::usage(
            "sse-kms-key-id names a key of KMS, and sse is not KMS",
            "give --sse kms or --sse kms-dsse as well",
        )),
        Some(None) => Ok(Some(Encryption::S3)),
        None => Ok(None),
    }
}

fn kms_key(text: &str) -> Result<String, &'static str> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.into()),
        false => Err("this is neither the id nor the ARN of a key"),
    }
}

/// A switch; `*` is what the header says.
fn only_if_absent(text: &str) -> Result<bool, &'static str> {
    match text {
        "*" => Ok(true),
        text => crate::cli::flags::parse_switch(text.as_ref())
            .ok_or("S3 takes * alone, for an object that is not there"),
    }
}

fn pair(text: &str) -> Result<(&str, &str), &'static str> {
    match text.split_once('=') {
        Some(("", _)) | None => Err("this is no NAME=VALUE"),
        Some(pair) => Ok(pair),
    }
}

fn once_each(pairs: &[(String, String)], what: &str) -> Result<(), CliError> {
    let names: Vec<&String> = pairs.iter().map(|(name, _)| name).collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            let what = format!("{what}: `{}` is given twice", name.escape_debug());
            return Err(CliError::usage(what, "each has one value"));
        }
    }
    Ok(())
}

/// RFC 9110 section 5.6.2, as far as S3 takes it.
fn is_token(text: &str) -> bool {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    !text.is_empty() && text.bytes().all(of_token)
}

fn is_header(text: &str) -> bool {
    let visible = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    text.trim() == text && text.bytes().all(visible)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::ToOwned as _;
    use std::string::ToString as _;

    #[test]
    fn values() {
        assert_eq!(
            content_type("text/csv").unwrap().as_deref(),
            Some("text/csv")
        );
        assert!(content_type("text/csv; charset=utf-8").is_ok());
        assert_eq!(content_type("none"), Ok(None));
        for text in ["csv", "text/", "/csv", "text/csv\n", "a b/c"] {
            assert!(content_type(text).is_err(), "{text}");
        }
        assert_eq!(
            metadata("Site=a=b"),
            Ok(("site".to_string(), "a=b".to_string()))
        );
        for text in [
            "site",
            "=x",
            "a b=c",
            "a=ü",
            "a= b",
            "a=b\r\nx-amz-acl: public",
        ] {
            assert!(metadata(text).is_err(), "{text}");
        }
        assert!(tag("kind=raw data").is_ok());
        for text in ["kind", "aws:x=y", "a=b?", "=x"] {
            assert!(tag(text).is_err(), "{text}");
        }
        assert!(tag(&format!("{}=x", "n".repeat(129))).is_err());
        assert_eq!(storage_class("standard_ia").as_deref(), Ok("STANDARD_IA"));
        assert_eq!(storage_class("COLD").as_deref(), Ok("COLD"));
        let error = storage_class("STANDRAD_IA").unwrap_err();
        assert_eq!(error, "did you mean STANDARD_IA?");
        assert_eq!(only_if_absent("*"), Ok(true));
        assert_eq!(
            coding("gzip, br").map(|text| text.to_owned()),
            Ok("gzip, br".into())
        );
        assert!(coding("g zip").is_err());
    }

    #[test]
    fn metadata_fits_into_a_request() {
        let pairs = |count: usize, length: usize| -> Vec<_> {
            let pair = |number| (format!("n{number}"), "v".repeat(length));
            (0..count).map(pair).collect()
        };
        assert!(check_size(&pairs(MAX_PAIRS, 10)).is_ok());
        for (count, length, says) in [(MAX_PAIRS + 1, 1, "pairs"), (3, 1000, "bytes")] {
            let error = check_size(&pairs(count, length)).unwrap_err();
            assert!(error.what.contains(says), "{}", error.what);
        }
    }

    #[test]
    fn types_by_name() {
        let plan = AttributesPlan {
            attributes: Attributes::default(),
            by_name: true,
        };
        let source = |name: &str| SourceName::of_file(name.as_ref());
        let content_type = |key, name| plan.of(key, &source(name)).content_type;
        assert_eq!(
            content_type("a/latest.json", "x.tmp").as_deref(),
            Some("application/json")
        );
        assert_eq!(
            content_type("a/latest", "x.csv").as_deref(),
            Some("text/csv")
        );
        assert_eq!(content_type("a/v1.2", "x").as_deref(), None);
    }
}

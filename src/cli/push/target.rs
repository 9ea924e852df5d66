//! `s3://BUCKET/TEMPLATE`: where things go.

use core::fmt;
use std::format;
use std::string::String;

use super::certificate::OwnCertificate;
use crate::cli::error::CliError;
use crate::cli::place;
use crate::cli::settings::Settings;
use crate::core::time::UnixTime;
use crate::host::endpoint::Endpoint;
use crate::host::key_template::{Facts, KeyError, KeyTemplate, SourceName};
use crate::host::push_config::PushSetting;
use crate::host::s3::{self, Bucket, BucketError, Style};
use crate::host::section::SectionSetting as _;

/// What a destination begins with.
const SCHEME: &str = "s3://";

/// A bucket, and how keys are made there.
#[derive(Debug, Clone)]
pub struct Target {
    /// The bucket's name.
    pub bucket: String,
    /// What keys are made of.
    pub template: KeyTemplate,
}

impl Target {
    /// Whether `text` names a destination, and not a file.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Reads `s3://BUCKET`, with or without a key or a template behind it.
    ///
    /// # Errors
    /// A sentence, for anything else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix(SCHEME)
            .ok_or("a destination is s3://BUCKET/KEY")?;
        let (bucket, template) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("the bucket's name is missing: a destination is s3://BUCKET/KEY".into());
        }
        if bucket.contains(['{', '}']) {
            return Err("a template is for the key: the bucket is the same for all".into());
        }
        check_bucket(bucket).map_err(|error| format!("{error}"))?;
        let template = KeyTemplate::parse(template).map_err(|error| format!("{error}"))?;
        Ok(Self {
            bucket: bucket.into(),
            template,
        })
    }

    /// The destination that the settings name.
    ///
    /// # Errors
    /// [`CliError`] if there is none, or one that cannot be read.
    pub fn of_settings(settings: &Settings<'_>) -> Result<Self, CliError> {
        let target = settings.parsed(PushSetting::To, Self::parse)?;
        target.ok_or_else(|| {
            CliError::usage(
                "nobody says where to: there is no destination",
                format!(
                    "give --to s3://BUCKET/KEY, set {}, or write `to = \"s3://…\"` into [push] of keystead.toml",
                    PushSetting::To.variable_name()
                ),
            )
        })
    }
}

/// Whether any server may have a bucket of that name. What AWS takes alone is known when it is known where the bucket is.
fn check_bucket(name: &str) -> Result<(), BucketError> {
    let anywhere = s3::Place {
        region: String::new(),
        endpoint: Some(Endpoint {
            tls: true,
            authority: "localhost".into(),
        }),
        style: Style::Path,
        dual_stack: false,
        fips: false,
    };
    Bucket::new(name, &anywhere).map(drop)
}

/// What is known of this machine at this moment, to make keys with.
#[derive(Debug, Clone)]
pub struct OwnFacts {
    hostname: String,
    time: UnixTime,
    certificate: Option<OwnCertificate>,
}

impl OwnFacts {
    /// Those of this machine at `time`; `certificate` where the template needs it.
    pub fn new(time: UnixTime, certificate: Option<OwnCertificate>) -> Self {
        let system = rustix::system::uname();
        Self {
            hostname: system.nodename().to_string_lossy().into_owned(),
            time,
            certificate,
        }
    }

    /// The key of what is called `source`; `shown` is what errors call it.
    ///
    /// # Errors
    /// [`CliError`] if there is no such key.
    pub fn key(
        &self,
        template: &KeyTemplate,
        source: &SourceName,
        shown: impl fmt::Display,
    ) -> Result<String, CliError> {
        self.key_at(self.time, template, source).map_err(|error| {
            let shown = place::shown(&format!("{shown}"));
            CliError::usage(
                format!("{shown}: {error}"),
                match source.name {
                    None => "--name says what it is called, or name a key that has no {name}",
                    Some(_) => "another destination makes another key: s3://BUCKET/KEY",
                },
            )
        })
    }

    /// The key that `source` has at another time.
    ///
    /// # Errors
    /// [`KeyError`] if there is no such key.
    pub fn key_at(
        &self,
        time: UnixTime,
        template: &KeyTemplate,
        source: &SourceName,
    ) -> Result<String, KeyError> {
        let certificate = self.certificate.as_ref().map(OwnCertificate::facts);
        let facts = Facts {
            hostname: &self.hostname,
            time,
            certificate: certificate.as_ref(),
        };
        template.key(&facts, source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_templates() {
        for (text, bucket, names) in [
            ("s3://logs", "logs", true),
            ("s3://logs/", "logs", true),
            ("s3://logs/a/b.json", "logs", false),
            ("s3://logs/{hostname}/{name}", "logs", true),
        ] {
            let target = Target::parse(text).unwrap();
            assert_eq!(target.bucket, bucket);
            assert_eq!(target.template.tells_names_apart(), names, "{text}");
        }
        for (text, says) in [
            ("logs/a", "a destination is s3://BUCKET/KEY"),
            ("s3:///a", "the bucket's name is missing"),
            ("s3://{hostname}/a", "a template is for the key"),
            ("s3://logs\u{1b}[2J/a", "bucket"),
            ("s3://lo gs/a", "bucket"),
            ("s3://../a", "bucket"),
            ("s3://logs/{host}", "there is no {host}"),
        ] {
            let error = Target::parse(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}

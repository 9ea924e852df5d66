//! The headers of operations.

use core::fmt;
use std::borrow::Cow;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::attributes::{Attributes, Encryption};
use super::digest::Checksum;
use crate::core::http::Header;
use crate::core::sigv4::Encoded;

/// Headers of a request, with their values.
#[derive(Default)]
pub(super) struct Headers(Vec<(Cow<'static, str>, String)>);

impl Headers {
    pub(super) fn add(&mut self, name: &'static str, value: impl fmt::Display) {
        self.0.push((Cow::Borrowed(name), value.to_string()));
    }

    /// What S3 has to find that it received.
    pub(super) fn checksum(&mut self, checksum: &Checksum) {
        self.add(checksum.algorithm().header(), checksum);
    }

    /// What is kept with an object.
    pub(super) fn attributes(&mut self, attributes: &Attributes) {
        let Attributes {
            content_type,
            content_encoding,
            metadata,
            tags,
            storage_class,
            encryption,
            only_if_absent: _,
        } = attributes;
        let optional = [
            ("content-type", content_type),
            ("content-encoding", content_encoding),
            ("x-amz-storage-class", storage_class),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                self.add(name, value);
            }
        }
        for (name, value) in metadata {
            let name = format!("x-amz-meta-{}", name.to_ascii_lowercase());
            self.0.push((Cow::Owned(name), value.clone()));
        }
        if !tags.is_empty() {
            let pairs = tags
                .iter()
                .map(|(name, value)| format!("{}={}", Encoded::plain(name), Encoded::plain(value)));
            self.add("x-amz-tagging", pairs.collect::<Vec<_>>().join("&"));
        }
        let (algorithm, key) = match encryption {
            None => return,
            Some(Encryption::S3) => ("AES256", None),
            Some(Encryption::Kms { key, dual: false }) => ("aws:kms", key.as_ref()),
            Some(Encryption::Kms { key, dual: true }) => ("aws:kms:dsse", key.as_ref()),
        };
        self.add("x-amz-server-side-encryption", algorithm);
        if let Some(key) = key {
            self.add("x-amz-server-side-encryption-aws-kms-key-id", key);
        }
    }

    /// As they are signed.
    pub(super) fn list(&self) -> Vec<Header<'_>> {
        self.0
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect()
    }
}

//! What is kept with an object besides its content.

use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

/// What is kept with an object besides its content, and the conditions under which it is written. A spool
/// keeps it with the entry: what was decided when data was accepted is what is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attributes {
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Content-Encoding`: `gzip`, `zstd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// User-defined metadata, without the prefix `x-amz-meta-`, in the order in which it was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<(String, String)>,
    /// Tags, not encoded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// `x-amz-storage-class`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// Encryption at rest other than the bucket's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// `If-None-Match: *`: an object that is already there is not replaced.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub only_if_absent: bool,
}

/// Server-side encryption with keys that S3 has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// SSE-S3: `AES256`.
    S3,
    /// SSE-KMS: `aws:kms`.
    Kms {
        /// The key's id or ARN; the account's own key for S3 if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// Whether it is `aws:kms:dsse`, two layers.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        dual: bool,
    },
}

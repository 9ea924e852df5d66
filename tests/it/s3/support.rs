//! What the tests share: sandboxes with sessions in them, clients, contents.

use std::io::Read;
use std::sync::Arc;

use keystead::core::time::UnixTime;
use keystead::host::clock::HostClock;
use keystead::host::endpoint::Endpoint;
use keystead::host::s3::{
    Attributes, Body, Bucket, ChecksumAlgorithm, Client, Digests, ObjectStore as _, Place, S3Clock,
    S3Error, Stored,
};
use keystead::host::session::Credentials;
use keystead::host::transport::TransportOptions;
use keystead::sandbox::{Config, SandboxClock};

use crate::sandbox::fixture::Fixture;

/// A sandbox, and sessions in it.
pub struct Account(pub Fixture);

impl Account {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self(Fixture::at(SandboxClock::system(), change))
    }

    /// A session's credentials, by its profile.
    pub fn session(&mut self, profile: &str) -> Credentials {
        let credentials = self.0.credentials(profile);
        Credentials {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key.into(),
            session_token: credentials.session_token.into(),
            expiration: UnixTime::MAX,
            role_arn: String::new(),
        }
    }

    pub fn bucket(&self, name: &str) -> Bucket {
        let place = Place {
            region: self.0.sandbox.config().account.region.clone(),
            endpoint: Some(Endpoint::custom(&self.0.sandbox.url()).unwrap()),
            ..Place::default()
        };
        Bucket::new(name, &place).unwrap()
    }

    pub fn client(&self) -> Client {
        client(self.bucket("sensor-logs"), &TransportOptions::default())
    }
}

pub fn clock() -> Arc<S3Clock> {
    Arc::new(S3Clock::new(Arc::new(HostClock::new(None))))
}

pub fn client(bucket: Bucket, options: &TransportOptions) -> Client {
    Client::new(bucket, options, clock()).unwrap()
}

/// Credentials that nobody checks.
pub fn anybody() -> Credentials {
    Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: String::from("secret").into(),
        session_token: String::from("token").into(),
        expiration: UnixTime::MAX,
        role_arn: String::new(),
    }
}

/// A content with its SHA-256 and `checksum`.
pub fn body<'a>(
    reader: &'a mut dyn Read,
    digests: &Digests,
    checksum: ChecksumAlgorithm,
) -> Body<'a> {
    Body {
        reader,
        length: digests.length,
        sha256: Some(digests.sha256),
        checksum: digests.checksum(checksum),
    }
}

/// Puts `content` without further ado.
pub fn put(
    client: &mut Client,
    credentials: &Credentials,
    key: &str,
    content: &[u8],
) -> Result<Stored, S3Error> {
    let mut reader = content;
    let body = body(
        &mut reader,
        &Digests::of(content),
        ChecksumAlgorithm::Crc64Nvme,
    );
    client.put(credentials, key, &Attributes::default(), body)
}

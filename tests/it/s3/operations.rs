//! Every operation against the sandbox's S3.

use std::io::Read;
use std::sync::Arc;

use keystead::core::time::UnixTime;
use keystead::host::clock::HostClock;
use keystead::host::endpoint::Endpoint;
use keystead::host::s3::{
    Attributes, Body, Bucket, Checksum, ChecksumAlgorithm, Client, Completed, Digests, FaultKind,
    ObjectStore, Part, Place, S3Clock, UploadId,
};
use keystead::host::session::Credentials;
use keystead::host::transport::TransportOptions;
use keystead::sandbox::SandboxClock;

use crate::sandbox::fixture::Fixture;

/// A sandbox, and sessions in it.
struct Account(Fixture);

impl Account {
    fn new() -> Self {
        Self(Fixture::at(SandboxClock::system(), |_| {}))
    }

    /// A session's credentials, by its profile.
    fn session(&mut self, profile: &str) -> Credentials {
        let credentials = self.0.credentials(profile);
        Credentials {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key.into(),
            session_token: credentials.session_token.into(),
            expiration: UnixTime::MAX,
            role_arn: String::new(),
        }
    }

    fn client(&self) -> Client {
        let place = Place {
            region: self.0.sandbox.config().account.region.clone(),
            endpoint: Some(Endpoint::custom(&self.0.sandbox.url()).unwrap()),
            ..Place::default()
        };
        let bucket = Bucket::new("sensor-logs", &place).unwrap();
        let clock = S3Clock::new(Arc::new(HostClock::new(None)));
        Client::new(bucket, &TransportOptions::default(), Arc::new(clock)).unwrap()
    }
}

fn body<'a>(
    mut_content: &'a mut dyn Read,
    digests: &Digests,
    checksum: ChecksumAlgorithm,
) -> Body<'a> {
    Body {
        reader: mut_content,
        length: digests.length,
        sha256: Some(digests.sha256),
        checksum: digests.checksum(checksum),
    }
}

#[test]
fn an_object_is_put_and_looked_at() {
    let mut account = Account::new();
    let (hub, developer) = (account.session("sensor-hub"), account.session("developer"));
    let mut client = account.client();
    for (content, algorithm) in [
        (vec![], ChecksumAlgorithm::Crc64Nvme),
        (b"{}".to_vec(), ChecksumAlgorithm::Sha256),
        (vec![7; 3 << 20], ChecksumAlgorithm::Crc64Nvme),
    ] {
        let digests = Digests::of(&content);
        let key = format!("sensors/a b+\u{e9}~{}.json", content.len());
        let stored = client
            .put(
                &hub,
                &key,
                &Attributes::default(),
                body(&mut &content[..], &digests, algorithm),
            )
            .unwrap();
        assert!(stored.etag.starts_with('"'), "{stored:?}");
        assert_eq!(stored.checksum, Some(digests.checksum(algorithm)));
        let seen = client.head(&developer, &key).unwrap().unwrap();
        assert_eq!(seen.length, Some(digests.length));
        assert_eq!(seen.etag, stored.etag);
    }
    let missing = client.head(&developer, "sensors/nothing").unwrap();
    assert_eq!(missing, None);
    let refused = client.head(&hub, "sensors/nothing").unwrap_err();
    assert_eq!(
        (refused.kind, refused.status),
        (FaultKind::Refused, Some(403))
    );
}

fn upload(
    client: &mut Client,
    hub: &Credentials,
    key: &str,
    content: &[u8],
) -> (UploadId, Vec<Part>) {
    let upload = client
        .create_upload(
            hub,
            key,
            &Attributes::default(),
            ChecksumAlgorithm::Crc64Nvme,
        )
        .unwrap();
    let mut parts = Vec::new();
    for (number, piece) in (1..).zip(content.chunks(5 << 20)) {
        let digests = Digests::of(piece);
        let mut reader = piece;
        let body = body(&mut reader, &digests, ChecksumAlgorithm::Crc64Nvme);
        let part = client.put_part(hub, key, &upload, number, body).unwrap();
        assert_eq!(part.length, digests.length);
        parts.push(part);
    }
    (upload, parts)
}

#[test]
fn an_object_is_put_in_parts() {
    let mut account = Account::new();
    let (hub, developer) = (account.session("sensor-hub"), account.session("developer"));
    let mut client = account.client();
    let content = vec![9; (5 << 20) + 1];
    let digests = Digests::of(&content);
    let key = "sensors/large";
    let (id, parts) = upload(&mut client, &hub, key, &content);
    let listed = client.parts(&developer, key, &id).unwrap();
    let numbers: Vec<_> = listed
        .iter()
        .map(|part| (part.number, part.length))
        .collect();
    assert_eq!(numbers, [(1, 5 << 20), (2, 1)]);
    let completed = Completed {
        parts: &parts,
        length: digests.length,
        checksum: Checksum::Crc64Nvme(digests.crc64nvme),
        only_if_absent: false,
    };
    let stored = client.complete(&hub, key, &id, &completed).unwrap();
    assert!(!stored.etag.is_empty(), "{stored:?}");
    if let Some(checksum) = stored.checksum {
        assert_eq!(checksum, Checksum::Crc64Nvme(digests.crc64nvme));
    }
    let seen = client.head(&developer, key).unwrap().unwrap();
    assert_eq!(seen.length, Some(digests.length));

    let (id, _) = upload(&mut client, &hub, key, b"given up");
    let denied = client.abort(&hub, key, &id).unwrap_err();
    assert_eq!(denied.kind, FaultKind::Refused);
    client.abort(&developer, key, &id).unwrap();
    client.abort(&developer, key, &id).unwrap();
}

//! Every operation against the sandbox's S3.

use keystead::host::s3::{
    Attributes, Checksum, ChecksumAlgorithm, Client, Completed, Digests, Encryption, FaultKind,
    ObjectStore as _, Part, UploadId,
};
use keystead::host::session::Credentials;
use keystead::host::transport::TransportOptions;
use keystead::sandbox::Fault;

use super::support::{Account, body, client, put};

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
        let mut reader = &content[..];
        let body = body(&mut reader, &digests, algorithm);
        let stored = client
            .put(&hub, &key, &Attributes::default(), body)
            .unwrap();
        assert!(stored.etag.starts_with('"'), "{stored:?}");
        assert_eq!(stored.checksum, Some(digests.checksum(algorithm)));
        // Nobody vouches for a clock without TLS.
        assert_eq!(stored.date, None);
        let seen = client.head(&developer, &key).unwrap().unwrap();
        assert_eq!(seen.length, Some(digests.length));
        assert_eq!(seen.etag, stored.etag);
        assert_eq!(seen.checksum, stored.checksum);
    }
    let missing = client.head(&developer, "sensors/nothing").unwrap();
    assert_eq!(missing, None);
    let refused = client.head(&hub, "sensors/nothing").unwrap_err();
    assert_eq!(
        (refused.kind, refused.status),
        (FaultKind::Refused, Some(403))
    );
}

#[test]
fn keys_of_every_kind_are_signed_as_they_are_sent() {
    let mut account = Account::new();
    let hub = account.session("sensor-hub");
    let mut client = account.client();
    for key in [
        "sensors/a+b",
        "sensors/a b",
        "sensors/a%20b%2Bc",
        "sensors/~tilde_-.x",
        "sensors/\u{e9}\u{1f980}/\u{4e2d}",
        "sensors/a&b=c?d#e",
        "sensors/a:b@c,d;e'f(g)h*i!j$k",
        "sensors/\"quoted\"<>[]{}|\\^`",
        "sensors/tab\tnewline\n",
        "sensors/...",
    ] {
        put(&mut client, &hub, key, key.as_bytes()).unwrap();
    }
    // The sandbox cannot keep these in its folders, and says so only after it has found the signature right.
    for key in [
        "sensors//a",
        "sensors/./a",
        "sensors/../a",
        "sensors//",
        "sensors/a/..",
    ] {
        let error = put(&mut client, &hub, key, b"").unwrap_err();
        assert_eq!(error.code, "InvalidArgument", "{key}: {error:?}");
    }
}

#[test]
fn what_goes_with_an_object_is_signed_too() {
    let mut account = Account::new();
    let (hub, developer) = (account.session("sensor-hub"), account.session("developer"));
    let mut client = account.client();
    let attributes = Attributes {
        content_type: Some("application/x-ndjson; charset=utf-8".into()),
        content_encoding: Some("gzip".into()),
        metadata: vec![
            ("Sensor".into(), "  17   b ".into()),
            ("empty".into(), String::new()),
        ],
        storage_class: Some("STANDARD".into()),
        ..Attributes::default()
    };
    let digests = Digests::of(b"{}");
    let key = "sensors/attributes";
    let mut put = |credentials: &Credentials, attributes: &Attributes| {
        let mut reader = &b"{}"[..];
        let body = body(&mut reader, &digests, ChecksumAlgorithm::Crc64Nvme);
        client.put(credentials, key, attributes, body)
    };
    put(&hub, &attributes).unwrap();
    let recorded = account.0.sandbox.requests().pop().unwrap();
    let header = |name: &str| {
        let mut headers = recorded.headers.iter();
        let found = headers.find(|(given, _)| given == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(header("x-amz-meta-sensor"), Some("17   b"));
    assert_eq!(header("content-encoding"), Some("gzip"));

    let tagged = Attributes {
        tags: vec![("a b".into(), "1+1=2&".into())],
        ..attributes.clone()
    };
    let refused = put(&hub, &tagged);
    assert_eq!(refused.unwrap_err().kind, FaultKind::Refused);
    let encrypted = Attributes {
        encryption: Some(Encryption::Kms {
            key: Some("alias/hub".into()),
            dual: true,
        }),
        ..tagged
    };
    // Whatever becomes of it there: the signature covers it.
    let sent = put(&developer, &encrypted);
    if let Err(error) = sent {
        assert_ne!(error.kind, FaultKind::Credentials, "{error:?}");
    }

    let only_if_absent = Attributes {
        only_if_absent: true,
        ..attributes
    };
    let exists = put(&hub, &only_if_absent);
    let exists = exists.unwrap_err();
    assert_eq!(
        (exists.kind, exists.code.as_str()),
        (FaultKind::Exists, "PreconditionFailed")
    );
}

#[test]
fn a_payload_may_go_without_its_signature() {
    let mut account = Account::new();
    let hub = account.session("sensor-hub");
    let mut client = account.client();
    let digests = Digests::of(b"{}");
    let mut reader = &b"{}"[..];
    let mut unsigned = body(&mut reader, &digests, ChecksumAlgorithm::Crc64Nvme);
    unsigned.sha256 = None;
    client
        .put(&hub, "sensors/unsigned", &Attributes::default(), unsigned)
        .unwrap();
}

#[test]
fn what_arrives_changed_is_refused() {
    let mut account = Account::new();
    let hub = account.session("sensor-hub");
    let mut client = account.client();
    let attributes = Attributes::default();
    let digests = Digests::of(b"right");
    for algorithm in [ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha256] {
        for signed in [true, false] {
            let mut reader = &b"wrong"[..];
            let mut body = body(&mut reader, &digests, algorithm);
            if !signed {
                body.sha256 = None;
            }
            let error = client
                .put(&hub, "sensors/x", &attributes, body)
                .unwrap_err();
            // Of a payload that is not the signed one, the sandbox's S3 says that it is its own fault.
            let kind = if signed {
                FaultKind::Server
            } else {
                FaultKind::Object
            };
            assert_eq!(error.kind, kind, "{error:?}");
        }
    }
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
    let again = client.complete(&hub, key, &id, &completed).unwrap_err();
    assert_eq!(
        (again.kind, again.code.as_str()),
        (FaultKind::Restart, "NoSuchUpload")
    );
}

#[test]
fn an_upload_in_parts_is_given_up() {
    let mut account = Account::new();
    let (hub, developer) = (account.session("sensor-hub"), account.session("developer"));
    let mut client = account.client();
    let key = "sensors/large";
    let (id, _) = upload(&mut client, &hub, key, b"given up");
    let denied = client.abort(&hub, key, &id).unwrap_err();
    assert_eq!(denied.kind, FaultKind::Refused);
    client.abort(&developer, key, &id).unwrap();
    // What is gone is given up.
    client.abort(&developer, key, &id).unwrap();
    let unknown = UploadId("no upload/&=".into());
    let error = client.parts(&developer, key, &unknown).unwrap_err();
    assert_eq!(error.kind, FaultKind::Restart, "{error:?}");
}

#[test]
fn failures_are_known_by_their_kinds() {
    let mut account = Account::new();
    let hub = account.session("sensor-hub");
    let faults = account.0.sandbox.config().faults.clone();
    let mut client = account.client();
    let mut once = |fault: Fault| {
        faults.add(fault.times(1));
        put(&mut client, &hub, "sensors/a", b"{}").unwrap_err().kind
    };
    assert_eq!(once(Fault::Throttle), FaultKind::Throttled);
    assert_eq!(once(Fault::Status(500)), FaultKind::Server);
    assert_eq!(once(Fault::Status(503)), FaultKind::Server);
    assert_eq!(once(Fault::Drop), FaultKind::Network);
    assert_eq!(once(Fault::Lose), FaultKind::Network);
    assert_eq!(once(Fault::Skew(3600)), FaultKind::Clock);
    assert_eq!(once(Fault::Garbage), FaultKind::Server);

    let kind = |name: &str, credentials: &Credentials, key: &str| {
        let mut client = super::support::client(account.bucket(name), &TransportOptions::default());
        put(&mut client, credentials, key, b"{}").unwrap_err().kind
    };
    assert_eq!(kind("sensor-logs", &hub, "other/a"), FaultKind::Refused);
    assert_eq!(
        kind("no-such-bucket", &hub, "sensors/a"),
        FaultKind::Refused
    );
    let changed = |change: fn(&mut Credentials)| {
        let mut changed = hub.clone();
        change(&mut changed);
        kind("sensor-logs", &changed, "sensors/a")
    };
    // Also what a server makes of a key in another way than S3 does: others have to show whose fault it is.
    let secret = |credentials: &mut Credentials| credentials.secret_access_key.push('x');
    assert_eq!(changed(secret), FaultKind::Unclear);
    let id = |credentials: &mut Credentials| credentials.access_key_id.push('X');
    assert_eq!(changed(id), FaultKind::Credentials);
    let token = |credentials: &mut Credentials| credentials.session_token.push('x');
    assert_eq!(changed(token), FaultKind::Credentials);
    put(&mut client, &hub, "sensors/a", b"{}").unwrap();
}

#[test]
fn a_region_that_is_not_the_buckets() {
    let mut account = Account::new();
    let hub = account.session("sensor-hub");
    let place = keystead::host::s3::Place {
        region: "xx-nowhere-9".into(),
        endpoint: Some(account.bucket("sensor-logs").endpoint().clone()),
        ..Default::default()
    };
    let bucket = keystead::host::s3::Bucket::new("sensor-logs", &place).unwrap();
    let mut client = client(bucket, &TransportOptions::default());
    let error = put(&mut client, &hub, "sensors/a", b"{}").unwrap_err();
    assert_eq!(error.kind, FaultKind::Place, "{error:?}");
    assert!(error.remedy.contains("--s3-region"), "{error:?}");
}

//! `sandbox.toml`.

use std::path::PathBuf;
use std::time::Duration;

use keystead::ca::KeyType;
use keystead::sandbox::{Config, Sandbox, SandboxClock, Scheme};
use tempfile::TempDir;

use super::fixture::{Device, NOW, root};

const DOCUMENT: &str = r#"
account = "444455556666"
region = "eu-central-1"
date-window = "15m"
buckets = ["logs", "more-logs"]

[trust-anchor.devices]
id = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
certificates = ["root.pem"]
crls = "root.crl"

[role.Writer]
policy = "writer.json"
max-session-duration = "2h"

[role.Reader]
policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}'
trusted = false

[profile.writers]
roles = ["Writer", "Reader"]
session-duration = "90m"
accept-role-session-name = true
session-policy = "writer.json"
"#;

const POLICY: &str = r#"{"Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::logs/*"}}"#;

/// A directory with the document, changed, and the files that it names.
fn directory(from: &str, to: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.toml");
    assert!(DOCUMENT.contains(from), "{from}");
    std::fs::write(&path, DOCUMENT.replace(from, to)).unwrap();
    std::fs::write(directory.path().join("writer.json"), POLICY).unwrap();
    std::fs::write(directory.path().join("root.pem"), root("CN=R").root()).unwrap();
    std::fs::write(directory.path().join("root.crl"), "").unwrap();
    (directory, path)
}

#[test]
fn everything_in_the_document_counts() {
    let (_directory, path) = directory("", "");
    let config = Config::read(&path).unwrap();
    let account = &config.account;
    assert_eq!(
        (account.id.as_str(), account.region.as_str()),
        ("444455556666", "eu-central-1")
    );
    assert_eq!(config.date_window, Duration::from_secs(900));
    assert_eq!(config.buckets, ["logs", "more-logs"]);
    let anchor = &account.trust_anchors[0];
    let arn = "arn:aws:rolesanywhere:eu-central-1:444455556666:trust-anchor/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
    assert_eq!(anchor.arn, arn);
    assert_eq!((anchor.certificates.len(), anchor.crls.len()), (1, 1));
    let [writer, reader] = &account.roles[..] else {
        panic!("{:?}", account.roles);
    };
    assert_eq!(
        (writer.max_session_seconds, writer.trusts_roles_anywhere),
        (7200, true)
    );
    assert!(!reader.trusts_roles_anywhere);
    let profile = &account.profiles[0];
    assert_eq!(profile.name, "writers");
    assert_eq!(profile.roles, [writer.arn.clone(), reader.arn.clone()]);
    assert_eq!(profile.duration_seconds, 5400);
    assert!(profile.accept_role_session_name && profile.enabled);
    assert!(profile.session_policy.is_some());
}

#[test]
fn a_sandbox_by_the_document_issues_sessions() {
    let (directory, path) = directory("crls = \"root.crl\"", "");
    let mut authority = root("CN=R");
    std::fs::write(directory.path().join("root.pem"), authority.root()).unwrap();
    let mut config = Config::read(&path).unwrap();
    config.scheme = Scheme::Http;
    config.clock = SandboxClock::fixed(NOW);
    let arn = config.account.trust_anchors[0].arn.clone();
    let account = config.account.clone();
    let sandbox = Sandbox::start(config).unwrap();
    let mut device = Device::new(&mut authority, "CN=d", KeyType::P256);
    let mut request = device.request(&sandbox);
    request.assume(&account, "writers", "Writer");
    request.set("trustAnchorArn", arn);
    let answer = request.send(&sandbox);
    assert_eq!(answer.status, 201, "{answer:?}");
    let session = &answer.json()["credentialSet"][0];
    assert_eq!(
        session["credentials"]["expiration"],
        NOW.offset_by(5400).to_string()
    );
    // 126 of 2,048 characters.
    assert_eq!(session["packedPolicySize"], 6);
}

#[test]
fn errors_name_the_place() {
    for (from, to, expected) in [
        (
            "eu-central-1",
            "us-gov-west-1",
            "`region` has to be one of the partition aws",
        ),
        (
            "more-logs",
            "../logs",
            "S3 takes no bucket named \"../logs\"",
        ),
        (
            "profile.writers",
            "profile.\"all writers\"",
            "a profile's name has letters",
        ),
        (
            "date-window",
            "date-widow",
            "line 4: unknown key `date-widow`; did you mean `date-window`?",
        ),
        (
            "trusted = false",
            "trust = false",
            "unknown key `role.Reader.trust`; did you mean `trusted`?",
        ),
        (
            "session-policy =",
            "sesion-policy =",
            "did you mean `session-policy`?",
        ),
        ("[role.", "[rolle.", "there is no role `Writer`"),
        ("444455556666", "4444", "`account` has to be twelve digits"),
        (
            "\"2h\"",
            "\"13h\"",
            "`max-session-duration` has to be between 15m and 12h",
        ),
        (
            "\"90m\"",
            "\"soon\"",
            "`profile.writers.session-duration` has to be a duration",
        ),
        ("[\"root.pem\"]", "[]", "one or two certificates, not 0"),
        ("[\"root.pem\"]", "[\"none.pem\"]", "none.pem"),
        ("\"root.crl\"", "\"none.crl\"", "none.crl is no file"),
        (
            "Action",
            "Akshun",
            "[role.Reader]: `policy` is no policy: unknown field `Akshun`",
        ),
        (
            "policy = \"writer.json\"\nmax",
            "max",
            "a role needs a `policy`",
        ),
    ] {
        let (_directory, path) = directory(from, to);
        let error = Config::read(&path).err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("{to} is accepted"));
        assert!(error.contains(expected), "{error}");
    }
}

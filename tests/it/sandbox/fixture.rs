//! A sandbox with an authority and a device of its own, and the request that the device would send,
//! to be spoilt in every way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keystead::backend::BoxedSigner;
use keystead::ca::{Authority, KeyType, Template, Usage, Validity};
use keystead::core::http::{Body, Header};
use keystead::core::sigv4::{
    Authorization, CanonicalRequest, PathRule, Payload, Scope, StringToSign, hash_body, x509,
};
use keystead::core::text::{Base64Text, Decimal};
use keystead::core::time::{Clock as _, UnixTime};
use keystead::core::x509::Certificate;
use keystead::sandbox::account::{Account, Profile, Role};
use keystead::sandbox::{Config, Policy, Running, Sandbox, SandboxClock, Scheme};
use serde_json::json;
use tempfile::TempDir;

use super::client::{Credentials, Headers, Response, send};

/// When all of it happens.
pub const NOW: UnixTime = UnixTime::from_secs(1_795_300_000);

pub struct Fixture {
    pub sandbox: Running,
    pub authority: Authority,
    pub device: Device,
    pub crl: PathBuf,
    _directory: TempDir,
}

/// A device's certificates and key.
pub struct Device {
    pub chain: Vec<Vec<u8>>,
    pub signer: BoxedSigner,
}

impl Device {
    pub fn new(authority: &mut Authority, subject: &str, key: KeyType) -> Self {
        Self::valid_from(NOW, authority, subject, key)
    }

    fn valid_from(now: UnixTime, authority: &mut Authority, subject: &str, key: KeyType) -> Self {
        let template = Template {
            usage: Usage::Client,
            subject: subject.parse().unwrap(),
            alternative_names: Vec::new(),
            validity: Validity::starting(now, Duration::from_secs(86_400)),
        };
        Self::issue(authority, &template, key)
    }

    pub fn issue(authority: &mut Authority, template: &Template, key: KeyType) -> Self {
        let issued = authority.issue(template, key).unwrap();
        Self {
            chain: issued.chain,
            signer: issued.key.signer().unwrap(),
        }
    }

    pub fn request(&mut self, sandbox: &Running) -> Request<'_> {
        Request::new(self, sandbox.config())
    }
}

/// An authority that is valid at [`NOW`].
pub fn root(name: &str) -> Authority {
    root_valid_from(NOW, name)
}

fn root_valid_from(now: UnixTime, name: &str) -> Authority {
    let validity = Validity::starting(now, Duration::from_secs(10 * 86_400));
    Authority::new_in_memory(name.parse().unwrap(), KeyType::P256, validity).unwrap()
}

impl Fixture {
    /// The ready-made set.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The ready-made set, changed.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(SandboxClock::fixed(NOW), change)
    }

    /// The ready-made set by another clock.
    pub fn at(clock: SandboxClock, change: impl FnOnce(&mut Config)) -> Self {
        let now = clock.now();
        let directory = tempfile::tempdir().unwrap();
        let crl = directory.path().join("crl.pem");
        let mut authority = root_valid_from(now, "CN=Test root");
        let certificate = authority.root().to_vec();
        let mut config = Config::ready_made(certificate, Some(crl.clone())).unwrap();
        config.scheme = Scheme::Http;
        config.clock = clock;
        change(&mut config);
        Self {
            device: Device::valid_from(now, &mut authority, "CN=hub-17,O=Test", KeyType::P256),
            sandbox: Sandbox::start(config).unwrap(),
            authority,
            crl,
            _directory: directory,
        }
    }

    pub fn send(&mut self, change: impl FnOnce(&mut Request<'_>)) -> Response {
        let mut request = self.device.request(&self.sandbox);
        change(&mut request);
        request.send(&self.sandbox)
    }

    /// The credentials of a session, as a hub or as a developer.
    pub fn credentials(&mut self, profile: &str) -> Credentials {
        let role = match profile {
            "developer" => "Developer",
            _ => "SensorWriter",
        };
        let account = self.sandbox.config().account.clone();
        let answer = self.send(|request| request.assume(&account, profile, role));
        Credentials::of(&answer, &account.region)
    }
}

/// Adds a role of that name with its own profile.
pub fn add_role(account: &mut Account, name: &str, change: impl FnOnce(&mut Role, &mut Profile)) {
    let everything = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Action": "s3:*", "Resource": "*"}}"#;
    let mut role = Role::new(account, name, Policy::parse(everything).unwrap());
    let mut profile = Profile::new(account, name, &[name]);
    change(&mut role, &mut profile);
    account.roles.push(Arc::new(role));
    account.profiles.push(Arc::new(profile));
}

/// A `CreateSession` request before it is signed.
pub struct Request<'a> {
    pub signer: &'a mut BoxedSigner,
    pub time: UnixTime,
    pub region: String,
    pub algorithm: String,
    pub service: String,
    pub serial: String,
    pub query: String,
    pub body: serde_json::Value,
    /// Signed.
    pub headers: Headers,
    /// Sent as well, but not signed.
    pub unsigned: Headers,
    /// Changes what was signed.
    pub spoil: Option<fn(&mut Headers)>,
}

impl<'a> Request<'a> {
    fn new(device: &'a mut Device, config: &Config) -> Self {
        let account = &config.account;
        let leaf = Certificate::from_der(&device.chain[0]).unwrap();
        let mut request = Self {
            algorithm: x509::algorithm(leaf.key_kind().unwrap()).into(),
            service: "rolesanywhere".into(),
            serial: Decimal(leaf.serial).to_string(),
            signer: &mut device.signer,
            time: config.clock.now(),
            region: account.region.clone(),
            query: String::new(),
            body: json!({}),
            headers: vec![
                ("Content-Type".into(), "application/json".into()),
                ("Host".into(), "127.0.0.1".into()),
                (
                    "X-Amz-X509".into(),
                    Base64Text(&device.chain[0]).to_string(),
                ),
            ],
            unsigned: Vec::new(),
            spoil: None,
        };
        request.send_chain(&device.chain[1..]);
        request.assume(account, "sensor-hub", "SensorWriter");
        request
    }

    pub fn assume(&mut self, account: &Account, profile: &str, role: &str) {
        self.body = json!({
            "trustAnchorArn": account.trust_anchor_arn("devices"),
            "profileArn": account.profile_arn(profile),
            "roleArn": account.role_arn(role),
        });
    }

    pub fn set(&mut self, name: &str, value: impl Into<serde_json::Value>) {
        self.body[name] = value.into();
    }

    pub fn send_chain(&mut self, chain: &[Vec<u8>]) {
        self.headers.retain(|(name, _)| name != "X-Amz-X509-Chain");
        if !chain.is_empty() {
            let certificates = chain.iter().map(|der| Base64Text(der).to_string());
            let value = certificates.collect::<Vec<_>>().join(",");
            self.headers.push(("X-Amz-X509-Chain".into(), value));
        }
    }

    pub fn send(mut self, sandbox: &Running) -> Response {
        let body = match &self.body {
            serde_json::Value::String(raw) => raw.clone(),
            json => json.to_string(),
        };
        let target = format!("/sessions{}", self.query);
        self.headers
            .push(("X-Amz-Date".into(), self.time.amz().to_string()));
        let authorization = self.authorization(&target, &body);
        let mut headers = self.headers;
        headers.append(&mut self.unsigned);
        headers.push(("Authorization".into(), authorization));
        if let Some(spoil) = self.spoil {
            spoil(&mut headers);
        }
        send(sandbox, "POST", &target, &headers, body.as_bytes()).unwrap()
    }

    fn authorization(&mut self, target: &str, body: &str) -> String {
        let signed: Vec<Header<'_>> = self
            .headers
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect();
        let canonical = CanonicalRequest {
            method: "POST",
            target,
            path: PathRule::STANDARD,
            headers: &[&signed],
            payload: Payload::Sha256(hash_body(&Body::Text(&body)).unwrap()),
        };
        let scope = Scope {
            time: self.time,
            region: &self.region,
            service: &self.service,
        };
        let hash = canonical.hash().unwrap();
        let string = StringToSign::new(&self.algorithm, &scope, &hash).unwrap();
        let mut out = vec![0; 5000];
        let authorization = Authorization {
            algorithm: &self.algorithm,
            credential: &self.serial,
            scope: &scope,
            headers: &[&signed],
            signature: x509::sign(self.signer, &string, &mut out).unwrap(),
        };
        authorization.to_string()
    }
}

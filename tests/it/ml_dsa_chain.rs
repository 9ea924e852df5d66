//! The largest head there is: a chain of ML-DSA-87 certificates, all the way to a sandbox that verifies
//! every link of it.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use embedded_io_adapters::std::FromStd;
use keystead::backend::Identity;
use keystead::ca::{Authority, KeyType, PrivateKey, Template, Usage, Validity, certificate_pem};
use keystead::core::create_session::{Buffers, CreateSession, Observed};
use keystead::core::http::stream::StreamTransport;
use keystead::core::key::{MAX_SIGNATURE_LEN, Signer as _};
use keystead::core::time::{Clock as _, UnixTime};
use keystead::host::clock::HostClock;
use keystead::sandbox::{Config, Running, Sandbox, Scheme};

use crate::support::program::{command, run};

const KIND: KeyType = KeyType::MlDsa87;

/// A device's certificates, leaf first, without the root; its key; and a sandbox that trusts the root.
struct Hub {
    chain: Vec<Vec<u8>>,
    key: PrivateKey,
    sandbox: Running,
}

fn now() -> UnixTime {
    HostClock::new(None).now()
}

impl Hub {
    /// With five authorities between the root and the device.
    fn new() -> Self {
        let validity = Validity::starting(now(), Duration::from_secs(86_400));
        let key = PrivateKey::generate(KIND).unwrap();
        let mut authority =
            Authority::new_root("CN=root".parse().unwrap(), &key, 5, validity).unwrap();
        let root = authority.certificate().to_vec();
        let mut chain = vec![root.clone()];
        for path_len in (0..5).rev() {
            let subject = format!("CN=authority {path_len}").parse().unwrap();
            let template = Template::new(Usage::Authority { path_len }, subject, validity);
            let signer = PrivateKey::generate(KIND).unwrap().signer().unwrap();
            chain.insert(
                0,
                authority.certify(&template, signer.public_key()).unwrap(),
            );
            authority = Authority::from_parts(chain.clone(), signer).unwrap();
        }
        let subject = "CN=hub-17".parse().unwrap();
        let issued = authority
            .issue(&Template::new(Usage::Client, subject, validity), KIND)
            .unwrap();
        let mut config = Config::ready_made(root, None).unwrap();
        config.scheme = Scheme::Http;
        Self {
            chain: issued.chain,
            key: issued.key,
            sandbox: Sandbox::start(config).unwrap(),
        }
    }

    fn arns(&self) -> [String; 3] {
        let account = &self.sandbox.config().account;
        [
            account.trust_anchors[0].arn.clone(),
            account.profiles[0].arn.clone(),
            account.roles[0].arn.clone(),
        ]
    }
}

#[test]
fn the_core_alone_sends_it_through_half_a_kilobyte() {
    let hub = Hub::new();
    let mut identity = Identity::new(hub.chain.clone(), hub.key.signer().unwrap()).unwrap();
    assert_eq!(identity.intermediates().iter().count(), 5);
    let [trust_anchor_arn, profile_arn, role_arn] = hub.arns();
    let url = hub.sandbox.url();
    let host = url.strip_prefix("http://").unwrap();

    let mut stream_buffer = [0; 512];
    let stream = FromStd::new(TcpStream::connect(host).unwrap());
    let mut transport = StreamTransport::new(stream, &mut stream_buffer);
    let (mut signature, mut answer, mut scratch) = ([0; MAX_SIGNATURE_LEN], [0; 4096], [0; 2048]);
    let mut observed = Observed::default();
    let outcome = CreateSession {
        host,
        region: &hub.sandbox.config().account.region,
        trust_anchor_arn: &trust_anchor_arn,
        profile_arn: &profile_arn,
        role_arn: &role_arn,
        duration_seconds: Some(900),
        role_session_name: None,
        user_agent: "keystead-test",
    }
    .send(
        &mut identity,
        &mut transport,
        now(),
        Buffers {
            signature: &mut signature,
            answer: &mut answer,
            scratch: &mut scratch,
        },
        &mut observed,
        &mut (),
    );
    let credentials = outcome.unwrap();
    assert_eq!(credentials.role_arn, role_arn);
    assert_eq!(observed.status, Some(201));
}

#[test]
fn the_program_sends_it_from_files() {
    let hub = Hub::new();
    let home = tempfile::tempdir().unwrap();
    let pem: Vec<String> = hub
        .chain
        .iter()
        .map(|der| certificate_pem(der).unwrap())
        .collect();
    fs::write(home.path().join("chain.pem"), pem.concat()).unwrap();
    write_private(&home.path().join("hub.key"), &hub.key.to_pem().unwrap());
    let [trust_anchor_arn, profile_arn, role_arn] = hub.arns();
    let ran = run(&mut command(
        home.path(),
        &[
            "credential-process",
            "--certificate=chain.pem",
            "--private-key=hub.key",
            "--strict",
            "--endpoint",
            &hub.sandbox.url(),
            "--trust-anchor-arn",
            &trust_anchor_arn,
            "--profile-arn",
            &profile_arn,
            "--role-arn",
            &role_arn,
        ],
    ));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("\"SessionToken\":"));
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

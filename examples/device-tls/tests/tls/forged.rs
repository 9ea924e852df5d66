//! Certificates that no authority of ours would make, and damaged ones.

use device_tls::path::Rules;
use device_tls::signature::Host;
use device_tls::{Anchor, Refused, ServerName};
use keystead::ca::{Authority, KeyType, PrivateKey, Usage};
use keystead::core::key::{Scheme, Signer as _};
use keystead::core::x509::Certificate;

use crate::client::now;
use crate::servers::{Credential, HOST, template, valid};

/// The values of extensions' identifiers, 2.5.29.… (RFC 5280 section 4.2.1).
const SUBJECT_KEY: u8 = 14;
const KEY_USAGE: u8 = 15;
const NAMES: u8 = 17;
const NAME_CONSTRAINTS: u8 = 30;
const AUTHORITY_KEY: u8 = 35;
const PURPOSES: u8 = 37;
const UNKNOWN: u8 = 127;

struct Scene {
    root: Authority,
    key: PrivateKey,
}

impl Scene {
    fn new() -> Self {
        let key = PrivateKey::generate(KeyType::P256).unwrap();
        let root = Authority::new_root("CN=root".parse().unwrap(), &key, 1, valid()).unwrap();
        Self { root, key }
    }

    fn check(&self, chain: &[Vec<u8>]) -> Result<(), Refused> {
        let anchors = [Anchor::from_der(self.root.root()).unwrap()];
        let rules = Rules {
            anchors: &anchors,
            name: ServerName::parse(HOST).unwrap(),
            now: now(),
        };
        rules
            .check(chain.iter().map(Vec::as_slice), &Host)
            .map(drop)
    }

    /// The root's certificate of `usage`, with extension `from` under the identifier `to`.
    fn renamed(&mut self, usage: Usage, from: u8, to: u8) -> Vec<u8> {
        let template = template(usage, HOST, valid());
        let issued = self.root.issue(&template, KeyType::P256).unwrap();
        let certificate = Certificate::from_der(&issued.chain[0]).unwrap();
        let mut tbs = certificate.tbs.to_vec();
        let identifier = |id| [6, 3, 0x55, 0x1d, id];
        let at = tbs.windows(5).position(|part| part == identifier(from));
        tbs[at.unwrap()..][..5].copy_from_slice(&identifier(to));
        self.signed(&tbs)
    }

    fn signed(&self, tbs: &[u8]) -> Vec<u8> {
        let mut signature = [0; 72];
        let mut signer = self.key.signer().unwrap();
        let length = signer
            .sign(Scheme::EcdsaSha256, tbs, &mut signature)
            .unwrap();
        // ecdsa-with-SHA256.
        let algorithm = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let bits = [
            &[3, u8::try_from(length + 1).unwrap(), 0],
            &signature[..length],
        ]
        .concat();
        let content = [tbs, &algorithm, &bits].concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82], &length[..], &content].concat()
    }
}

#[test]
fn extensions_that_must_be_understood() {
    let mut scene = Scene::new();
    for (from, to, outcome) in [
        // As it is; one that says nothing and is unknown.
        (KEY_USAGE, KEY_USAGE, Ok(())),
        (SUBJECT_KEY, UNKNOWN, Ok(())),
        // `keyUsage` is critical.
        (KEY_USAGE, UNKNOWN, Err(Refused::Extension)),
        (AUTHORITY_KEY, NAME_CONSTRAINTS, Err(Refused::Extension)),
        (NAMES, UNKNOWN, Err(Refused::OtherName)),
        // Nobody says what it is for; then nothing forbids it.
        (PURPOSES, UNKNOWN, Ok(())),
        // Twice, and other things under the name.
        (SUBJECT_KEY, PURPOSES, Err(Refused::Unreadable)),
        (SUBJECT_KEY, NAMES, Err(Refused::Unreadable)),
        (SUBJECT_KEY, KEY_USAGE, Err(Refused::Unreadable)),
    ] {
        let certificate = scene.renamed(Usage::Server, from, to);
        assert_eq!(scene.check(&[certificate]), outcome, "{from} as {to}");
    }
}

#[test]
fn no_bit_can_be_changed() {
    let mut scene = Scene::new();
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let name = "CN=middle".parse().unwrap();
    let mut middle = scene.root.new_intermediate(name, &key, valid()).unwrap();
    let chain = Credential::of(&mut middle, HOST).chain;
    assert_eq!((scene.check(&chain), chain.len()), (Ok(()), 2));
    for which in 0..chain.len() {
        for at in 0..chain[which].len() {
            let mut damaged = chain.clone();
            damaged[which][at] ^= 1 << (at % 8);
            assert!(scene.check(&damaged).is_err(), "byte {at} of {which}");
            damaged[which].truncate(at);
            assert_eq!(scene.check(&damaged), Err(Refused::Unreadable));
        }
    }
}

#[test]
fn anchors_are_authorities() {
    let mut scene = Scene::new();
    let server = Credential::of(&mut scene.root, HOST).chain.swap_remove(0);
    let refused = |der: &[u8]| Anchor::from_der(der).err();
    assert_eq!(refused(&server), Some(Refused::NotAnAuthority));
    assert_eq!(refused(b""), Some(Refused::Unreadable));
    assert_eq!(refused(scene.root.root()), None);
    let authority = Usage::Authority { path_len: 0 };
    let limited = scene.renamed(authority, AUTHORITY_KEY, NAME_CONSTRAINTS);
    assert_eq!(refused(&limited), Some(Refused::Extension));
    assert_eq!(scene.check(&[]), Err(Refused::Unreadable));
}

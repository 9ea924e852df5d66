//! Keys that keystead makes in a token, with their certificates beside them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use keystead::backend::pkcs11::{
    GenerateKey, KeyAlgorithm, Leaf, OpenKey, OpenedKey, PinRole, StoreCertificate, Tokens, Uri,
};
use keystead::ca::{Authority, KeyType, Template, Usage, Validity};
use keystead::core::key::Signer as _;

use super::Workshop;
use super::key;
use crate::lab::now;
use crate::operator::Stored;

const MESSAGE: &[u8] = b"what is to be signed";

/// Makes a key of each kind, stores a certificate for it, and signs with it: found by its own URI, and
/// by its certificate's. OpenSSL judges.
pub fn every_kind(workshop: Workshop, pin: &str, folder: &Path) {
    let Workshop { mut tokens, uri } = workshop;
    let hours = |hours: u64| Validity::starting(now(), Duration::from_secs(hours * 3600));
    let name = "CN=Workshop".parse().expect("a distinguished name");
    let mut authority =
        Authority::new_in_memory(name, KeyType::P256, hours(2)).expect("an authority can be made");
    for algorithm in [
        KeyAlgorithm::P256,
        KeyAlgorithm::P384,
        KeyAlgorithm::P521,
        KeyAlgorithm::Rsa(2048),
    ] {
        let label = format!("{algorithm:?}").replace(['(', ')'], "");
        let request = GenerateKey {
            uri: parse(&format!("{uri};object=made-{label}")),
            algorithm,
            allow_duplicate: false,
            role: PinRole::User,
        };
        let mut operator = Stored::new(pin);
        let made = tokens
            .generate(&request, &mut operator)
            .unwrap_or_else(|error| panic!("{label}: {error}"));
        let public_key = folder.join(format!("{label}.public.der"));
        fs::write(&public_key, &made.public_key).expect("the test's folder can be written to");

        let subject = format!("CN={label}").parse().expect("a distinguished name");
        let template = Template::new(Usage::Client, subject, hours(1));
        let certificate = authority
            .certify(&template, &made.public_key)
            .expect("the key is one that is certified");
        let store = StoreCertificate {
            key: made.uri.clone(),
            certificate: certificate.clone(),
            replace: false,
            role: PinRole::User,
        };
        let stored = tokens
            .store(&store, &mut operator)
            .unwrap_or_else(|error| panic!("{label}: {error}"));

        let by_key = open(&mut *tokens, Some(made.uri), Leaf::None, pin);
        let by_certificate = open(&mut *tokens, None, Leaf::Token(Box::new(stored)), pin);
        // Others of the token may follow.
        let leaf = by_certificate.certificates.first();
        assert!(leaf == Some(&certificate), "{label}");
        for mut opened in [by_key, by_certificate] {
            assert_eq!(opened.signer.public_key(), made.public_key, "{label}");
            let scheme = opened.signer.key().roles_anywhere_scheme();
            let mut signature = [0; 512];
            let len = opened
                .signer
                .sign(scheme, MESSAGE, &mut signature)
                .unwrap_or_else(|error| panic!("{label}: {error}"));
            key::verify_by(
                folder,
                &["-keyform", "DER", "-verify"],
                &public_key,
                scheme,
                MESSAGE,
                &signature[..len],
            );
        }
    }
}

#[track_caller]
fn parse(uri: &str) -> Uri {
    uri.parse().expect("the test's URIs are ones")
}

#[track_caller]
fn open(tokens: &mut dyn Tokens, key: Option<Uri>, leaf: Leaf, pin: &str) -> OpenedKey {
    let request = OpenKey {
        key,
        leaf,
        require_hardware: false,
    };
    tokens
        .open(&request, Box::new(Stored::new(pin)))
        .unwrap_or_else(|error| panic!("{error}"))
}

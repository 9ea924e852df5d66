//! Keys under a password.

use std::ffi::OsString;

use keystead::backend::file::open_key;
use keystead::backend::secret::{Environment, SecretSource};

use super::{error, never_asked, password, public_key};
use crate::support::openssl::{P256, Workshop};

/// Every encryption that OpenSSL writes and we read, by the arguments of `openssl pkcs8`.
const ENCRYPTIONS: [&str; 9] = [
    "-v2 aes-256-cbc",
    "-v2 aes-192-cbc",
    "-v2 aes-128-cbc",
    "-v2 aes-256-cbc -v2prf hmacWithSHA1",
    "-v2 aes-256-cbc -v2prf hmacWithSHA384",
    "-v2 aes-256-cbc -v2prf hmacWithSHA512",
    "-v2 des3",
    "-scrypt",
    "-v2 aes-128-cbc -iter 1",
];

#[test]
fn every_encryption() {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    let public = public_key(&workshop, "hub.key");
    for encryption in ENCRYPTIONS {
        for form in ["PEM", "DER"] {
            workshop.openssl(&format!(
                "pkcs8 -topk8 -in hub.key {encryption} -passout pass:geheim -outform {form} -out hub.enc"
            ));
            let path = workshop.path("hub.enc");
            let signer = open_key(&path, &mut password("geheim")).unwrap();
            assert_eq!(signer.public_key(), public, "{encryption}");

            let wrong = open_key(&path, &mut password("Geheim")).err().unwrap();
            assert!(wrong.concerns_password());
            assert!(wrong.to_string().contains("password is wrong"));
            let none = open_key(&path, &mut || Ok(None)).err().unwrap();
            assert!(none.concerns_password());
            assert!(none.remedy().unwrap().contains("--password-source"));
        }
    }
}

#[test]
fn an_empty_password_is_a_password() {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop.openssl("pkcs8 -topk8 -in hub.key -passout pass: -out hub.enc");
    assert!(open_key(&workshop.path("hub.enc"), &mut password("")).is_ok());
    assert!(open_key(&workshop.path("hub.key"), &mut never_asked).is_ok());
}

#[test]
fn old_encryptions_are_refused_by_name() {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop.openssl("ec -in hub.key -aes256 -passout pass:geheim -out hub.old");
    let path = workshop.path("hub.old");
    let refused = open_key(&path, &mut never_asked).err().unwrap();
    assert!(refused.to_string().contains("Proc-Type: 4,ENCRYPTED"));
    let remedy = refused.remedy().unwrap();
    assert!(remedy.contains("openssl pkcs8 -topk8"), "{remedy}");

    workshop
        .openssl("pkcs8 -topk8 -in hub.key -v1 PBE-SHA1-3DES -passout pass:geheim -out hub.old");
    let sentence = error(&path, open_key(&path, &mut never_asked));
    assert!(sentence.contains("1.2.840.113549.1.12.1.3"), "{sentence}");

    workshop.openssl("pkcs8 -topk8 -in hub.key -v2 aria-128-cbc -passout pass:geheim -out hub.old");
    let refused = open_key(&path, &mut never_asked).err().unwrap();
    assert!(refused.to_string().contains("not supported"), "{refused}");
    assert!(refused.remedy().unwrap().contains("openssl pkcs8"));
}

#[test]
fn a_derivation_that_takes_too_much_is_refused() {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop
        .openssl("pkcs8 -topk8 -in hub.key -scrypt -passout pass:geheim -outform DER -out hub.enc");
    let mut der = workshop.read("hub.enc");
    // The block size 8 and the parallelization 1 both become 127.
    let costs = der
        .windows(6)
        .position(|window| window == [2, 1, 8, 2, 1, 1])
        .unwrap();
    der[costs + 2] = 127;
    der[costs + 5] = 127;
    let path = workshop.write("hub.enc", der);
    let sentence = error(&path, open_key(&path, &mut never_asked));
    assert!(sentence.contains("time or memory"), "{sentence}");
}

#[test]
fn a_password_that_cannot_be_read_is_named_once() {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop.openssl("pkcs8 -topk8 -in hub.key -passout pass:geheim -out hub.enc");
    let source = SecretSource::File(workshop.path("missing"));
    let refused = open_key(&workshop.path("hub.enc"), &mut || {
        source.read("password of hub.enc", &NoVariables).map(Some)
    });
    let refused = refused.err().unwrap();
    assert!(refused.concerns_password());
    let sentence = refused.to_string();
    assert!(
        sentence.starts_with("the password of hub.enc cannot be read from file:"),
        "{sentence}"
    );
}

struct NoVariables;

impl Environment for NoVariables {
    fn var(&self, _name: &str) -> Option<OsString> {
        None
    }
}

//! PKCS#12 files, old and new.

use keystead::backend::file::{FileIdentity, open, open_pkcs12};

use super::{error, never_asked, password, public_key};
use crate::support::openssl::{CA, LEAF, P256, Workshop};

/// Arguments of `openssl pkcs12 -export`.
const WRITERS: [&str; 6] = [
    "",
    "-legacy",
    "-legacy -descert",
    "-keypbe AES-128-CBC -certpbe AES-192-CBC -macalg sha512",
    "-keypbe NONE -certpbe NONE",
    "-nomac",
];

fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.key("root", P256);
    workshop.certificate("root", "root", "", CA);
    workshop.key("hub", P256);
    workshop.certificate("hub", "root", "", LEAF);
    workshop
}

fn export(workshop: &Workshop, arguments: &str, password: &str) {
    workshop.openssl(&format!(
        "pkcs12 -export -inkey hub.key -in hub.pem -certfile root.pem {arguments} -passout pass:{password} -out hub.p12"
    ));
}

#[test]
fn every_writer() {
    let workshop = workshop();
    let path = workshop.path("hub.p12");
    let public = public_key(&workshop, "hub.key");
    for arguments in WRITERS {
        export(&workshop, arguments, "geheim");
        let (signer, certificates) = open_pkcs12(&path, &mut password("geheim")).unwrap();
        assert_eq!(signer.public_key(), public, "{arguments}");
        assert_eq!(certificates.len(), 2);

        let wrong = open_pkcs12(&path, &mut password("Geheim")).err().unwrap();
        assert!(wrong.concerns_password(), "{arguments}: {wrong}");

        export(&workshop, arguments, "");
        let (signer, _) = open_pkcs12(&path, &mut never_asked).unwrap();
        assert_eq!(signer.public_key(), public, "{arguments}");
    }
}

#[test]
fn an_identity_in_one_file() {
    let workshop = workshop();
    export(&workshop, "", "geheim");
    let certificate = workshop.path("hub.p12");
    let mut files = FileIdentity {
        certificate: &certificate,
        private_key: None,
        intermediates: None,
    };
    let (identity, warnings) = open(&files, &mut password("geheim")).unwrap();
    workshop.openssl("x509 -in hub.pem -outform DER -out hub.der");
    assert_eq!(identity.chain(), &[workshop.read("hub.der")]);
    // OpenSSL writes it for its owner alone.
    assert_eq!(warnings, []);

    let key = workshop.path("hub.key");
    files.private_key = Some(&key);
    let sentence = error(&certificate, open(&files, &mut never_asked));
    assert!(sentence.contains("its own private key"), "{sentence}");
}

#[test]
fn damage_is_not_a_wrong_password() {
    let workshop = workshop();
    export(&workshop, "", "geheim");
    let mut contents = workshop.read("hub.p12");
    contents.truncate(contents.len() - 10);
    let path = workshop.write("hub.p12", contents);
    let damaged = open_pkcs12(&path, &mut password("geheim")).err().unwrap();
    assert!(!damaged.concerns_password());
    assert!(damaged.to_string().contains("damaged"), "{damaged}");
}

#[test]
fn a_file_without_key() {
    let workshop = workshop();
    workshop.openssl("pkcs12 -export -nokeys -in hub.pem -passout pass: -out hub.p12");
    let path = workshop.path("hub.p12");
    let sentence = error(&path, open_pkcs12(&path, &mut never_asked));
    assert_eq!(sentence, "there is no private key in it");
}

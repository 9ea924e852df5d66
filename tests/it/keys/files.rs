//! Files that hold no key, or show it to others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use keystead::backend::file::{
    FileIdentity, Warning, check_permissions, open as open_identity, open_pkcs12, read_certificates,
};

use super::{error, never_asked, open};
use crate::support::openssl::{LEAF, P256, Workshop};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_is_no_file_of_ours() {
    let workshop = Workshop::new();
    let directory = workshop.path("directory");
    fs::create_dir(&directory).unwrap();
    let fifo = workshop.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    for (path, words) in [
        (workshop.path("missing"), "No such file"),
        (directory, "directory"),
        (fifo, "not a regular file"),
        ("/dev/zero".into(), "not a regular file"),
        (workshop.write("empty", ""), "empty"),
        (workshop.write("large", vec![b'x'; (1 << 20) + 1]), "1 MiB"),
        (
            workshop.write("text", "key = value\n"),
            "neither PEM nor DER",
        ),
        (
            workshop.write("binary", [0xff, 0x30, 0, 1]),
            "neither PEM nor DER",
        ),
        (
            workshop.write("utf16", b"\xff\xfe-\0-\0-\0-\0-\0B\0E\0G\0I\0N\0"),
            "UTF-16",
        ),
        (
            workshop.write("cut", "-----BEGIN CERTIFICATE-----\nMIIB"),
            "-----END CERTIFICATE-----",
        ),
        (
            workshop.write(
                "latin1",
                b"-----BEGIN PRIVATE KEY-----\nAA\xe4\n-----END PRIVATE KEY-----\n\
                  -----BEGIN CERTIFICATE-----\nAA\xe4\n-----END CERTIFICATE-----\n",
            ),
            "not base64",
        ),
    ] {
        for sentence in [
            error(&path, open(&path)),
            error(&path, read_certificates(&path)),
        ] {
            assert!(sentence.contains(words), "{}: {sentence}", path.display());
        }
        error(&path, open_pkcs12(&path, &mut never_asked));
    }
}

#[test]
fn one_thing_where_another_was_meant() {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop.certificate("hub", "hub", "", LEAF);
    workshop.openssl("x509 -in hub.pem -outform DER -out cert.der");
    workshop.openssl("pkey -in hub.key -outform DER -out key.der");
    workshop.openssl("pkey -in hub.key -pubout -out public.pem");
    workshop.openssl("pkcs12 -export -inkey hub.key -in hub.pem -passout pass: -out hub.p12");
    workshop.openssl("crl2pkcs7 -nocrl -certfile hub.pem -out hub.p7");
    workshop.write(
        "twice",
        [workshop.read("hub.key"), workshop.read("hub.key")].concat(),
    );
    let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    workshop.write("openssh", openssh);
    workshop.write("tss2", openssh.replace("OPENSSH", "TSS2"));

    for (name, words) in [
        ("hub.pem", "no private key"),
        ("cert.der", "no private key"),
        ("public.pem", "no private key"),
        ("hub.p12", "PKCS#12"),
        ("twice", "more than one private key"),
        ("openssh", "OpenSSH"),
        ("tss2", "TPM"),
    ] {
        let path = workshop.path(name);
        let sentence = error(&path, open(&path));
        assert!(sentence.contains(words), "{name}: {sentence}");
    }
    for (name, words) in [
        ("hub.key", "no certificate"),
        ("key.der", "no certificate"),
        ("hub.p12", "PKCS#12"),
        ("hub.p7", "PKCS#7"),
    ] {
        let path = workshop.path(name);
        let sentence = error(&path, read_certificates(&path));
        assert!(sentence.contains(words), "{name}: {sentence}");
    }
}

#[test]
fn der_certificates_one_after_the_other() {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop.certificate("hub", "hub", "", LEAF);
    workshop.openssl("x509 -in hub.pem -outform DER -out one");
    let one = workshop.read("one");
    let two = workshop.write("two", [&one[..], &one[..]].concat());
    assert_eq!(read_certificates(&two).unwrap(), [&one[..], &one[..]]);
    let cut = workshop.write("cut", [&one[..], &one[..one.len() - 1]].concat());
    assert!(error(&cut, read_certificates(&cut)).contains("damaged"));
    let other = workshop.write("other", [&one[..], &[0x30, 3, 2, 1, 1]].concat());
    assert!(error(&other, read_certificates(&other)).contains("certificate 2"));
}

#[test]
fn a_key_that_others_can_read() {
    let workshop = Workshop::new();
    let key = workshop.key("hub", P256);
    let certificate = workshop.certificate("hub", "hub", "", LEAF);
    let link = workshop.path("link");
    symlink(&key, &link).unwrap();

    for (mode, proper) in [
        (0o644, 0o600),
        (0o640, 0o600),
        (0o660, 0o600),
        (0o444, 0o400),
    ] {
        set_mode(&key, mode);
        let warning = check_permissions(&link).unwrap();
        let real = key.canonicalize().unwrap();
        assert_eq!(
            warning,
            Warning::Exposed {
                path: real.clone(),
                mode,
                proper
            }
        );
        let command = format!("chmod {proper:o} {}", real.display());
        assert!(warning.to_string().ends_with(&command), "{warning}");

        let files = FileIdentity {
            certificate: &certificate,
            private_key: Some(&link),
            intermediates: None,
        };
        let (_, warnings) = open_identity(&files, &mut never_asked).unwrap();
        assert_eq!(warnings, [warning]);
    }
    for mode in [0o600, 0o400, 0o700] {
        set_mode(&key, mode);
        assert_eq!(check_permissions(&link), None);
    }
    assert_eq!(check_permissions(&workshop.path("missing")), None);
}

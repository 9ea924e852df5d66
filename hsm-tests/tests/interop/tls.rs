//! Client certificates for `rustls`, judged by OpenSSL's server: keys in files, and signers that fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hsm_tests::TlsServer;
use keystead::backend::BoxedSigner;
use keystead::ca::{KeyType, PrivateKey};
use keystead::core::key::{KeyKind, Scheme, SignError, Signer};
use keystead::tls::{ClientCertificate, UnsupportedKey};

fn signer(kind: KeyType) -> BoxedSigner {
    PrivateKey::generate(kind).unwrap().signer().unwrap()
}

#[test]
fn every_kind_of_key_is_let_in_by_tls_1_2_and_1_3() {
    let mut server = TlsServer::new();
    for (kind, signature, hash) in [
        (KeyType::Rsa2048, "RSA-PSS", "SHA256"),
        (KeyType::P256, "ECDSA", "SHA256"),
        (KeyType::P384, "ECDSA", "SHA384"),
        (KeyType::P521, "ECDSA", "SHA512"),
    ] {
        let client = server.client(signer(kind));
        for (argument, version) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
            if (kind, version) == (KeyType::P521, "TLSv1.2") {
                // There a certificate may only be on a curve that the client also offers for the key
                // exchange (RFC 8422 section 5.1), and rustls has no P-521 to offer.
                let error = server.meet(&client, &[argument]).unwrap_err();
                assert!(error.to_string().contains("IllegalParameter"), "{error}");
                continue;
            }
            let said = server.meet(&client, &[argument]).unwrap();
            for line in [
                format!("Protocol version: {version}"),
                "Peer certificate: CN = hub-17".into(),
                format!("Hash used: {hash}"),
                format!("Signature type: {signature}"),
                "Verification: OK".into(),
            ] {
                assert!(said.lines().any(|said| said == line), "{line}: {said}");
            }
        }
    }
}

#[test]
fn an_rsa_key_signs_with_what_the_server_takes() {
    let mut server = TlsServer::new();
    let client = server.client(signer(KeyType::Rsa2048));
    for (version, offer, signature, hash) in [
        ("-tls1_3", "RSA-PSS+SHA384", "RSA-PSS", "SHA384"),
        ("-tls1_3", "RSA-PSS+SHA512", "RSA-PSS", "SHA512"),
        ("-tls1_2", "RSA-PSS+SHA512", "RSA-PSS", "SHA512"),
        ("-tls1_2", "RSA+SHA256", "RSA", "SHA256"),
        ("-tls1_2", "RSA+SHA384", "RSA", "SHA384"),
        ("-tls1_2", "RSA+SHA512:RSA+SHA1", "RSA", "SHA512"),
        ("-tls1_2", "RSA+SHA256:RSA-PSS+SHA384", "RSA-PSS", "SHA384"),
    ] {
        let said = server.meet(&client, &[version, "-client_sigalgs", offer]);
        let said = said.unwrap_or_else(|error| panic!("{offer}: {error}"));
        for line in [
            format!("Hash used: {hash}"),
            format!("Signature type: {signature}"),
        ] {
            assert!(said.lines().any(|said| said == line), "{line}: {said}");
        }
    }
}

#[test]
fn who_is_not_certified_or_cannot_sign_so_stays_outside() {
    let mut server = TlsServer::new();
    let stranger = TlsServer::new().client(signer(KeyType::P256));
    let error = server.meet(&stranger, &[]).unwrap_err().to_string();
    assert!(error.contains("UnknownCA"), "{error}");

    let client = server.client(signer(KeyType::P384));
    let offer = ["-client_sigalgs", "ECDSA+SHA256:RSA-PSS+SHA256"];
    let error = server.meet(&client, &offer).unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
}

#[test]
fn ml_dsa_keys_are_refused_by_name() {
    let mut server = TlsServer::new();
    let identity = server.identity(signer(KeyType::MlDsa65));
    let error = ClientCertificate::new(identity).unwrap_err();
    assert_eq!(error, UnsupportedKey(KeyKind::MlDsa65));
    assert!(error.to_string().starts_with("ML-DSA-65 keys cannot"));
}

/// Fails, or panics, in place of its second signature.
struct Flaky {
    signer: BoxedSigner,
    signatures: usize,
    panics: bool,
}

impl Signer for Flaky {
    fn key(&self) -> KeyKind {
        self.signer.key()
    }

    fn public_key(&self) -> &[u8] {
        self.signer.public_key()
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        self.signatures += 1;
        match (self.signatures, self.panics) {
            (2, true) => panic!("in the signer"),
            (2, false) => Err(SignError::Device {
                call: "C_Sign",
                code: 0x32,
                name: "CKR_DEVICE_REMOVED",
            }),
            _ => self.signer.sign(scheme, message, out),
        }
    }
}

fn flaky(panics: bool) -> BoxedSigner {
    Box::new(Flaky {
        signer: signer(KeyType::P256),
        signatures: 0,
        panics,
    })
}

#[test]
fn what_the_device_said_is_in_the_handshakes_error_and_the_next_one_works() {
    let mut server = TlsServer::new();
    let client = server.client(flaky(false));
    for version in ["-tls1_2", "-tls1_3"] {
        server.meet(&client, &[version]).unwrap();
        if version == "-tls1_2" {
            let error = server.meet(&client, &[version]).unwrap_err().to_string();
            assert!(error.contains("C_Sign: CKR_DEVICE_REMOVED"), "{error}");
        }
    }
    assert_eq!(format!("{client:?}"), "ClientCertificate(P256)");
}

#[test]
fn a_signer_that_panicked_is_not_used_again() {
    let mut server = TlsServer::new();
    let client = server.client(flaky(true));
    server.meet(&client, &[]).unwrap();
    let meeting = catch_unwind(AssertUnwindSafe(|| server.meet(&client, &[])));
    assert!(meeting.is_err());
    let error = server.meet(&client, &[]).unwrap_err().to_string();
    assert!(error.contains("could not be made"), "{error}");
}

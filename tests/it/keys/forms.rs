//! Each kind of key in each encoding, signing what OpenSSL then verifies, and the other way round.

use keystead::backend::signature::{VerifyError, verify};
use keystead::core::identity::same_key;
use keystead::core::key::{KeyKind, MAX_SIGNATURE_LEN, Scheme, SignError, Signer};

use super::{error, open, public_key};
use crate::support::openssl::{P256, Workshop};

const MESSAGE: &[u8] = b"AWS4-X509-ECDSA-SHA256\n20261122T061959Z\n";

const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";
const RSA_2048: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";

const ECDSA: [Scheme; 3] = [
    Scheme::EcdsaSha256,
    Scheme::EcdsaSha384,
    Scheme::EcdsaSha512,
];
const RSA: [Scheme; 6] = [
    Scheme::RsaPkcs1Sha256,
    Scheme::RsaPkcs1Sha384,
    Scheme::RsaPkcs1Sha512,
    Scheme::RsaPssSha256,
    Scheme::RsaPssSha384,
    Scheme::RsaPssSha512,
];

/// The arguments with which `openssl dgst` signs and verifies in a scheme.
fn dgst(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::RsaPkcs1Sha256 | Scheme::EcdsaSha256 => "-sha256",
        Scheme::RsaPkcs1Sha384 | Scheme::EcdsaSha384 => "-sha384",
        Scheme::RsaPkcs1Sha512 | Scheme::EcdsaSha512 => "-sha512",
        Scheme::RsaPssSha256 => {
            "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"
        }
        Scheme::RsaPssSha384 => {
            "-sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"
        }
        Scheme::RsaPssSha512 => {
            "-sha512 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"
        }
        other => panic!("OpenSSL 3.0 has no {other:?}"),
    }
}

fn sign(signer: &mut dyn Signer, scheme: Scheme) -> Vec<u8> {
    let mut signature = vec![0; MAX_SIGNATURE_LEN];
    let len = signer.sign(scheme, MESSAGE, &mut signature).unwrap();
    assert!(len <= signer.key().max_signature_len());
    signature.truncate(len);
    signature
}

/// Signs in every scheme that is listed, and is refused in the others.
fn check(workshop: &Workshop, key: &str, kind: KeyKind, schemes: &[Scheme]) {
    let mut signer = open(workshop.path(key)).unwrap();
    assert_eq!(signer.key(), kind);
    let public = public_key(workshop, key);
    assert!(same_key(signer.public_key(), &public));
    workshop.write("message", MESSAGE);
    workshop.openssl("pkey -pubin -inform DER -in public.der -out public.pem");

    for scheme in ECDSA.into_iter().chain(RSA).chain([Scheme::MlDsa]) {
        if !schemes.contains(&scheme) {
            let mut out = [0; MAX_SIGNATURE_LEN];
            assert_eq!(
                signer.sign(scheme, MESSAGE, &mut out),
                Err(SignError::UnsupportedScheme),
                "{scheme:?}"
            );
            continue;
        }
        let signature = sign(&mut *signer, scheme);
        assert_eq!(
            signer.sign(scheme, MESSAGE, &mut [0; 8]),
            Err(SignError::BufferTooSmall)
        );
        workshop.write("signature", &signature);
        workshop.openssl(&format!(
            "dgst {} -verify public.pem -signature signature message",
            dgst(scheme)
        ));
        assert_eq!(verify(&public, scheme, MESSAGE, &signature), Ok(()));
    }
}

/// OpenSSL signs, we verify; another message, another signature and another key fail.
fn check_verification(workshop: &Workshop, key: &str, schemes: &[Scheme]) {
    let public = public_key(workshop, key);
    workshop.write("message", MESSAGE);
    for &scheme in schemes {
        workshop.openssl(&format!(
            "dgst {} -sign {key} -out signature message",
            dgst(scheme)
        ));
        let mut signature = workshop.read("signature");
        assert_eq!(
            verify(&public, scheme, MESSAGE, &signature),
            Ok(()),
            "{key} {scheme:?}"
        );
        assert_eq!(
            verify(&public, scheme, b"another", &signature),
            Err(VerifyError::Invalid)
        );
        *signature.last_mut().unwrap() ^= 1;
        assert_eq!(
            verify(&public, scheme, MESSAGE, &signature),
            Err(VerifyError::Invalid)
        );
        assert_eq!(
            verify(&public, scheme, MESSAGE, &[]),
            Err(VerifyError::Invalid)
        );
    }
}

#[test]
fn ec_in_every_encoding() {
    let workshop = Workshop::new();
    for (name, curve, kind) in [
        ("p256", P256, KeyKind::P256),
        ("p384", P384, KeyKind::P384),
        ("p521", P521, KeyKind::P521),
    ] {
        workshop.key(name, curve);
        let all = [
            format!("pkey -in {name}.key -out 1"),
            format!("pkey -in {name}.key -outform DER -out 2"),
            format!("ec -in {name}.key -out 3"),
            format!("ec -in {name}.key -outform DER -out 4"),
            format!("ec -in {name}.key -no_public -out 5"),
        ];
        for (index, command) in all.iter().enumerate() {
            workshop.openssl(command);
            check(&workshop, &(index + 1).to_string(), kind, &ECDSA);
        }
        check_verification(&workshop, &format!("{name}.key"), &ECDSA);
    }
}

#[test]
fn ec_with_a_compressed_public_key() {
    let workshop = Workshop::new();
    for curve in [P256, P384, P521] {
        workshop.key("key", curve);
        workshop.openssl("ec -in key.key -conv_form compressed -out compressed");
        let signer = open(workshop.path("compressed")).unwrap();
        assert_eq!(signer.public_key(), public_key(&workshop, "key.key"));
    }
}

#[test]
fn ec_with_parameters_in_front() {
    let workshop = Workshop::new();
    workshop.openssl("ecparam -name prime256v1 -genkey -out key.pem");
    let text = workshop.read("key.pem");
    assert!(text.starts_with(b"-----BEGIN EC PARAMETERS-----"));
    check(&workshop, "key.pem", KeyKind::P256, &ECDSA);
}

#[test]
fn rsa_in_every_encoding() {
    let workshop = Workshop::new();
    workshop.key("rsa", RSA_2048);
    for (name, command) in [
        ("1", "pkey -in rsa.key -out 1"),
        ("2", "pkey -in rsa.key -outform DER -out 2"),
        ("3", "rsa -in rsa.key -traditional -out 3"),
        ("4", "rsa -in rsa.key -traditional -outform DER -out 4"),
    ] {
        workshop.openssl(command);
        check(&workshop, name, KeyKind::Rsa { bits: 2048 }, &RSA);
    }
    check_verification(&workshop, "rsa.key", &RSA);
}

#[test]
fn rsa_3072_and_4096() {
    let workshop = Workshop::new();
    for bits in [3072, 4096] {
        workshop.key(
            "rsa",
            &format!("-algorithm RSA -pkeyopt rsa_keygen_bits:{bits}"),
        );
        check(&workshop, "rsa.key", KeyKind::Rsa { bits }, &RSA);
    }
}

#[test]
fn keys_that_are_refused_by_name() {
    let workshop = Workshop::new();
    for (arguments, words) in [
        ("-algorithm ED25519", "Ed25519"),
        ("-algorithm ED448", "Ed448"),
        ("-algorithm X25519", "X25519"),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
            "secp256k1",
        ),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1",
            "unknown curve 1.3.36.3.3.2.8.1.1.7",
        ),
        (
            "-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            "spells its curve out",
        ),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:1024", "1024 bits"),
        ("-algorithm RSA -pkeyopt rsa_keygen_bits:2560", "2560 bits"),
        ("-algorithm RSA-PSS", "RSASSA-PSS"),
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3",
            "exponent",
        ),
        (
            "-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_primes:3",
            "primes",
        ),
    ] {
        let path = workshop.key("key", arguments);
        let sentence = error(&path, open(&path));
        assert!(sentence.contains(words), "{arguments}: {sentence}");
    }
    let path = workshop.path("sec1");
    workshop.openssl("ecparam -name secp256k1 -genkey -noout -out sec1");
    assert!(error(&path, open(&path)).contains("secp256k1"));
}

#[test]
fn parts_that_do_not_belong_together() {
    let workshop = Workshop::new();
    for curve in [P256, P384] {
        workshop.key("one", curve);
        workshop.key("two", curve);
        for name in ["one", "two"] {
            workshop.openssl(&format!("ec -in {name}.key -outform DER -out {name}"));
        }
        // The public key is at the end.
        let (one, two) = (workshop.read("one"), workshop.read("two"));
        let middle = one.len() / 2;
        let path = workshop.write("mixed", [&one[..middle], &two[middle..]].concat());
        let sentence = error(&path, open(&path));
        assert!(sentence.contains("belong together"), "{sentence}");
    }
}

#[test]
fn algorithms_and_keys_must_fit() {
    let workshop = Workshop::new();
    workshop.key("p256", P256);
    workshop.key("rsa", RSA_2048);
    let ec = public_key(&workshop, "p256.key");
    let rsa = public_key(&workshop, "rsa.key");
    for (key, scheme) in [
        (&ec, Scheme::RsaPkcs1Sha256),
        (&ec, Scheme::RsaPssSha512),
        (&ec, Scheme::MlDsa),
        (&rsa, Scheme::EcdsaSha256),
        (&rsa, Scheme::MlDsa),
    ] {
        assert_eq!(verify(key, scheme, b"", b""), Err(VerifyError::OtherKey));
    }
    assert_eq!(
        verify(b"no key", Scheme::MlDsa, b"", b""),
        Err(VerifyError::PublicKey)
    );
    workshop.key("rsa", "-algorithm RSA -pkeyopt rsa_keygen_bits:1024");
    let rsa = public_key(&workshop, "rsa.key");
    assert_eq!(
        verify(&rsa, Scheme::RsaPkcs1Sha256, b"", b""),
        Err(VerifyError::RsaBits(1024))
    );
}

//! Signatures by keys at persistent handles.

use hsm_tests::{Interposer, Swtpm};
use keystead::core::key::{KeyKind, Scheme, SignError, Signer as _};

use crate::support::*;

#[test]
fn keys_of_each_kind_sign() {
    use Scheme::*;
    let rsa: &[Scheme] = &[
        RsaPkcs1Sha256,
        RsaPkcs1Sha384,
        RsaPkcs1Sha512,
        RsaPssSha256,
        RsaPssSha384,
        RsaPssSha512,
    ];
    let ec: &[Scheme] = &[EcdsaSha256, EcdsaSha384, EcdsaSha512];
    for (algorithm, kind, schemes) in [
        ("rsa2048:null:null", KeyKind::Rsa { bits: 2048 }, rsa),
        ("rsa3072:null:null", KeyKind::Rsa { bits: 3072 }, rsa),
        ("ecc256:null:null", KeyKind::P256, ec),
        ("ecc384:null:null", KeyKind::P384, ec),
        ("ecc521:null:null", KeyKind::P521, ec),
    ] {
        let tpm = Swtpm::new();
        tpm.make_storage_root();
        tpm.make_key(algorithm, "|noda|sign", "keypin", HANDLE);
        let mut opened = open(&tpm.access(), &request(), Some("keypin")).unwrap();
        assert_eq!(opened.signer.key(), kind);
        for scheme in schemes {
            signs(&mut opened.signer, *scheme);
        }
    }
}

#[test]
fn a_wrong_auth_value_is_no_lost_key() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|noda|sign", "keypin", HANDLE);
    let mut opened = open(&tpm.access(), &request(), Some("wrong")).unwrap();
    let error = sign(&mut opened.signer, Scheme::EcdsaSha256).unwrap_err();
    assert_eq!(error, SignError::PinRefused);
}

/// A TPM may take the longest salt that fits (TPM 2.0 Part 1, section B.7), which no TLS server takes: swtpm
/// does not, so that openssl makes the signatures here.
#[test]
fn signatures_with_long_salts_are_not_handed_out() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let openssl = |line: &str| {
        let mut command = tpm.command("openssl");
        hsm_tests::run(command.args(line.split(' '))).success();
    };
    openssl("genrsa -out rsa.pem 2048");
    std::fs::write(tpm.folder().join("message"), "message").unwrap();
    openssl(
        "dgst -sha256 -sign rsa.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max -out long message",
    );
    let long = std::fs::read(tpm.folder().join("long")).unwrap();
    let key = tpm.folder().join("rsa.pem");
    tpm.import_key(&key, "rsa", "userwithauth|noda|sign", "", HANDLE)
        .unwrap();
    let interposer = Interposer::new(&tpm, move |command, answer| {
        // TPM2_Sign. Before the signature: its algorithm (TPM_ALG_RSAPSS), its hash, its length.
        if command == 0x15d && answer[14..16] == [0, 0x16] {
            answer[20..20 + long.len()].copy_from_slice(&long);
        }
    });
    let mut opened = open(&interposer.access(&tpm), &request(), None).unwrap();
    let ((), commands) = tpm.commands_of(|| {
        for scheme in [Scheme::RsaPssSha256, Scheme::RsaPssSha384] {
            let result = sign(&mut opened.signer, scheme);
            assert_eq!(result, Err(SignError::UnsupportedScheme));
        }
    });
    assert_eq!(commands, ["Sign"]);
    signs(&mut opened.signer, Scheme::RsaPkcs1Sha256);
}

/// A key's own scheme leaves it no other; and one that leaves no scheme for Roles Anywhere is of no use.
#[test]
fn keys_with_a_scheme_of_their_own_sign_by_that_one_only() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    for (algorithm, can, cannot) in [
        (
            "ecc384:ecdsa-sha256",
            Scheme::EcdsaSha256,
            Scheme::EcdsaSha384,
        ),
        (
            "rsa2048:rsassa-sha256:null",
            Scheme::RsaPkcs1Sha256,
            Scheme::RsaPssSha256,
        ),
    ] {
        tpm.make_key(algorithm, "|noda|sign", "", HANDLE);
        let mut opened = open(&tpm.access(), &request(), None).unwrap();
        signs(&mut opened.signer, can);
        let ((), commands) = tpm.commands_of(|| {
            let result = sign(&mut opened.signer, cannot);
            assert_eq!(result, Err(SignError::UnsupportedScheme), "{algorithm}");
        });
        assert!(commands.is_empty(), "{commands:?}");
        drop(opened);
        tpm.tool(&format!("evictcontrol -Q -C o -c {HANDLE:#x}"));
    }
}

#[test]
fn keys_that_are_of_no_use_are_refused_by_name() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    for (algorithm, attributes, says) in [
        (
            "ecc384:ecdsa-sha384",
            "|sign",
            "it signs by ECDSA with SHA-384 only, and IAM Roles Anywhere wants ECDSA with SHA-256 from EC P-384",
        ),
        (
            "rsa2048:rsapss-sha256:null",
            "|sign",
            "it signs by RSA-PSS with SHA-256 only",
        ),
        (
            "ecc256:ecdsa-sha256:null",
            "|sign|restricted",
            "it is an attestation key (restricted, sign)",
        ),
        (
            "ecc256:aes128cfb",
            "|decrypt|restricted",
            "it is a storage key (restricted, decrypt)",
        ),
        (
            "rsa2048",
            "|decrypt",
            "it only decrypts (no sign attribute)",
        ),
        ("hmac", "|sign", "it is sealed data or an HMAC key"),
        (
            "aes128cfb",
            "|decrypt",
            "it only decrypts (no sign attribute)",
        ),
        ("aes128cfb", "|decrypt|sign", "it is a symmetric key"),
    ] {
        tpm.make_key(algorithm, attributes, "", HANDLE);
        let error = open(&tpm.access(), &request(), None).err().unwrap();
        let text = error.to_string();
        assert!(text.contains(says), "{algorithm}{attributes}: {text}");
        assert!(text.starts_with("tpm:handle=0x81000011: "), "{text}");
        tpm.tool(&format!("evictcontrol -Q -C o -c {HANDLE:#x}"));
    }
}

#[test]
fn where_there_is_no_key_the_handle_is_named() {
    let tpm = Swtpm::new();
    let error = open(&tpm.access(), &request(), None).err().unwrap();
    assert_eq!(error.to_string(), "tpm:handle=0x81000011: there is no key");
}

#[test]
fn keys_that_count_towards_lockout_warn() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    for (attributes, warnings) in [("|sign", 1), ("|noda|sign", 0)] {
        tpm.make_key("ecc256", attributes, "", HANDLE);
        let opened = open(&tpm.access(), &request(), None).unwrap();
        assert_eq!(opened.warnings.len(), warnings, "{:?}", opened.warnings);
        drop(opened);
        tpm.tool(&format!("evictcontrol -Q -C o -c {HANDLE:#x}"));
    }
}

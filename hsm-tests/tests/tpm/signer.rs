//! Signatures by keys at persistent handles.

use hsm_tests::Swtpm;
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

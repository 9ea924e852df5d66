//! ML-DSA keys in the three forms of RFC 9881. OpenSSL 3.0 has none, so they are put together here,
//! and one pair comes from AWS's reference helper.

use keystead::backend::file::{FileIdentity, open as open_identity};
use keystead::backend::signature::{VerifyError, verify};
use keystead::core::key::{KeyKind, Scheme, SignError, Signer};
use ml_dsa::{MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Seed, SigningKey};

use super::{error, never_asked, open};
use crate::support::openssl::Workshop;
use crate::support::vectors;

/// DER: a header and the contents.
fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
    let len = u16::try_from(contents.len()).unwrap().to_be_bytes();
    let header: &[u8] = match contents.len() {
        0..128 => &[tag, len[1]],
        128..256 => &[tag, 0x81, len[1]],
        _ => &[tag, 0x82, len[0], len[1]],
    };
    [header, contents].concat()
}

/// PKCS#8; `set` is 17, 18 or 19, the end of the algorithm's identifier.
fn pkcs8(set: u8, private_key: &[u8]) -> Vec<u8> {
    let algorithm = der(6, &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, set]);
    let fields = [der(2, &[0]), der(0x30, &algorithm), der(4, private_key)];
    der(0x30, &fields.concat())
}

#[expect(deprecated, reason = "files hold the expanded form")]
fn expanded<P: MlDsaParams>(seed: [u8; 32]) -> Vec<u8> {
    let key = SigningKey::<P>::from_seed(&Seed::from(seed));
    key.expanded_key().to_expanded().to_vec()
}

fn check<P: MlDsaParams>(kind: KeyKind, set: u8) {
    let workshop = Workshop::new();
    let seed = [7; 32];
    let expanded_key = expanded::<P>(seed);
    let both = [der(4, &seed), der(4, &expanded_key)].concat();
    let forms = [der(0x80, &seed), der(4, &expanded_key), der(0x30, &both)];
    let mut signatures = Vec::new();
    for form in forms {
        let path = workshop.write("key", pkcs8(set, &form));
        let mut signer = open(&path).unwrap();
        assert_eq!(signer.key(), kind);
        let mut signature = vec![0; kind.max_signature_len()];
        let len = signer.sign(Scheme::MlDsa, b"message", &mut signature);
        assert_eq!(len, Ok(signature.len()));
        assert_eq!(
            signer.sign(Scheme::MlDsa, b"message", &mut [0; 9]),
            Err(SignError::BufferTooSmall)
        );
        assert_eq!(
            signer.sign(Scheme::EcdsaSha256, b"message", &mut signature.clone()),
            Err(SignError::UnsupportedScheme)
        );
        let public = signer.public_key();
        assert_eq!(
            verify(public, Scheme::MlDsa, b"message", &signature),
            Ok(())
        );
        assert_eq!(
            verify(public, Scheme::MlDsa, b"another", &signature),
            Err(VerifyError::Invalid)
        );
        signatures.push(signature);
    }
    // Deterministic, so all three are the same key.
    assert!(signatures.windows(2).all(|pair| pair[0] == pair[1]));

    let mixed = [der(4, &[8; 32]), der(4, &expanded_key)].concat();
    // The hash of the public key, and the first byte of s1, where no coefficient is 7 below eta.
    let [mut changed, mut out_of_range] = [expanded_key.clone(), expanded_key.clone()];
    changed[64] ^= 1;
    out_of_range[128] = 0xff;
    for (form, words) in [
        (der(0x30, &mixed), "belong together"),
        (der(4, &changed), "belong together"),
        (der(4, &out_of_range), "belong together"),
        (der(0x80, &seed[1..]), "damaged"),
        (der(4, &expanded_key[1..]), "damaged"),
        (seed.to_vec(), "damaged"),
        (der(0x30, &der(4, &seed)), "damaged"),
    ] {
        let path = workshop.write("key", pkcs8(set, &form));
        let sentence = error(&path, open(&path));
        assert!(sentence.contains(words), "{kind}: {sentence}");
    }
}

#[test]
fn ml_dsa_44() {
    check::<MlDsa44>(KeyKind::MlDsa44, 17);
}

#[test]
fn ml_dsa_65() {
    check::<MlDsa65>(KeyKind::MlDsa65, 18);
}

#[test]
fn ml_dsa_87() {
    check::<MlDsa87>(KeyKind::MlDsa87, 19);
}

#[test]
fn the_reference_helpers_own() {
    let certificate = vectors::folder().join("keys/mldsa44-cert.pem");
    let key = vectors::folder().join("keys/mldsa44-key.pem");
    if !certificate.exists() {
        return;
    }
    let files = FileIdentity {
        certificate: &certificate,
        private_key: Some(&key),
        intermediates: None,
    };
    let (identity, _) = open_identity(&files, &mut never_asked).unwrap();
    assert_eq!(identity.key(), KeyKind::MlDsa44);
}

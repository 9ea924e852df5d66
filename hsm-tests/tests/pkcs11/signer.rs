//! The signer over SoftHSM: every kind of key, every scheme, proven by OpenSSL's rules.

use hsm_tests::{SoftHsm, StoredPin};
use keystead::backend::pkcs11::{KeyAlgorithm, Leaf, Local, OpenKey, Tokens as _};
use keystead::backend::signature::verify;
use keystead::core::key::{MAX_SIGNATURE_LEN, Scheme, Signer as _};

#[test]
fn each_key_signs_in_its_schemes() {
    SoftHsm::in_process("kinds", |hsm| {
        let mut tokens = Local::new(hsm.access());
        let rsa = [
            Scheme::RsaPkcs1Sha256,
            Scheme::RsaPkcs1Sha384,
            Scheme::RsaPkcs1Sha512,
            Scheme::RsaPssSha256,
            Scheme::RsaPssSha384,
            Scheme::RsaPssSha512,
        ];
        let kinds = [
            (
                KeyAlgorithm::P256,
                &[Scheme::EcdsaSha256, Scheme::EcdsaSha384][..],
            ),
            (
                KeyAlgorithm::P384,
                &[Scheme::EcdsaSha256, Scheme::EcdsaSha384][..],
            ),
            (
                KeyAlgorithm::P521,
                &[Scheme::EcdsaSha256, Scheme::EcdsaSha512][..],
            ),
            (KeyAlgorithm::Rsa(2048), &rsa[..]),
        ];
        for (id, (algorithm, schemes)) in (1..).zip(kinds) {
            hsm.generate(algorithm, id, "key", &[]);
            let request = OpenKey {
                key: Some(hsm.key_uri(id).parse().unwrap()),
                leaf: Leaf::None,
                require_hardware: false,
            };
            let mut opened = tokens.open(&request, Box::new(StoredPin)).unwrap();
            let mut signature = [0; MAX_SIGNATURE_LEN];
            for &scheme in schemes {
                let message = b"what is signed";
                let len = opened.signer.sign(scheme, message, &mut signature).unwrap();
                let public_key = opened.signer.public_key();
                verify(public_key, scheme, message, &signature[..len]).unwrap();
            }
        }
    });
}

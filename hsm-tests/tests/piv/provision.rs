//! Keys made in a YubiKey by keystead, through Yubico's module; and what OpenSC's says instead.

use std::time::Duration;

use hsm_tests::piv::{MANAGEMENT_KEY, OPENSC, PIN, YKCS11};
use hsm_tests::{Card, lab};
use keystead::backend::pkcs11::{
    Access, GenerateKey, KeyAlgorithm, Leaf, Local, Notice, OpenKey, Operator, PinRequest, PinRole,
    StoreCertificate, TokenError, Tokens as _, Uri,
};
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::signature::verify;
use keystead::ca::{Authority, KeyType, Template, Usage, Validity};
use keystead::core::key::{MAX_SIGNATURE_LEN, Signer as _};
use keystead::core::x509::Certificate;

use crate::filled::filled;

/// Stored secrets: the PIN, and the management key.
struct Stored;

impl Operator for Stored {
    fn pin(&mut self, request: &PinRequest) -> Result<Option<Secret>, SecretError> {
        let secret = match request.role {
            PinRole::SecurityOfficer => MANAGEMENT_KEY,
            PinRole::User | PinRole::Signature => PIN,
        };
        Ok(Some(Secret::new(secret.into())))
    }
    fn is_person(&self) -> bool {
        false
    }
    fn notify(&mut self, _: &Notice) {}
}

fn tokens(card: &Card, module: &str) -> Local {
    Local::new(Access {
        module: module.into(),
        state: Some(card.folder().join("state")),
        reuse_pin: false,
        timeout: Duration::from_secs(30),
    })
}

fn pair(uri: &str, algorithm: KeyAlgorithm, role: PinRole) -> GenerateKey {
    GenerateKey {
        uri: uri.parse().unwrap(),
        algorithm,
        allow_duplicate: false,
        role,
    }
}

/// A certificate for a public key, from an authority that is gone at once.
fn certify(public_key: &[u8]) -> Vec<u8> {
    let validity = |secs| Validity::starting(lab::now(), Duration::from_secs(secs));
    let subject = "CN=Test CA".parse().unwrap();
    let mut authority = Authority::new_in_memory(subject, KeyType::P256, validity(7200)).unwrap();
    let subject = "CN=someone".parse().unwrap();
    let template = Template::new(Usage::Client, subject, validity(3600));
    authority.certify(&template, public_key).unwrap()
}

fn store(key: &Uri, certificate: &[u8], replace: bool) -> StoreCertificate {
    StoreCertificate {
        key: key.clone(),
        certificate: certificate.to_vec(),
        replace,
        role: PinRole::SecurityOfficer,
    }
}

#[test]
fn a_key_and_its_certificate_through_yubicos_module() {
    Card::in_process(|card| {
        let mut tokens = tokens(&card, YKCS11);
        for (id, algorithm) in [
            ("%01", KeyAlgorithm::P256),
            ("%02", KeyAlgorithm::Rsa(2048)),
        ] {
            let uri = format!("pkcs11:id={id}");
            // The PIN alone does not make keys, and the error says what does.
            let error = tokens
                .generate(&pair(&uri, algorithm, PinRole::User), &mut Stored)
                .unwrap_err();
            assert!(error.concerns_pin(), "{error}");
            let remedy = error.remedy().unwrap();
            assert!(remedy.contains("--so-pin-source"), "{error}: {remedy}");

            let request = pair(&uri, algorithm, PinRole::SecurityOfficer);
            let made = tokens.generate(&request, &mut Stored).unwrap();
            let again = tokens.generate(&request, &mut Stored).unwrap_err();
            assert!(matches!(again, TokenError::Exists { .. }), "{again}");

            // The placeholder that the module puts beside a new key is in nobody's way.
            let first = certify(&made.public_key);
            tokens
                .store(&store(&made.uri, &first, false), &mut Stored)
                .unwrap();
            let second = certify(&made.public_key);
            let error = tokens
                .store(&store(&made.uri, &second, false), &mut Stored)
                .unwrap_err();
            assert!(matches!(error, TokenError::Exists { .. }), "{error}");
            let uri = tokens
                .store(&store(&made.uri, &second, true), &mut Stored)
                .unwrap();

            let request = OpenKey {
                key: Some(made.uri.clone()),
                leaf: Leaf::Token(Box::new(uri)),
                require_hardware: false,
            };
            let mut opened = tokens.open(&request, Box::new(Stored)).unwrap();
            assert_eq!(opened.certificates[0], second);
            let scheme = opened.signer.key().roles_anywhere_scheme();
            let mut signature = [0; MAX_SIGNATURE_LEN];
            let len = opened.signer.sign(scheme, b"m", &mut signature).unwrap();
            verify(&made.public_key, scheme, b"m", &signature[..len]).unwrap();
        }
    });
}

#[test]
fn a_key_is_made_in_a_slot_that_is_named_and_free() {
    Card::in_process(|card| {
        let mut tokens = tokens(&card, YKCS11);
        for uri in ["pkcs11:object=hub", "pkcs11:id=%01%02", "pkcs11:id=%19"] {
            let request = pair(uri, KeyAlgorithm::P256, PinRole::SecurityOfficer);
            let error = tokens.generate(&request, &mut Stored).unwrap_err();
            assert!(error.to_string().contains("%01 for 9a"), "{error}");
        }
        let mut request = pair(
            "pkcs11:id=%01",
            KeyAlgorithm::P256,
            PinRole::SecurityOfficer,
        );
        tokens.generate(&request, &mut Stored).unwrap();
        // It would be overwritten, which no flag allows.
        request.allow_duplicate = true;
        let error = tokens.generate(&request, &mut Stored).unwrap_err();
        assert!(
            matches!(error, TokenError::Exists { unless: None, .. }),
            "{error:?}"
        );
    });
}

#[test]
fn what_opensc_cannot_do_names_a_tool_that_can() {
    Card::in_process(|card| {
        let present = filled(&card, &[("9a", "ECCP256")]).remove(0);
        let mut tokens = tokens(&card, OPENSC);
        let request = pair("pkcs11:id=%01", KeyAlgorithm::P256, PinRole::User);
        let error = tokens.generate(&request, &mut Stored).unwrap_err();
        assert!(matches!(error, TokenError::Unsupported { .. }), "{error:?}");
        assert!(
            error.remedy().unwrap().contains("yubico-piv-tool"),
            "{error}"
        );

        let public_key = Certificate::from_der(&present).unwrap().public_key;
        let request = StoreCertificate {
            role: PinRole::User,
            ..store(
                &"pkcs11:id=%01".parse().unwrap(),
                &certify(public_key),
                true,
            )
        };
        let error = tokens.store(&request, &mut Stored).unwrap_err();
        assert!(matches!(error, TokenError::Unsupported { .. }), "{error:?}");
        assert!(
            error.remedy().unwrap().contains("import-certificate"),
            "{error}"
        );
        let uri = "pkcs11:id=%01;type=cert".parse().unwrap();
        let found = tokens.certificates(&uri, &mut Stored).unwrap();
        assert_eq!(found[0].der, present);
    });
}

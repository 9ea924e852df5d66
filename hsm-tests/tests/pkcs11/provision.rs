//! Keys made in SoftHSM and certificates stored beside them, judged by tools that were not written here.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hsm_tests::contract::{Bench as _, Nss};
use hsm_tests::fault::{Effect, Fault, When, sys};
use hsm_tests::operator::StoredPin;
use hsm_tests::softhsm::{MODULE, SoftHsm};
use hsm_tests::{FaultModule, alone, lab, p11_kit};
use keystead::backend::pkcs11::{
    Access, GenerateKey, KeyAlgorithm, Leaf, Local, OpenKey, PinRole, StoreCertificate, TokenError,
    Tokens as _, Uri,
};
use keystead::backend::signature::verify;
use keystead::ca::{Authority, KeyType, Template, Usage, Validity};
use keystead::core::key::{MAX_SIGNATURE_LEN, Signer as _};
use keystead::host::pkix::Subject;

fn tokens(hsm: &SoftHsm, module: &Path) -> Local {
    open(hsm.folder(), module)
}

fn open(folder: &Path, module: &Path) -> Local {
    Local::new(Access {
        module: module.into(),
        state: Some(folder.join("state")),
        reuse_pin: false,
        timeout: Duration::from_secs(30),
    })
}

fn pair(uri: &str, algorithm: KeyAlgorithm) -> GenerateKey {
    GenerateKey {
        uri: uri.parse().unwrap(),
        algorithm,
        allow_duplicate: false,
        role: PinRole::User,
    }
}

/// What another tool sees in the token.
fn objects(hsm: &SoftHsm) -> String {
    hsm.tool(&["--list-objects"])
}

fn key_of(uri: &Uri) -> OpenKey {
    OpenKey {
        key: Some(uri.clone()),
        leaf: Leaf::None,
        require_hardware: false,
    }
}

const KINDS: [KeyAlgorithm; 6] = [
    KeyAlgorithm::P256,
    KeyAlgorithm::P384,
    KeyAlgorithm::P521,
    KeyAlgorithm::Rsa(2048),
    KeyAlgorithm::Rsa(3072),
    KeyAlgorithm::Rsa(4096),
];

#[test]
fn every_kind_is_made_and_signs() {
    SoftHsm::in_process("kinds", |hsm| {
        let mut tokens = tokens(&hsm, MODULE.as_ref());
        for (index, algorithm) in KINDS.into_iter().enumerate() {
            let label = format!("key {index}");
            let request = pair(
                &format!("pkcs11:token=kinds;object=key%20{index}"),
                algorithm,
            );
            let made = tokens.generate(&request, &mut StoredPin).unwrap();
            assert_eq!(made.uri.object.as_deref(), Some(&*label));
            let id = made.uri.id.clone().unwrap();
            assert_eq!(id.len(), 20);
            assert_eq!(made.uri.serial.as_deref(), Some(&*hsm.serial));

            let mut opened = tokens
                .open(&key_of(&made.uri), Box::new(StoredPin))
                .unwrap();
            assert_eq!(opened.warnings, []);
            assert_eq!(opened.signer.public_key(), made.public_key);
            let scheme = opened.signer.key().roles_anywhere_scheme();
            let mut signature = [0; MAX_SIGNATURE_LEN];
            let len = opened.signer.sign(scheme, b"m", &mut signature).unwrap();
            verify(&made.public_key, scheme, b"m", &signature[..len]).unwrap();
        }
        // Neither its own tool nor GnuTLS's sees anything else, or more that the keys can do.
        let seen = objects(&hsm);
        assert_eq!(seen.matches("Private Key Object").count(), KINDS.len());
        assert_eq!(seen.matches("Public Key Object").count(), KINDS.len());
        let usages: Vec<_> = seen
            .lines()
            .filter(|line| line.contains("Usage:"))
            .collect();
        assert!(
            usages
                .iter()
                .all(|usage| usage.trim() == "Usage:      sign"
                    || usage.trim() == "Usage:      verify"),
            "{usages:?}"
        );
        let access: Vec<_> = seen
            .lines()
            .filter(|line| line.contains("sensitive"))
            .collect();
        assert_eq!(access.len(), KINDS.len());
        for flags in access {
            let wanted = "sensitive, always sensitive, never extractable, local";
            assert!(flags.contains(wanted), "{flags}");
        }
        let listed = hsm.p11tool(&["--list-all-privkeys", "--only-urls"], &hsm.uri());
        assert_eq!(
            listed.matches("type=private").count(),
            KINDS.len(),
            "{listed}"
        );
    });
}

#[test]
fn a_name_that_is_taken_is_refused() {
    SoftHsm::in_process("taken", |hsm| {
        let mut tokens = tokens(&hsm, MODULE.as_ref());
        let first = pair("pkcs11:token=taken;object=hub;id=%01", KeyAlgorithm::P256);
        let made = tokens.generate(&first, &mut StoredPin).unwrap();
        assert_eq!(made.uri.id.as_deref(), Some(&[1][..]));
        for uri in [
            "pkcs11:token=taken;object=hub",
            "pkcs11:token=taken;object=hub;id=%02",
            "pkcs11:token=taken;id=%01",
        ] {
            let error = tokens
                .generate(&pair(uri, KeyAlgorithm::P256), &mut StoredPin)
                .unwrap_err();
            assert!(
                matches!(&error, TokenError::Exists { .. }),
                "{uri}: {error}"
            );
            assert!(error.remedy().unwrap().contains("--allow-duplicate"));
        }
        let again = GenerateKey {
            allow_duplicate: true,
            ..pair("pkcs11:token=taken;object=hub", KeyAlgorithm::P256)
        };
        let other = tokens.generate(&again, &mut StoredPin).unwrap();
        assert_ne!(other.uri, made.uri);

        // A key without any name is named by what it is.
        let made = tokens
            .generate(
                &pair("pkcs11:token=taken", KeyAlgorithm::P384),
                &mut StoredPin,
            )
            .unwrap();
        assert_eq!(made.uri.object, None);
        assert!(tokens.open(&key_of(&made.uri), Box::new(StoredPin)).is_ok());
    });
}

#[test]
fn which_token_has_to_be_clear() {
    SoftHsm::in_process("one", |hsm| {
        hsm.add_token("two");
        let mut tokens = tokens(&hsm, MODULE.as_ref());
        let mut refused = |uri| {
            tokens
                .generate(&pair(uri, KeyAlgorithm::P256), &mut StoredPin)
                .unwrap_err()
        };
        let error = refused("pkcs11:object=hub");
        assert!(matches!(error, TokenError::SeveralTokens { .. }), "{error}");
        let error = refused("pkcs11:token=three;object=hub");
        assert!(matches!(error, TokenError::NoToken { .. }), "{error}");
        assert!(!objects(&hsm).contains("Key Object"));
    });
}

#[test]
fn a_failure_on_the_way_leaves_nothing() {
    SoftHsm::in_process("nothing", |hsm| {
        let mut module = FaultModule::new(hsm.folder(), "fault", MODULE);
        let mut tokens = tokens(&hsm, &module.path());
        for function in ["C_GenerateKeyPair", "C_SignInit", "C_Sign"] {
            module.heal();
            module.fail(Fault::new(
                function,
                When::From(1),
                Effect::Return(sys::CKR_DEVICE_ERROR),
            ));
            let request = pair("pkcs11:token=nothing;object=hub", KeyAlgorithm::P256);
            let error = tokens.generate(&request, &mut StoredPin).unwrap_err();
            let says = format!("{function}: CKR_DEVICE_ERROR");
            assert!(error.to_string().contains(&says), "{error}");
            module.heal();
            assert!(!objects(&hsm).contains("Key Object"), "{function}");
        }
        // A token that fixes the CKA_ID when the key is made gets one that is random.
        module.fail(Fault::new(
            "C_SetAttributeValue",
            When::From(1),
            Effect::Return(sys::CKR_ATTRIBUTE_READ_ONLY),
        ));
        let request = pair("pkcs11:token=nothing;object=hub", KeyAlgorithm::P256);
        let made = tokens.generate(&request, &mut StoredPin).unwrap();
        assert_eq!(made.uri.id.as_ref().map(Vec::len), Some(20));
        assert_eq!(objects(&hsm).matches("Private Key Object").count(), 1);
    });
}

#[test]
fn what_a_module_cannot_do_names_a_tool_that_can() {
    SoftHsm::in_process("cannot", |hsm| {
        let mut module = FaultModule::new(hsm.folder(), "fault", MODULE);
        let mut tokens = tokens(&hsm, &module.path());
        module.fail(Fault::new(
            "C_GenerateKeyPair",
            When::From(1),
            Effect::Return(sys::CKR_FUNCTION_NOT_SUPPORTED),
        ));
        let request = pair("pkcs11:token=cannot;object=hub", KeyAlgorithm::P256);
        let error = tokens.generate(&request, &mut StoredPin).unwrap_err();
        assert!(matches!(error, TokenError::Unsupported { .. }), "{error}");
        assert!(error.remedy().unwrap().contains("tool"), "{error}");
    });
}

#[test]
fn the_security_officer_of_softhsm_makes_no_keys() {
    SoftHsm::in_process("officer", |hsm| {
        let mut tokens = tokens(&hsm, MODULE.as_ref());
        let by_officer = GenerateKey {
            role: PinRole::SecurityOfficer,
            ..pair("pkcs11:token=officer;object=hub", KeyAlgorithm::P256)
        };
        let error = tokens.generate(&by_officer, &mut StoredPin).unwrap_err();
        assert!(matches!(error, TokenError::Unsupported { .. }), "{error}");
        assert!(error.remedy().unwrap().contains("--so-pin-source"));
        // Its login is over: the user's is possible again.
        let by_user = pair("pkcs11:token=officer;object=hub", KeyAlgorithm::P256);
        let made = tokens.generate(&by_user, &mut StoredPin).unwrap();
        assert!(tokens.open(&key_of(&made.uri), Box::new(StoredPin)).is_ok());
    });
}

/// An authority, and certificates of it.
struct Issuer(Authority);

impl Issuer {
    fn new() -> Self {
        let validity = Validity::starting(lab::now(), Duration::from_secs(86_400));
        let subject = "CN=Test CA".parse().unwrap();
        Self(Authority::new_in_memory(subject, KeyType::P256, validity).unwrap())
    }

    fn certify(&mut self, public_key: &[u8]) -> Vec<u8> {
        let subject: Subject = "CN=hub-17,O=Acme".parse().unwrap();
        let validity = Validity::starting(lab::now(), Duration::from_secs(3600));
        let template = Template::new(Usage::Client, subject, validity);
        self.0.certify(&template, public_key).unwrap()
    }
}

fn certificate(key: &Uri, certificate: &[u8], replace: bool) -> StoreCertificate {
    StoreCertificate {
        key: key.clone(),
        certificate: certificate.to_vec(),
        replace,
        role: PinRole::User,
    }
}

/// The certificates that OpenSC's tool reads from the token.
fn stored(hsm: &SoftHsm, id: &[u8]) -> Vec<u8> {
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = hsm.folder().join("read.der");
    let name = file.to_str().unwrap();
    hsm.tool(&["--read-object", "--type", "cert", "--id", &id, "-o", name]);
    fs::read(file).unwrap()
}

#[test]
fn certificates_are_stored_beside_their_keys() {
    SoftHsm::in_process("certificates", |hsm| {
        let mut tokens = tokens(&hsm, MODULE.as_ref());
        let mut issuer = Issuer::new();
        let make = |tokens: &mut Local, label: &str| {
            let uri = format!("pkcs11:token=certificates;object={label}");
            let made = tokens.generate(&pair(&uri, KeyAlgorithm::P256), &mut StoredPin);
            made.unwrap()
        };
        let (hub, other) = (make(&mut tokens, "hub"), make(&mut tokens, "other"));
        let id = hub.uri.id.clone().unwrap();
        let first = issuer.certify(&hub.public_key);
        let second = issuer.certify(&hub.public_key);

        let wrong = certificate(&other.uri, &first, false);
        let error = tokens.store(&wrong, &mut StoredPin).unwrap_err();
        assert!(matches!(error, TokenError::KeyMismatch { .. }), "{error}");

        let uri = tokens
            .store(&certificate(&hub.uri, &first, false), &mut StoredPin)
            .unwrap();
        assert_eq!(uri.id, hub.uri.id);
        assert_eq!(uri.object.as_deref(), Some("hub"));
        assert_eq!(stored(&hsm, &id), first);
        // The same again changes nothing; another one needs to be allowed.
        let again = tokens.store(&certificate(&hub.uri, &first, false), &mut StoredPin);
        assert_eq!(again.unwrap(), uri);
        let error = tokens
            .store(&certificate(&hub.uri, &second, false), &mut StoredPin)
            .unwrap_err();
        assert!(matches!(error, TokenError::Exists { .. }), "{error}");
        assert_eq!(stored(&hsm, &id), first);
        tokens
            .store(&certificate(&hub.uri, &second, true), &mut StoredPin)
            .unwrap();
        assert_eq!(stored(&hsm, &id), second);
        assert_eq!(objects(&hsm).matches("Certificate Object").count(), 1);

        // All that the certificate says of itself is found by it.
        let found = tokens.certificates(&uri, &mut StoredPin).unwrap();
        assert_eq!(found.len(), 1);
        let from_certificate = OpenKey {
            key: None,
            leaf: Leaf::Token(Box::new(uri)),
            require_hardware: false,
        };
        let opened = tokens.open(&from_certificate, Box::new(StoredPin)).unwrap();
        assert_eq!(opened.signer.public_key(), hub.public_key);
    });
}

#[test]
fn a_certificate_that_does_not_get_there_takes_none_away() {
    SoftHsm::in_process("kept", |hsm| {
        let mut module = FaultModule::new(hsm.folder(), "fault", MODULE);
        let mut tokens = tokens(&hsm, &module.path());
        let mut issuer = Issuer::new();
        let request = pair("pkcs11:token=kept;object=hub", KeyAlgorithm::P256);
        let hub = tokens.generate(&request, &mut StoredPin).unwrap();
        let id = hub.uri.id.clone().unwrap();
        let first = issuer.certify(&hub.public_key);
        let second = issuer.certify(&hub.public_key);
        tokens
            .store(&certificate(&hub.uri, &first, false), &mut StoredPin)
            .unwrap();

        let create = |when, code| Fault::new("C_CreateObject", when, Effect::Return(code));
        let replace = certificate(&hub.uri, &second, true);
        // A device that breaks, and a module that never takes what we write.
        for code in [sys::CKR_DEVICE_MEMORY, sys::CKR_TEMPLATE_INCONSISTENT] {
            module.fail(create(When::From(1), code));
            let (refused, calls) = module.during(|| tokens.store(&replace, &mut StoredPin));
            refused.unwrap_err();
            assert!(!calls.contains(&"C_DestroyObject".to_owned()), "{calls:?}");
            module.heal();
            assert_eq!(stored(&hsm, &id), first);
        }
        // The name is taken: the third call is the trial under another one, the next two come after the old
        // certificate was removed. It comes back.
        module.fail(create(When::UpTo(2), sys::CKR_TEMPLATE_INCONSISTENT));
        module.fail(create(When::Nth(4), sys::CKR_TEMPLATE_INCONSISTENT));
        module.fail(create(When::Nth(5), sys::CKR_TEMPLATE_INCONSISTENT));
        tokens.store(&replace, &mut StoredPin).unwrap_err();
        module.heal();
        assert_eq!(stored(&hsm, &id), first);
        // The same, but for the second half.
        module.fail(create(When::UpTo(2), sys::CKR_TEMPLATE_INCONSISTENT));
        tokens.store(&replace, &mut StoredPin).unwrap();
        module.heal();
        assert_eq!(stored(&hsm, &id), second);
        assert_eq!(objects(&hsm).matches("Certificate Object").count(), 1);
    });
}

#[test]
fn an_authoritys_certificate_of_the_same_name_stays() {
    SoftHsm::in_process("authority", |hsm| {
        let mut tokens = tokens(&hsm, MODULE.as_ref());
        let mut issuer = Issuer::new();
        let request = pair(
            "pkcs11:token=authority;object=hub;id=%07",
            KeyAlgorithm::P256,
        );
        let hub = tokens.generate(&request, &mut StoredPin).unwrap();
        let file = hsm.folder().join("authority.der");
        fs::write(&file, issuer.0.certificate()).unwrap();
        hsm.write_certificate(&file, 7, "hub");
        for replace in [false, true] {
            let leaf = issuer.certify(&hub.public_key);
            let request = certificate(&hub.uri, &leaf, replace);
            tokens.store(&request, &mut StoredPin).unwrap();
            assert_eq!(objects(&hsm).matches("Certificate Object").count(), 2);
        }
    });
}

/// A second, independent module, through p11-kit's proxy.
#[test]
fn nss_makes_keys_too() {
    alone(Nss::surroundings, |folder| {
        Nss::set_up(folder);
        let mut tokens = open(folder, &p11_kit::proxy());
        let mut issuer = Issuer::new();
        for algorithm in [
            KeyAlgorithm::P256,
            KeyAlgorithm::P384,
            KeyAlgorithm::Rsa(2048),
        ] {
            let request = pair("pkcs11:token=NSS%20Certificate%20DB", algorithm);
            let made = tokens.generate(&request, &mut StoredPin).unwrap();
            let mut opened = tokens
                .open(&key_of(&made.uri), Box::new(StoredPin))
                .unwrap();
            assert_eq!(opened.warnings, []);
            let scheme = opened.signer.key().roles_anywhere_scheme();
            let mut signature = [0; MAX_SIGNATURE_LEN];
            let len = opened.signer.sign(scheme, b"m", &mut signature).unwrap();
            verify(&made.public_key, scheme, b"m", &signature[..len]).unwrap();
            drop(opened);

            let first = issuer.certify(&made.public_key);
            let second = issuer.certify(&made.public_key);
            let uri = tokens.store(&certificate(&made.uri, &first, false), &mut StoredPin);
            let uri = uri.unwrap();
            let error = tokens
                .store(&certificate(&made.uri, &second, false), &mut StoredPin)
                .unwrap_err();
            assert!(matches!(error, TokenError::Exists { .. }), "{error}");
            tokens
                .store(&certificate(&made.uri, &second, true), &mut StoredPin)
                .unwrap();
            let found = tokens.certificates(&uri, &mut StoredPin).unwrap();
            let found: Vec<_> = found.iter().map(|one| &one.der).collect();
            assert_eq!(found, [&second]);
        }
    });
}

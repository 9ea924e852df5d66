//! Keys are made in the TPM: into files, and at handles.

use std::fs;
use std::path::PathBuf;

use hsm_tests::Swtpm;
use hsm_tests::program::run;
use keystead::backend::signature::verify;
use keystead::backend::tpm::key_file::KeyFile;
use keystead::backend::tpm::{
    AuthProblem, Destination, Device as _, Done, GenerateKey, GeneratedKey, KeyAlgorithm, KeyPlace,
    Local, Object, OpenKey, Parent, Task, TpmError,
};
use keystead::core::key::{Scheme, Signer as _};

use crate::operator::Values;

const HANDLE: u32 = 0x8100_0011;

fn request(to: Destination) -> GenerateKey {
    GenerateKey {
        to,
        parent: Parent::StorageRoot,
        algorithm: KeyAlgorithm::P256,
        with_auth: false,
        counts_towards_lockout: false,
        policy_pcrs: Vec::new(),
    }
}

/// Makes a key; nothing but the key is in the TPM then.
#[track_caller]
fn generate(tpm: &Swtpm, request: GenerateKey, values: Values) -> Result<GeneratedKey, TpmError> {
    let mut values = values;
    let done = Local::new(tpm.access()).perform(&Task::Generate(request), &mut values);
    tpm.assert_nothing_left();
    match done? {
        Done::Generated(key) => Ok(key),
        other => panic!("{other:?}"),
    }
}

/// Signs with a key that was made.
#[track_caller]
fn sign(tpm: &Swtpm, key: &GeneratedKey, values: Values) -> Result<(), TpmError> {
    let place = match &key.file {
        Some(contents) => KeyPlace::File {
            name: "hub.tss2".into(),
            contents: contents.clone(),
        },
        None => KeyPlace::Handle(HANDLE),
    };
    let request = OpenKey {
        key: place,
        certificates: Vec::new(),
        salt: None,
    };
    let mut opened = Local::new(tpm.access()).open(&request, Box::new(values))?;
    assert_eq!(opened.name, key.name);
    assert_eq!(opened.signer.public_key(), key.public_key);
    let scheme = opened.signer.key().roles_anywhere_scheme();
    let mut out = [0; 512];
    let message = b"message";
    let signed = opened.signer.sign(scheme, message, &mut out);
    let len = signed.unwrap_or_else(|error| panic!("{error}"));
    assert!(matches!(
        scheme,
        Scheme::EcdsaSha256 | Scheme::RsaPkcs1Sha256
    ));
    verify(&key.public_key, scheme, message, &out[..len]).unwrap();
    Ok(())
}

fn problem(error: TpmError) -> (Object, AuthProblem) {
    match error {
        TpmError::Auth { of, problem, .. } => (of, problem),
        other => panic!("{other}"),
    }
}

#[test]
fn keys_of_every_kind_are_made_into_files() {
    let tpm = Swtpm::new();
    for algorithm in [
        KeyAlgorithm::P256,
        KeyAlgorithm::P384,
        KeyAlgorithm::Rsa(2048),
    ] {
        let request = GenerateKey {
            algorithm,
            ..request(Destination::File)
        };
        let key = generate(&tpm, request, Values::none()).unwrap();
        sign(&tpm, &key, Values::none()).unwrap();
        let file = KeyFile::read(key.file.as_deref().unwrap()).unwrap();
        let salt = key.salt.unwrap();
        assert_eq!(file.parent.handle(), 0x4000_0001);
        assert_eq!(
            (salt.handle, Some(salt.name)),
            (0x4000_0001, file.parent_name)
        );
    }
}

#[test]
fn openssl_signs_with_the_file() {
    let tpm = Swtpm::new();
    for (with_auth, values) in [
        (false, Values::none()),
        (true, Values::none().and(Object::Key, "hubpin")),
    ] {
        let request = GenerateKey {
            with_auth,
            ..request(Destination::File)
        };
        let key = generate(&tpm, request, values).unwrap();
        fs::write(tpm.folder().join("hub.tss2"), key.file.unwrap()).unwrap();
        fs::write(tpm.folder().join("message"), "message").unwrap();
        let mut dgst = tpm.command("openssl");
        dgst.args(["dgst", "-provider", "tpm2", "-provider", "default"])
            .args([
                "-propquery",
                "?provider=tpm2",
                "-sha256",
                "-sign",
                "hub.tss2",
            ])
            .args(["-passin", "pass:hubpin", "-out", "signature", "message"]);
        run(&mut dgst).success();
        let signature = fs::read(tpm.folder().join("signature")).unwrap();
        verify(&key.public_key, Scheme::EcdsaSha256, b"message", &signature).unwrap();
    }
}

#[test]
fn the_storage_root_key_is_the_parent_where_it_is() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let key = generate(&tpm, request(Destination::File), Values::none()).unwrap();
    tpm.tool("readpublic -Q -c 0x81000001 -n srk.name");
    let salt = key.salt.clone().unwrap();
    assert_eq!(salt.handle, 0x8100_0001);
    assert_eq!(salt.name, fs::read(tpm.folder().join("srk.name")).unwrap());
    sign(&tpm, &key, Values::none()).unwrap();
}

#[test]
fn what_is_at_its_place_and_keeps_no_keys_is_not_taken_for_it() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|sign", "keypin", 0x8100_0002);
    let under = GenerateKey {
        parent: Parent::Handle(0x8100_0002),
        ..request(Destination::File)
    };
    let error = generate(&tpm, under, Values::none()).unwrap_err();
    assert!(
        error.to_string().contains("it is no storage key"),
        "{error}"
    );
    // It changes places with the storage root key.
    tpm.tool("evictcontrol -Q -C o -c 0x81000001");
    tpm.tool("createprimary -Q -C o -G ecc256:ecdsa:null -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign -c k.ctx");
    tpm.tool("evictcontrol -Q -C o -c k.ctx 0x81000001");
    tpm.tool("flushcontext -t");
    let key = generate(&tpm, request(Destination::File), Values::none()).unwrap();
    assert_eq!(key.salt.unwrap().handle, 0x4000_0001);
    let under = GenerateKey {
        parent: Parent::Handle(0x8100_0077),
        ..request(Destination::File)
    };
    let error = generate(&tpm, under, Values::none()).unwrap_err();
    assert_eq!(
        error,
        TpmError::NoKey {
            handle: 0x8100_0077
        }
    );
}

#[test]
fn keys_are_put_at_handles() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let request = GenerateKey {
        with_auth: true,
        algorithm: KeyAlgorithm::P384,
        ..request(Destination::Handle(HANDLE))
    };
    let values = Values::none().and(Object::Key, "hubpin");
    let key = generate(&tpm, request, values.clone()).unwrap();
    assert_eq!(key.file, None);
    sign(&tpm, &key, values).unwrap();
    let public = tpm.tool("readpublic -c 0x81000011");
    assert!(
        public.contains("fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign"),
        "{public}"
    );
    // It is there after a power cut, too, which counts for nothing.
    let mut tpm = tpm;
    tpm.restart();
    sign(&tpm, &key, Values::none().and(Object::Key, "hubpin")).unwrap();
    assert_eq!(tpm.lockout().failures, 0);
}

#[test]
fn keys_may_count_towards_lockout() {
    let tpm = Swtpm::new();
    let request = GenerateKey {
        counts_towards_lockout: true,
        ..request(Destination::Handle(HANDLE))
    };
    let key = generate(&tpm, request, Values::none()).unwrap();
    sign(&tpm, &key, Values::none()).unwrap();
    let public = tpm.tool("readpublic -c 0x81000011");
    assert!(!public.contains("noda"), "{public}");
}

#[test]
fn a_handle_that_is_taken_is_left_alone() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let at = |handle| request(Destination::Handle(handle));
    let (result, commands) = tpm.commands_of(|| generate(&tpm, at(0x8100_0001), Values::none()));
    assert_eq!(
        result.unwrap_err(),
        TpmError::Exists {
            handle: 0x8100_0001
        }
    );
    assert!(!commands.iter().any(|command| command == "Create"));
    for handle in [0x8180_0011, 0x4000_0001, 0x8000_0000] {
        let error = generate(&tpm, at(handle), Values::none()).unwrap_err();
        assert!(matches!(error, TpmError::Unsupported { .. }), "{error}");
    }
}

#[test]
fn the_owner_may_have_a_password() {
    let tpm = Swtpm::new();
    tpm.set_owner_password("ownerpw");
    let make = |values: Values| generate(&tpm, request(Destination::Handle(HANDLE)), values);
    let owner = |value| Values::none().and(Object::Owner, value);
    let none = problem(make(Values::none()).unwrap_err());
    assert_eq!(none, (Object::Owner, AuthProblem::Needed));
    let wrong = problem(make(owner("wrong")).unwrap_err());
    assert_eq!(
        wrong,
        (Object::Owner, AuthProblem::Refused { counts: false })
    );
    let again = problem(make(owner("wrong")).unwrap_err());
    assert!(matches!(
        again,
        (Object::Owner, AuthProblem::RefusedBefore(_))
    ));
    assert!(tpm.tool("getcap handles-persistent").is_empty());
    let mark = tpm.mark();
    make(owner("ownerpw")).unwrap();
    assert!(!tpm.heard_since(mark, b"wrong"));
    // A person types it once, and may mistype.
    tpm.tool("evictcontrol -Q -C o -P ownerpw -c 0x81000011");
    let person = Values::typed(&["wrnog", "ownerpw"]);
    make(person.clone()).unwrap();
    let refused: Vec<bool> = person.asked().iter().map(|asked| asked.refused).collect();
    assert_eq!(refused, [false, true, true]);
}

#[test]
fn a_new_auth_value_is_not_heard_on_the_way() {
    let tpm = Swtpm::new();
    let with_auth = || GenerateKey {
        with_auth: true,
        ..request(Destination::File)
    };
    let secret = "a new auth value";
    let mark = tpm.mark();
    let values = Values::none().and(Object::Key, secret);
    generate(&tpm, with_auth(), values.clone()).unwrap();
    assert!(!tpm.heard_since(mark, secret.as_bytes()));
    // Unless that is what is asked for.
    let mark = tpm.mark();
    let mut access = tpm.access();
    access.plain_auth = true;
    let task = Task::Generate(with_auth());
    Local::new(access)
        .perform(&task, &mut values.clone())
        .unwrap();
    assert!(tpm.heard_since(mark, secret.as_bytes()));
}

#[test]
fn auth_values_that_no_key_takes_are_refused() {
    let tpm = Swtpm::new();
    let make = |values: Values| {
        let request = GenerateKey {
            with_auth: true,
            ..request(Destination::File)
        };
        problem(generate(&tpm, request, values).unwrap_err()).1
    };
    let of_key = |value| Values::none().and(Object::Key, value);
    assert_eq!(make(Values::none()), AuthProblem::Needed);
    assert_eq!(
        make(of_key("0123456789abcdef0123456789abcdef+")),
        AuthProblem::TooLong
    );
    assert!(matches!(make(of_key("")), AuthProblem::Source(_)));
}

#[test]
fn algorithms_that_the_tpm_does_not_have_are_refused() {
    let tpm = Swtpm::new();
    for bits in [1024, 2047, 4096, 8192] {
        let request = GenerateKey {
            algorithm: KeyAlgorithm::Rsa(bits),
            ..request(Destination::File)
        };
        let error = generate(&tpm, request, Values::none()).unwrap_err();
        assert_eq!(error.to_string(), format!("the TPM has no RSA {bits} keys"));
    }
}

#[test]
fn a_policy_of_pcrs_goes_into_the_file() {
    let tpm = Swtpm::new();
    let with = |pcrs: &[u8], to| GenerateKey {
        policy_pcrs: pcrs.to_vec(),
        ..request(to)
    };
    let key = generate(&tpm, with(&[7, 0, 7], Destination::File), Values::none()).unwrap();
    let file = KeyFile::read(key.file.as_deref().unwrap()).unwrap();
    assert_eq!(file.policy.len(), 1);
    assert!(public_of(&tpm, &file).contains("authorization policy"));
    for (pcrs, to) in [
        (&[7][..], Destination::Handle(HANDLE)),
        (&[24], Destination::File),
    ] {
        let error = generate(&tpm, with(pcrs, to), Values::none()).unwrap_err();
        assert!(matches!(error, TpmError::Unsupported { .. }), "{error}");
    }
}

#[test]
fn a_key_with_a_policy_signs_while_the_pcrs_are_what_they_were() {
    for with_auth in [false, true] {
        let mut tpm = Swtpm::new();
        let request = GenerateKey {
            policy_pcrs: vec![7],
            with_auth,
            ..request(Destination::File)
        };
        let values = Values::none().and(Object::Key, "hubpin");
        let key = generate(&tpm, request, values.clone()).unwrap();
        sign(&tpm, &key, values.clone()).unwrap();
        let digest = "11".repeat(32);
        tpm.tool(&format!("pcrextend 7:sha256={digest}"));
        let open = OpenKey {
            key: KeyPlace::File {
                name: "hub.tss2".into(),
                contents: key.file.clone().unwrap(),
            },
            certificates: Vec::new(),
            salt: None,
        };
        let opened = Local::new(tpm.access()).open(&open, Box::new(values.clone()));
        let error = opened.err().unwrap().to_string();
        assert!(error.contains("PCRs sha256:7 have other values"), "{error}");
        tpm.assert_nothing_left();
        tpm.reboot();
        sign(&tpm, &key, values).unwrap();
    }
}

/// What tpm2-tools say of a file's public area.
fn public_of(tpm: &Swtpm, file: &KeyFile) -> String {
    let len = u16::try_from(file.public.len()).unwrap();
    let sized = [&len.to_be_bytes()[..], &file.public].concat();
    let path: PathBuf = tpm.folder().join("hub.pub");
    fs::write(&path, sized).unwrap();
    tpm.tool("print -t TPM2B_PUBLIC hub.pub")
}

use super::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Made by tpm2-openssl 1.1.1 under the owner hierarchy. Its emptyAuth is `01 01 01`.
const TPM2_OPENSSL: &str = include_str!("../../../../fuzz/seeds/tpm_key_file/tpm2-openssl");

fn key() -> KeyFile {
    KeyFile {
        kind: Kind::Loadable,
        empty_auth: false,
        policy: Vec::new(),
        signed_policies: Vec::new(),
        description: None,
        parent: ParentKey::Handle(0x8100_0001),
        parent_name: None,
        public: std::vec![1, 2, 3],
        private: std::vec![4, 5],
    }
}

/// The file with its DER changed.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<KeyFile, KeyFileError> {
    let mut der = asn1::write(&key()).unwrap();
    change(&mut der);
    der[1] = u8::try_from(der.len() - 2).unwrap();
    assert!(asn1::is_key(&der));
    KeyFile::read(&der)
}

/// Where the field after `type` begins.
const OPTIONAL: usize = 2 + 8;
/// Where that is which `emptyAuth` says, and `parent` begins.
const EMPTY_AUTH: usize = OPTIONAL + 4;
const PARENT: usize = EMPTY_AUTH + 1;

#[test]
fn a_file_of_another_program_is_read() {
    assert!(is_key_file(TPM2_OPENSSL.as_bytes()));
    let file = KeyFile::read(TPM2_OPENSSL.as_bytes()).unwrap();
    assert_eq!(file.kind, Kind::Loadable);
    assert!(file.empty_auth);
    assert_eq!(
        file.parent,
        ParentKey::Primary(Hierarchy::Owner, Template::Ecc)
    );
    assert_eq!((file.public.len(), file.private.len()), (0x56, 0x7e));
    assert_eq!(file.salt(), None);
    // Whatever is around it: certificates, text, another system's ends of lines.
    let text = format!(
        "a key\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{TPM2_OPENSSL}"
    );
    assert_eq!(KeyFile::read(text.as_bytes()), Ok(file.clone()));
    let text = TPM2_OPENSSL.replace('\n', "\r\n");
    assert_eq!(KeyFile::read(text.as_bytes()), Ok(file));
    assert!(!is_key_file(b"-----BEGIN PRIVATE KEY-----\n"));
    assert!(!is_key_file(b""));
}

#[test]
fn what_other_programs_need_is_written() {
    let mut file = KeyFile::read(TPM2_OPENSSL.as_bytes()).unwrap();
    // Theirs, but for TRUE.
    let mut der = asn1::write(&file).unwrap();
    assert_eq!(der[OPTIONAL + 1..][..5], [0xa0, 3, 1, 1, 0xff]);
    der[OPTIONAL + 5] = 1;
    let theirs = pem::blocks(TPM2_OPENSSL.as_bytes()).next().unwrap();
    assert_eq!(der, *theirs.unwrap().decode().unwrap());
    // FALSE is said, too.
    file.empty_auth = false;
    assert_eq!(asn1::write(&file).unwrap()[OPTIONAL + 5], 0);
}

#[test]
fn any_truth_is_true() {
    for (value, says) in [(0, false), (1, true), (0xff, true)] {
        let file = changed(|der| der[EMPTY_AUTH] = value).unwrap();
        assert_eq!(file.empty_auth, says);
    }
    let file = changed(|der| drop(der.drain(OPTIONAL..PARENT))).unwrap();
    assert!(!file.empty_auth);
}

#[test]
fn parents_are_read_in_every_form() {
    let primary = |hierarchy| ParentKey::Primary(hierarchy, Template::Ecc);
    for (integer, parent) in [
        (&[2, 1, 0][..], primary(Hierarchy::Owner)),
        (&[2, 4, 0x40, 0, 0, 1], primary(Hierarchy::Owner)),
        (&[2, 4, 0x40, 0, 0, 7], primary(Hierarchy::Null)),
        (&[2, 4, 0x40, 0, 0, 0xb], primary(Hierarchy::Endorsement)),
        (&[2, 4, 0x40, 0, 0, 0xc], primary(Hierarchy::Platform)),
        (&[2, 5, 0, 0x81, 0, 0, 1], ParentKey::Handle(0x8100_0001)),
        // As a number of 32 bits with a sign, and one of 64.
        (&[2, 4, 0x81, 0, 0, 1], ParentKey::Handle(0x8100_0001)),
        (
            &[2, 8, 0xff, 0xff, 0xff, 0xff, 0x81, 0, 0, 1],
            ParentKey::Handle(0x8100_0001),
        ),
    ] {
        let file = changed(|der| drop(der.splice(PARENT..PARENT + 7, integer.iter().copied())));
        assert_eq!(file.map(|file| file.parent), Ok(parent));
    }
    for (integer, says) in [
        (
            &[2, 4, 0x40, 0, 0, 0xa][..],
            "parent: 0x4000000a is neither",
        ),
        (&[2, 5, 0, 0x80, 0, 0, 1], "parent: 0x80000001 is neither"),
        (&[2, 1, 1], "parent: 0x00000001 is neither"),
        (&[2, 1, 0x81], "parent: 0xffffff81 is neither"),
        (&[2, 5, 1, 0x81, 0, 0, 1], "parent: it is no handle"),
        (&[2, 0], "parent: it is no handle"),
        (&[4, 1, 1], "parent: it is missing"),
    ] {
        let error = changed(|der| drop(der.splice(PARENT..PARENT + 7, integer.iter().copied())));
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn unknown_optional_fields_are_passed_over() {
    let name = [0xa6, 4, 4, 2, 0, 11];
    for at in [PARENT, PARENT + 7, PARENT + 7 + 7 + 6] {
        let file = changed(|der| drop(der.splice(at..at, name)));
        assert_eq!(file.is_ok(), at != PARENT + 7, "{at}: {file:?}");
    }
}

#[test]
fn the_formats_first_version_is_read() {
    let file = KeyFile {
        parent: ParentKey::Primary(Hierarchy::Owner, Template::Legacy),
        ..key()
    };
    let text = file.write().unwrap();
    assert!(text.starts_with("-----BEGIN TSS2 KEY BLOB-----"));
    assert!(is_key_file(text.as_bytes()));
    assert_eq!(KeyFile::read(text.as_bytes()), Ok(file));
}

#[test]
fn what_is_wrong_is_said() {
    let sealed = changed(|der| der[OPTIONAL - 1] = 5).unwrap_err();
    assert!(sealed.reason.contains("sealed data"));
    let importable = changed(|der| der[OPTIONAL - 1] = 4).unwrap_err();
    assert_eq!(importable.reason, "secret: an importable key needs one");
    let public = changed(|der| der[PARENT + 7 + 3] += 1).unwrap_err();
    assert!(public.reason.starts_with("pubkey: it is not as long"));
    let cut = changed(|der| der.truncate(PARENT + 7)).unwrap_err();
    assert!(cut.reason.starts_with("pubkey: it is missing"));
    let long = changed(|der| der.extend([5, 0])).unwrap_err();
    assert_eq!(long.reason, "there is something behind privkey");
    let twice = changed(|der| drop(der.splice(PARENT..PARENT, [0xa0, 3, 1, 1, 0]))).unwrap_err();
    assert_eq!(twice.reason, "the optional field [0] is there twice");
    let damaged = TPM2_OPENSSL.replace("-----END TSS2", "-----END");
    assert!(is_key_file(damaged.as_bytes()));
    let error = KeyFile::read(damaged.as_bytes()).unwrap_err();
    assert!(error.reason.contains("has no `-----END"), "{error}");
}

#[test]
fn the_parents_name_is_before_the_block() {
    let name = [&[0, 11][..], &[0xab; 32]].concat();
    let file = KeyFile {
        parent_name: Some(name.clone()),
        ..key()
    };
    let text = file.write().unwrap();
    assert!(text.starts_with("Parent-Name: 000babab"));
    let read = KeyFile::read(text.as_bytes()).unwrap();
    let salt = SaltKey {
        handle: 0x8100_0001,
        name,
    };
    assert_eq!(read.salt(), Some(salt));
    let wrong = text.replacen("abab", "ab", 1);
    let error = KeyFile::read(wrong.as_bytes()).unwrap_err();
    assert!(error.reason.contains("Parent-Name"));
}

#[test]
fn policies_are_read_in_both_orders() {
    let banks = std::vec![PcrBank::new(0x0b, &[0, 7, 16])];
    assert_eq!(banks[0].to_string(), "sha256:0,7,16");
    let command = PolicyCommand::pcr(&banks, &[9; 32]);
    let step = PolicyStep::Pcr {
        banks,
        digest: std::vec![9; 32],
    };
    assert_eq!(command.step().as_ref(), Ok(&step));
    let (selection, digest) = command.body.split_at(command.body.len() - 32);
    let body = [&[0, 32][..], digest, selection].concat();
    let code = command.code;
    assert_eq!(PolicyCommand { code, body }.step(), Ok(step));
    let body = selection.to_vec();
    let error = PolicyCommand { code, body }.step().unwrap_err();
    assert!(error.reason.contains("TPM2_PolicyPCR"));
    let or = PolicyCommand {
        code: 0x171,
        body: Vec::new(),
    };
    let error = or.step().unwrap_err();
    assert_eq!(error.reason, "policy: TPM2_PolicyOR cannot be carried out");
}

fn commands() -> impl Strategy<Value = Vec<PolicyCommand>> {
    let command = (any::<u32>(), vec(any::<u8>(), 0..50))
        .prop_map(|(code, body)| PolicyCommand { code, body });
    vec(command, 0..4)
}

fn parents() -> impl Strategy<Value = ParentKey> {
    let hierarchy = prop_oneof![
        Just(Hierarchy::Owner),
        Just(Hierarchy::Null),
        Just(Hierarchy::Endorsement),
        Just(Hierarchy::Platform)
    ];
    let template = prop_oneof![Just(Template::Ecc), Just(Template::Rsa)];
    prop_oneof![
        PERSISTENT.prop_map(ParentKey::Handle),
        (hierarchy, template)
            .prop_map(|(hierarchy, template)| ParentKey::Primary(hierarchy, template)),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = (is_key_file(&bytes), KeyFile::read(&bytes), asn1::read(&bytes));
        let _ = PolicyCommand { code: 0x17f, body: bytes }.step();
    }

    #[test]
    fn damage_is_read_or_refused(at in 0_usize..240, byte: u8, len in 0_usize..300) {
        let block = pem::blocks(TPM2_OPENSSL.as_bytes()).next().unwrap().unwrap();
        let mut der = block.decode().unwrap().to_vec();
        der[at] = byte;
        der.truncate(len);
        if let Ok(file) = KeyFile::read(&der) {
            prop_assert_eq!(KeyFile::read(file.write().unwrap().as_bytes()), Ok(file));
        }
    }

    #[test]
    fn what_is_written_is_read(
        secret in option::of(vec(any::<u8>(), 0..300)),
        empty_auth: bool,
        policy in commands(),
        signed in vec((option::of("\\PC{0,9}"), commands()), 0..3),
        description in option::of("\\PC{0,20}"),
        parent in parents(),
        hash in option::of(proptest::array::uniform32(any::<u8>())),
        public in vec(any::<u8>(), 1..400),
        private in vec(any::<u8>(), 1..400),
    ) {
        let file = KeyFile {
            kind: secret.map_or(Kind::Loadable, |secret| Kind::Importable { secret }),
            empty_auth,
            policy,
            signed_policies: signed
                .into_iter()
                .map(|(name, commands)| SignedPolicy { name, commands })
                .collect(),
            description,
            parent,
            parent_name: hash.map(|hash| [&[0, 11][..], &hash].concat()),
            public,
            private,
        };
        let text = file.write().unwrap();
        prop_assert!(is_key_file(text.as_bytes()));
        prop_assert_eq!(KeyFile::read(text.as_bytes()), Ok(file));
    }
}

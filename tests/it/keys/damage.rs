//! Whatever is done to a file: no panic, and one sentence if it cannot be used.

use std::sync::LazyLock;

use keystead::backend::file::{
    FileIdentity, open as open_identity, open_key, open_pkcs12, read_certificates,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::{error, password};
use crate::support::openssl::{CA, LEAF, P256, Workshop};

/// Whole files, made once.
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let workshop = Workshop::new();
    for (name, key) in [
        ("p256", P256),
        ("p521", "-algorithm EC -pkeyopt ec_paramgen_curve:P-521"),
        ("rsa", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    ] {
        workshop.key(name, key);
    }
    for command in [
        "pkey -in p256.key -outform DER -out 1",
        "ec -in p521.key -outform DER -out 2",
        "rsa -in rsa.key -traditional -outform DER -out 3",
        "pkey -in rsa.key -out 4",
        "pkcs8 -topk8 -in p256.key -iter 1 -passout pass:geheim -outform DER -out 5",
    ] {
        workshop.openssl(command);
    }
    workshop.certificate("rsa", "rsa", "", CA);
    workshop.certificate("p256", "rsa", "", LEAF);
    workshop.openssl("x509 -in p256.pem -outform DER -out 6");
    workshop.openssl(
        "pkcs12 -export -inkey p256.key -in p256.pem -iter 1 -maciter -passout pass:geheim -out 7",
    );
    let mut files: Vec<_> = ["1", "2", "3", "4", "5", "6", "7", "p256.pem"]
        .map(|name| workshop.read(name))
        .into();
    files.push(
        [
            workshop.read("p256.key"),
            workshop.read("p256.pem"),
            workshop.read("rsa.pem"),
        ]
        .concat(),
    );
    files
});

#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        any::<(Index, u8)>().prop_map(|(at, byte)| Damage::Set(at, byte)),
        any::<(Index, u8)>().prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
    ]
}

fn apply(contents: &mut Vec<u8>, damage: &Damage) {
    if contents.is_empty() {
        return;
    }
    match damage {
        Damage::Cut(at) => contents.truncate(at.index(contents.len())),
        Damage::Set(at, byte) => {
            let at = at.index(contents.len());
            contents[at] = *byte;
        }
        Damage::Insert(at, byte) => contents.insert(at.index(contents.len()), *byte),
        Damage::Remove(at) => {
            contents.remove(at.index(contents.len()));
        }
    }
}

/// Opens a file in every way.
fn open_all(contents: &[u8]) {
    let workshop = Workshop::new();
    let path = workshop.write("file", contents);
    let mut password = password("geheim");
    let files = FileIdentity {
        certificate: &path,
        private_key: None,
        intermediates: None,
    };
    let results = [
        open_key(&path, &mut password).map(|_| ()),
        read_certificates(&path).map(|_| ()),
        open_pkcs12(&path, &mut password).map(|_| ()),
        open_identity(&files, &mut password).map(|_| ()),
    ];
    for result in results.into_iter().filter(Result::is_err) {
        assert!(!error(&path, result).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_files(
        file in select(&FILES[..]),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut contents = file;
        for damage in &damages {
            apply(&mut contents, damage);
        }
        open_all(&contents);
    }

    #[test]
    fn any_bytes(contents in prop::collection::vec(any::<u8>(), 0..200)) {
        open_all(&contents);
    }

    #[test]
    fn any_text_around_dashes(text in "(-----(BEGIN|END)? ?|PRIVATE KEY|CERTIFICATE|[A-Za-z0-9+/=]{0,9}|\\PC{0,3}|\n){0,20}") {
        open_all(text.as_bytes());
    }
}

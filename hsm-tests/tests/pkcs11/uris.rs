//! URIs that other tools write, and ours as they read them.

use hsm_tests::softhsm::MODULE;
use hsm_tests::{SoftHsm, StoredPin, run};
use keystead::backend::pkcs11::{KeyAlgorithm, Leaf, Local, OpenKey, OpenedKey, Tokens as _, Uri};
use keystead::core::key::Signer as _;

/// Labels with everything that means something in a URI.
const LABELS: [&str; 5] = [
    "a b;c=d&e?f",
    "50%/100%25#",
    "schl\u{fc}ssel \u{1f511}",
    "'quoted' \"twice\" \\",
    "(a)[b]{c}:,+$*!@|^`<>~_-.",
];

#[track_caller]
fn open(hsm: &SoftHsm, uri: &Uri) -> OpenedKey {
    let request = OpenKey {
        key: Some(uri.clone()),
        leaf: Leaf::None,
        require_hardware: false,
    };
    let opened = Local::new(hsm.access()).open(&request, Box::new(StoredPin));
    opened.unwrap_or_else(|error| panic!("{uri}: {error}"))
}

#[test]
fn p11tools_and_ours_name_the_same_keys() {
    SoftHsm::in_process("t;o=k/e%n", |hsm| {
        for (id, label) in (1..).zip(LABELS) {
            hsm.generate(KeyAlgorithm::P256, id, label, &[]);
        }
        let mut list = hsm.command("p11tool");
        let token = run(list.args(["--provider", MODULE, "--list-token-urls"])).success();
        let token = token.lines().find(|url| url.contains(&hsm.serial));
        let token = token.expect("our token is listed").to_owned();
        let urls = hsm.p11tool(&["--list-all-privkeys", "--only-urls"], &token);
        assert_eq!(urls.lines().count(), LABELS.len(), "{urls}");
        for url in urls.lines() {
            let theirs: Uri = url.parse().unwrap_or_else(|error| panic!("{url}: {error}"));
            let opened = open(&hsm, &theirs);
            let label = opened.uri.object.clone().expect("every key has a label");
            assert!(LABELS.contains(&&*label), "{label}");
            assert_eq!(theirs.object, Some(label.clone()));

            // Ours, written out, is that key again: to us, and to p11tool.
            let ours = opened.uri.to_string();
            let again = open(&hsm, &ours.parse().unwrap());
            assert_eq!(again.signer.public_key(), opened.signer.public_key());
            let info = hsm.p11tool(&["--info"], &ours);
            assert!(info.contains("Private key (EC/ECDSA"), "{ours}: {info}");
            assert!(info.contains(&format!("Label: {label}")), "{ours}: {info}");
        }
    });
}

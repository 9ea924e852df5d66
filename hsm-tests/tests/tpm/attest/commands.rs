//! The four commands, as a hub's owner and an authority give them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hsm_tests::lab::restrict;
use hsm_tests::{Finished, Swtpm, program, run};

const KEY: &str = "tpm:handle=0x81000011;auth-source=file:auth";

/// A hub, and in the same folder an authority that trusts the maker of its TPM.
struct Hub(Swtpm);

impl Hub {
    fn new() -> Self {
        let tpm = Swtpm::certified();
        tpm.make_storage_root();
        tpm.make_key("ecc256:null:null", "|sign|noda", "keypin", 0x8100_0011);
        let auth = tpm.folder().join("auth");
        fs::write(&auth, "keypin").unwrap();
        restrict(&auth);
        let makers = [tpm.ek_root(), tpm.ek_issuer()].map(|file| fs::read(file).unwrap());
        fs::write(tpm.folder().join("makers.pem"), makers.concat()).unwrap();
        let hub = Self(tpm);
        hub.done("ca init");
        hub.done(&format!(
            "cert request {KEY} --subject CN=hub-17 --out hub.csr"
        ));
        hub
    }

    fn folder(&self) -> &Path {
        self.0.folder()
    }

    fn keystead(&self, line: &str) -> Finished {
        let mut command = self.0.command(program::keystead());
        command
            .env("HOME", self.folder())
            .env("KEYSTEAD_TCTI", self.0.tcti());
        run(command.args(line.split(' ')))
    }

    #[track_caller]
    fn done(&self, line: &str) -> String {
        self.keystead(line).success()
    }

    /// For what fails with this exit code; gives its standard error.
    #[track_caller]
    fn fails(&self, code: i32, line: &str) -> String {
        let finished = self.keystead(line);
        assert_eq!(finished.code, Some(code), "{line}: {}", finished.stderr);
        finished.stderr
    }

    fn request(&self) {
        self.done(&format!("key attest {KEY} --request --out request.json"));
    }

    fn challenge(&self) {
        self.done("ca challenge request.json --ek-roots makers.pem --out challenge.json");
    }

    fn answer(&self) {
        self.done(&format!(
            "key attest {KEY} --answer challenge.json --out answer.json"
        ));
    }
}

const ISSUE: &str =
    "ca issue --csr hub.csr --attested answer.json --ek-roots makers.pem --cert hub.pem";

#[test]
fn a_certificate_is_issued_once_for_a_key_in_a_tpm() {
    let hub = Hub::new();
    hub.request();
    hub.challenge();
    // Who can read it needs no TPM.
    let pending = fs::read_dir(hub.folder().join("ca/challenges")).unwrap();
    for file in pending {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    hub.answer();
    let said = hub.done(ISSUE);
    assert!(
        said.contains("the key is in the TPM with the endorsement certificate"),
        "{said}"
    );
    let mut verify = hub.0.command("openssl");
    verify.args(["verify", "-CAfile", "ca/root.pem", "hub.pem"]);
    run(&mut verify).success();
    hub.0.assert_nothing_left();

    let again = hub.fails(3, &ISSUE.replace("hub.pem", "again.pem"));
    assert!(again.contains("no such challenge"), "{again}");
    assert!(again.contains("begin anew"), "{again}");
    assert!(!hub.folder().join("again.pem").exists());
}

#[test]
fn keys_in_files_are_proven_with_and_without_an_auth_value_also_those_with_a_policy() {
    let hub = Hub::new();
    for (name, more) in [
        ("bare", ""),
        ("auth", " --new-auth new.auth"),
        ("policy", " --policy-pcr 7"),
    ] {
        let key = hub.done(&format!("key generate tpm:file={name}.tss2{more}"));
        let key = key.trim();
        hub.done(&format!(
            "cert request {key} --subject CN={name} --out {name}.csr"
        ));
        hub.done(&format!("key attest {key} --request --out {name}.request"));
        hub.done(&format!(
            "ca challenge {name}.request --ek-roots makers.pem --out {name}.challenge"
        ));
        hub.done(&format!(
            "key attest {key} --answer {name}.challenge --out {name}.answer"
        ));
        hub.done(&format!(
            "ca issue --csr {name}.csr --attested {name}.answer --ek-roots makers.pem --cert {name}.pem"
        ));
    }
    hub.0.assert_nothing_left();
}

#[test]
fn another_request_gets_nothing() {
    let hub = Hub::new();
    hub.request();
    hub.challenge();
    hub.answer();
    hub.done("key generate software.key");
    hub.done("cert request software.key --subject CN=hub-17 --out other.csr");
    let error = hub.fails(3, &ISSUE.replace("hub.csr", "other.csr"));
    assert!(
        error.contains("another key than the one in the TPM"),
        "{error}"
    );
    // A name that is taken costs no answer, either.
    fs::write(hub.folder().join("taken.pem"), "").unwrap();
    hub.fails(2, &ISSUE.replace("hub.pem", "taken.pem"));
    let stranger = Swtpm::certified();
    fs::copy(stranger.ek_root(), hub.folder().join("strangers.pem")).unwrap();
    let error = hub.fails(3, &ISSUE.replace("makers.pem", "strangers.pem"));
    assert!(error.contains("no root that was given issued"), "{error}");
    assert!(error.contains("issuer: CN=swtpm-localca"), "{error}");
    assert!(error.contains("the maker publishes them"), "{error}");
    hub.done(ISSUE);
}

#[test]
fn what_is_missing_or_mistaken_is_said() {
    let hub = Hub::new();
    hub.request();
    let error = hub.fails(
        2,
        "ca issue --csr hub.csr --attested answer.json --cert hub.pem",
    );
    assert!(error.contains("--ek-roots"), "{error}");
    let error = hub.fails(
        2,
        "ca issue --subject CN=hub --attested answer.json --ek-roots makers.pem --out new",
    );
    assert!(error.contains("--csr"), "{error}");
    let error = hub.fails(2, &ISSUE.replace("answer.json", "request.json"));
    assert!(
        error.contains("it is a keystead-attestation-request, not a keystead-attestation-answer"),
        "{error}"
    );
    let error = hub.fails(
        2,
        "ca challenge challenge.json --ek-roots makers.pem --out more.json",
    );
    assert!(error.contains("challenge.json"), "{error}");
    let error = hub.fails(2, &format!("key attest {KEY} --out x.json"));
    assert!(error.contains("--request"), "{error}");
    hub.done("key generate software.key");
    let error = hub.fails(2, "key attest software.key --request --out x.json");
    assert!(error.contains("only a key of a TPM"), "{error}");
    // The TPM has no such endorsement key certified.
    let error = hub.fails(
        3,
        &format!("key attest {KEY} --request --ek ec-p256 --out x.json"),
    );
    assert!(error.contains("no certificate"), "{error}");
    assert!(!hub.folder().join("x.json").exists());
}

#[test]
fn a_challenge_is_for_one_tpm() {
    let (hub, other) = (Hub::new(), Hub::new());
    hub.request();
    hub.challenge();
    fs::copy(
        hub.folder().join("challenge.json"),
        other.folder().join("theirs.json"),
    )
    .unwrap();
    let line = format!("key attest {KEY} --answer theirs.json --out answer.json");
    let error = other.fails(3, &line);
    assert!(
        error.contains("another attestation key than this TPM's"),
        "{error}"
    );
    assert!(error.contains("begins anew"), "{error}");
    hub.answer();
    // An answer is for the authority that asked.
    other.request();
    other.challenge();
    fs::copy(
        hub.folder().join("answer.json"),
        other.folder().join("answer.json"),
    )
    .unwrap();
    let error = other.fails(3, ISSUE);
    assert!(error.contains("another authority's"), "{error}");
    hub.done(ISSUE);
}

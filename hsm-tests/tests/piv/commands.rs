//! `keystead` with a YubiKey, as its owner would run it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hsm_tests::hub::assert_credentials;
use hsm_tests::piv::{MANAGEMENT_KEY, OPENSC, PIN, YKCS11};
use hsm_tests::terminal::{in_session, on_a_terminal, watch};
use hsm_tests::{Card, Finished, lab, program, run};
use serde_json::Value;

/// A card, its owner's folder, and an authority for certificates.
struct Desk(Card);

impl Desk {
    fn new() -> Self {
        let desk = Self(Card::new());
        for (name, secret) in [("pin", PIN), ("management-key", MANAGEMENT_KEY)] {
            fs::write(desk.path(name), secret).unwrap();
            lab::restrict(&desk.path(name));
        }
        desk.run("ca init").success();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.folder().join(name)
    }

    /// The program with words separated by blanks, and with Yubico's module.
    fn keystead(&self, arguments: &str) -> Command {
        let mut command = self.0.command(program::keystead());
        command
            .args(arguments.split_whitespace())
            .env("KEYSTEAD_PKCS11_LIB", YKCS11);
        command
    }

    fn run(&self, arguments: &str) -> Finished {
        run(&mut self.keystead(arguments))
    }

    /// The same for what must succeed without a word on standard error; gives what it printed.
    #[track_caller]
    fn done(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.stderr, "", "{arguments}");
        ran.success().trim_end().to_owned()
    }

    /// The same for what must fail, with the exit code; gives the error.
    #[track_caller]
    fn refused(&self, arguments: &str, code: i32) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.stdout, "", "{arguments}");
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        ran.stderr
    }

    /// A key in the slot of a CKA_ID with a certificate of the authority, all by keystead.
    fn provision(&self, id: &str, kind: &str) {
        let key = format!("pkcs11:id=%{id}");
        let officer = "--so-pin-source file:management-key";
        self.done(&format!("key generate {key} --type {kind} {officer}"));
        self.certify(id);
        self.done(&format!("cert import {key} {id}.pem {officer}"));
    }

    /// A certificate for the key of a CKA_ID, in a file.
    fn certify(&self, id: &str) {
        self.done_loudly(&format!(
            "cert request pkcs11:id=%{id} --subject CN=jane,O=Acme --pin-source file:pin --out {id}.csr"
        ));
        self.done_loudly(&format!("ca issue --csr {id}.csr --cert {id}.pem"));
    }

    #[track_caller]
    fn done_loudly(&self, arguments: &str) {
        self.run(arguments).success();
    }

    /// A key that wants a touch, with a certificate.
    fn touchy(&self, slot: &str, id: &str) {
        self.0.generate(slot, "ECCP256", &["--touch-policy=always"]);
        let finger = self.0.finger();
        thread::spawn(move || finger.wait().touch());
        self.certify(id);
        let file = self.path(&format!("{id}.pem"));
        self.0.import_certificate(slot, &file);
    }

    /// A command in the sandbox, with the certificate and key that a URI names.
    fn in_sandbox(&self, uri: &str, more: &[&str]) -> Command {
        let mut command = self.keystead("sandbox --ca ca --state state --certificate");
        command.args([uri, "--key", uri, "--"]).args(more);
        command
    }

    fn session(&self, uri: &str, more: &[&str]) -> Command {
        let session = ["keystead", "credential-process", "--identity", "sensor-hub"];
        self.in_sandbox(uri, &[&session[..], more].concat())
    }
}

/// From a new key in 9a and in 9c to an object in S3: the PIN is wanted once, or for each signature.
#[test]
fn from_a_new_key_to_an_object_in_s3() {
    let desk = Desk::new();
    fs::write(desk.path("reading.json"), "{}").unwrap();
    for (id, kind) in [("01", "ec-p256"), ("02", "rsa-2048")] {
        desk.provision(id, kind);
        let source = format!("pin-source=file:{}", desk.path("pin").display());
        for module in [YKCS11, OPENSC] {
            let uri = format!("pkcs11:id=%{id}?{source}&module-path={module}");
            assert_credentials(&run(&mut desk.session(&uri, &[])).success());
            let object = format!("sensors/{id}/{module}.json");
            let to = format!("s3://sensor-logs/{object}");
            let aws = program::client("aws");
            let copy = [aws.to_str().unwrap(), "s3", "cp", "reading.json", &to];
            run(&mut desk.in_sandbox(&uri, &copy)).success();
            let stored = desk.path("state/objects/sensor-logs").join(object);
            assert_eq!(fs::read(stored).unwrap(), b"{}");
        }
    }
    assert_eq!(desk.0.tries_left(), 3);
}

/// The attestation certificate has the key's CKA_ID and public key; it is not the leaf, and not sent.
#[test]
fn attestation_certificates_are_not_the_leaf_and_not_sent() {
    let desk = Desk::new();
    desk.provision("01", "ec-p256");
    let uri = format!(
        "pkcs11:id=%01?pin-source=file:{}",
        desk.path("pin").display()
    );
    let ran = run(&mut desk.session(&uri, &["--debug"]));
    assert!(ran.stderr.contains("x-amz-x509:"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("x-amz-x509-chain"), "{}", ran.stderr);
    assert_credentials(&ran.success());

    let certificates = slot(&desk.done("token list --json"))["certificates"].clone();
    let subjects: Vec<_> = certificates.as_array().unwrap().iter().collect();
    let subject = |one: &&Value| one["subject"] == "CN=jane,O=Acme";
    assert_eq!(subjects.iter().filter(|one| subject(one)).count(), 1);
    for one in subjects {
        let subject = one["subject"].as_str().unwrap();
        assert!(!subject.contains("PIV Attestation 9"), "{certificates}");
    }
}

/// The first slot of `token list --json`: the virtual reader has two.
fn slot(json: &str) -> Value {
    lab::json(json)["slots"][0].clone()
}

#[test]
fn what_is_listed_through_both_modules() {
    let desk = Desk::new();
    desk.0.identify();
    desk.provision("01", "ec-p256");
    desk.provision("02", "rsa-2048");
    for module in [YKCS11, OPENSC] {
        let list = format!("token list --json --pin-source file:pin --pkcs11-lib {module}");
        let slot = slot(&desk.done(&list));
        let token = &slot["token"];
        assert_eq!(slot["hardware"], true);
        assert_eq!(token["userPin"], "ok");
        assert_eq!(token["loggedIn"], true);
        let keys = slot["keys"].as_array().unwrap();
        let always = |id: &str| {
            let named = format!(";id=%{id};");
            let key = keys
                .iter()
                .find(|key| key["uri"].as_str().unwrap().contains(&named));
            key.unwrap_or_else(|| panic!("{slot}"))["alwaysAuthenticate"] == true
        };
        assert!(!always("01") && always("02"), "{module}: {slot}");
        assert!(keys.iter().all(|key| key["extractable"] == false));
        assert_eq!(
            keys.len(),
            2,
            "the attestation key signs nothing else: {slot}"
        );
        if module == YKCS11 {
            assert_eq!(token["serial"], *desk.0.serial());
        } else {
            // OpenSC calls the token after its certificate: only the serial stays.
            assert_eq!(token["label"], "jane");
        }
        // The serial alone names the token.
        let serial = token["serial"].as_str().unwrap();
        let uri = format!("pkcs11:serial={serial};id=%01?module-path={module}");
        desk.done(&format!(
            "sign-string --certificate {uri} --pin-source file:pin"
        ));
    }
}

/// What OpenSC's module cannot do: the error names tools that can, and they do it.
#[test]
fn what_opensc_cannot_do_is_done_with_the_tools_that_its_errors_name() {
    let desk = Desk::new();
    let opensc = format!("--pkcs11-lib {OPENSC} --pin-source file:pin");
    let error = desk.refused(&format!("key generate pkcs11:id=%01 {opensc}"), 3);
    for tool in ["ykcs11", "yubico-piv-tool", "ykman"] {
        assert!(error.contains(tool), "{error}");
    }
    desk.0.generate("9a", "ECCP256", &[]);
    desk.certify("01");
    // Without a certificate OpenSC shows no key.
    let error = desk.refused(&format!("cert import pkcs11:id=%01 01.pem {opensc}"), 3);
    assert!(error.contains("private key"), "{error}");
    desk.0.import_certificate("9a", &desk.path("01.pem"));
    desk.done(&format!("sign-string --certificate pkcs11:id=%01 {opensc}"));
    desk.done_loudly("ca issue --csr 01.csr --cert newer.pem");
    let replace = format!("cert import pkcs11:id=%01 newer.pem --replace {opensc}");
    let error = desk.refused(&replace, 3);
    for tool in ["ykcs11", "yubico-piv-tool", "ykman"] {
        assert!(error.contains(tool), "{error}");
    }
}

/// The PIN is asked for, and the touch, on the terminal; standard output is the credentials' alone.
#[test]
fn the_terminal_is_for_the_person_and_standard_output_for_credentials() {
    let desk = Desk::new();
    for (slot, id) in [("9a", "01"), ("9c", "02")] {
        desk.touchy(slot, id);
        for module in [YKCS11, OPENSC] {
            let uri = format!("pkcs11:id=%{id}?module-path={module}");
            let finger = desk.0.finger();
            let (screen, ran) = watch(&desk.session(&uri, &[]), |shown| {
                if shown.contains("PIN of") {
                    return Some(format!("{PIN}\n"));
                }
                let is_told = shown.contains("touch your token");
                is_told.then(|| {
                    finger.wait().touch();
                    String::new()
                })
            });
            assert!(screen.contains("touch your token"), "{screen}");
            assert_eq!(screen.matches("PIN of").count(), 1, "{screen}");
            assert_eq!(ran.stderr, "");
            assert_credentials(&ran.success());
        }
    }
}

/// Without a terminal a program tells the person, also if the module is in another process.
#[test]
fn without_a_terminal_a_program_tells_the_person_to_touch() {
    let desk = Desk::new();
    desk.touchy("9a", "01");
    let told = desk.path("told");
    run(program::command("mkfifo").arg(&told)).success();
    fs::write(desk.path("notify.sh"), "echo \"$1\" >told\n").unwrap();
    let pin = desk.path("pin");
    let uri = format!("pkcs11:id=%01?pin-source=file:{}", pin.display());
    for isolate in ["--isolate=false", "--isolate=true"] {
        let session = desk.session(&uri, &["--notify-cmd", "sh notify.sh", isolate]);
        let finger = desk.0.finger();
        thread::scope(|scope| {
            let session = scope.spawn(|| run(&mut in_session(&session, &["--wait"])));
            let told = told.clone();
            let text = within_a_minute(move || fs::read_to_string(told).unwrap());
            assert!(text.contains("touch your token"), "{text}");
            finger.wait().touch();
            let ran = session.join().unwrap();
            assert_eq!(ran.stderr, "");
            assert_credentials(&ran.success());
        });
    }
}

/// Nobody touches the card: the error says so.
#[test]
fn a_touch_that_does_not_come_is_an_error_that_says_so() {
    let desk = Desk::new();
    desk.touchy("9a", "01");
    let mut finger = Some(desk.0.finger());
    let sign = format!("sign-string --certificate pkcs11:id=%01?module-path={OPENSC}");
    let session = desk.keystead(&sign);
    let (screen, ran) = watch(&session, |shown| {
        if shown.contains("PIN of") {
            return Some(format!("{PIN}\n"));
        }
        // OpenSC's module says it to nobody: the card waits until keystead has noticed.
        let is_told = shown.contains("touch your token");
        is_told.then(|| {
            drop(finger.take().map(|finger| finger.wait()));
            String::new()
        })
    });
    assert_eq!(screen.matches("touch your token").count(), 1, "{screen}");
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr.contains("a touch that did not come"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--notify-cmd"), "{}", ran.stderr);
}

/// However many processes have a wrong PIN, the card loses one try; and a stored PIN never gets the last.
#[test]
fn a_wrong_pin_in_many_processes_costs_one_try() {
    for module in [YKCS11, OPENSC] {
        let desk = Desk::new();
        desk.0.generate("9a", "ECCP256", &[]);
        desk.certify("01");
        desk.0.import_certificate("9a", &desk.path("01.pem"));
        for pin in ["999999", "888888", "777777", PIN] {
            let file = desk.path(&format!("pin-{pin}"));
            fs::write(&file, pin).unwrap();
            lab::restrict(&file);
        }
        let sign = |pin: &str| {
            let file = format!("pin-{pin}");
            desk.keystead(&format!(
                "sign-string --certificate pkcs11:id=%01 --pkcs11-lib {module} --pin-source file:{file}"
            ))
        };
        for (pin, left) in [("999999", 2), ("888888", 1), ("777777", 1), (PIN, 1)] {
            thread::scope(|scope| {
                let start = |_| scope.spawn(|| run(&mut sign(pin)));
                let processes: Vec<_> = (0..6).map(start).collect();
                for process in processes {
                    let ran = process.join().unwrap();
                    assert_eq!(ran.code, Some(4), "{module}: {}", ran.stderr);
                }
            });
            assert_eq!(desk.0.tries_left(), left, "{module}");
        }
        let ran = run(&mut sign(PIN));
        assert!(ran.stderr.contains("one try left"), "{}", ran.stderr);
        // A person may, and sets the count back.
        let uri = format!("pkcs11:id=%01?module-path={module}");
        let typed = format!("{PIN}\n");
        let by_hand = desk.keystead(&format!("sign-string --certificate {uri}"));
        let (screen, ran) = on_a_terminal(&by_hand, &[("ONE TRY LEFT", &typed)]);
        assert_eq!(ran.code, Some(0), "{screen} {}", ran.stderr);
        assert_eq!(desk.0.tries_left(), 3);
        run(&mut sign(PIN)).success();
    }
}

/// What is waited for comes, or the test ends all the same.
fn within_a_minute<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(wait()));
    let result = is_done.recv_timeout(Duration::from_secs(60));
    result.expect("it comes within a minute")
}

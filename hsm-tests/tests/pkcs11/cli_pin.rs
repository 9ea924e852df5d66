//! Where `keystead` gets a token's PIN from, and how often it tries it.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use hsm_tests::fault::{Effect, Fault, When, sys};
use hsm_tests::hub::{ID, assert_credentials};
use hsm_tests::lab::restrict;
use hsm_tests::softhsm::{MODULE, PIN};
use hsm_tests::terminal::{in_session, on_a_terminal};
use hsm_tests::{FaultModule, Hub, run};
use rustix::fs::Mode;

const WRONG: &str = "4321";

/// A hub whose module writes down what is called.
struct Watched {
    hub: Hub,
    module: FaultModule,
}

impl Watched {
    fn new() -> Self {
        let hub = Hub::new();
        let module = FaultModule::new(hub.hsm.folder(), "watched", MODULE);
        Self { hub, module }
    }

    /// A session with certificate and key in the token.
    fn session(&self, arguments: &[&str]) -> Command {
        let uri = self.hub.uri("object=hub-0001");
        let mut session = self.hub.bare_session(&["--certificate", &uri]);
        session.arg("--pkcs11-lib").arg(self.module.path());
        session.args(arguments);
        session
    }

    fn logins(&self) -> usize {
        self.module.count("C_Login")
    }
}

#[test]
fn every_source_of_a_pin() {
    let hub = Hub::new();
    let file = hub.lab.write("pin", &format!("{PIN}\nnotes\n"));
    restrict(&file);
    let file = file.to_str().unwrap();
    let bare = hub.uri("object=hub-0001");
    let session = |uri: &str, more: &[&str]| {
        let mut session = hub.session(&["--certificate", uri]);
        session
            .args(more)
            .env("HUB_PIN", PIN)
            .env("CREDENTIALS_DIRECTORY", hub.lab.folder());
        session
    };
    let flag = |source: &str| session(&bare, &["--pin-source", source]);
    let in_uri = |source: &str| session(&format!("{bare}?pin-source={source}"), &["--strict"]);
    let from_file = format!("file:{file}");
    let command = format!("|/bin/cat {file}");
    for source in [
        from_file.as_str(),
        "env:HUB_PIN",
        "cred:pin",
        "cmd:/bin/cat pin",
    ] {
        assert_credentials(&run(&mut flag(source)).success());
        assert_credentials(&run(&mut in_uri(source)).success());
    }
    for source in [file, &format!("file://{file}"), &command] {
        assert_credentials(&run(&mut in_uri(source)).success());
    }
    for mut session in [flag("fd:0"), in_uri("fd:0")] {
        session.stdin(File::open(file).unwrap());
        assert_credentials(&run(&mut session).success());
    }
    // What the URI says counts before what is said for all.
    let mut both = session(
        &format!("{bare}?pin-source=env:HUB_PIN"),
        &["--pin-source=env:NONE"],
    );
    assert_credentials(&run(&mut both).success());
}

#[test]
fn a_pin_in_the_uri_works_and_warns() {
    let hub = Hub::new();
    let uri = hub.uri(&format!("object=hub-0001?pin-value={PIN}"));
    let warned = run(&mut hub.session(&["--certificate", &uri, "--debug"]));
    assert!(
        warned
            .stderr
            .contains("pin-value shows the PIN to every user")
    );
    assert!(
        !warned.stderr.contains(&format!("={PIN}")),
        "{}",
        warned.stderr
    );
    assert_credentials(&warned.success());
    let refused = run(&mut hub.session(&["--certificate", &uri, "--strict"]));
    assert_eq!(refused.code, Some(2));
    assert!(refused.failure().contains("which --strict refuses"));
}

#[test]
fn without_a_source_and_a_terminal_the_pin_is_needed() {
    let watched = Watched::new();
    let finished = run(&mut in_session(&watched.session(&[]), &["--wait"]));
    assert_eq!(finished.code, Some(4));
    let error = finished.failure();
    assert!(error.contains("the PIN is needed"), "{error}");
    assert!(error.contains("--password-source"), "{error}");
    assert_eq!(watched.logins(), 0);
}

#[test]
fn a_refused_pin_is_tried_once() {
    let watched = Watched::new();
    let session = |pin: &str| {
        let mut session = watched.session(&["--pin-source", "env:HUB_PIN"]);
        run(session.env("HUB_PIN", pin))
    };
    let refused = session(WRONG);
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.failure().contains("the PIN was refused\n"));
    assert_eq!(watched.logins(), 1);

    let again = session(WRONG);
    assert_eq!(again.code, Some(4));
    let error = again.failure();
    assert!(error.contains("was refused before"), "{error}");
    let (_, file) = error.split_once(", remove ").unwrap();
    assert!(fs::exists(file.trim()).unwrap(), "{error}");
    assert_eq!(watched.logins(), 1);

    assert_credentials(&session(PIN).success());
    assert_eq!(watched.logins(), 2);
}

#[test]
fn twenty_at_once_with_a_wrong_pin_spend_one_try() {
    let watched = Watched::new();
    let all: Vec<_> = (0..20)
        .map(|_| {
            let mut session = watched.session(&["--pin-source", "env:HUB_PIN"]);
            let session = session.env("HUB_PIN", WRONG).stderr(Stdio::null());
            session.spawn().unwrap()
        })
        .collect();
    for mut one in all {
        assert_eq!(one.wait().unwrap().code(), Some(4));
    }
    assert_eq!(watched.logins(), 1);
}

#[test]
fn where_nothing_can_be_remembered_no_stored_pin_is_tried() {
    let watched = Watched::new();
    let arguments = ["--pin-source=env:HUB_PIN", "--state-dir=/proc/nowhere"];
    let finished = run(watched.session(&arguments).env("HUB_PIN", PIN));
    assert_eq!(finished.code, Some(4));
    let error = finished.failure();
    assert!(error.contains("could not be remembered"), "{error}");
    assert_eq!(watched.logins(), 0);
}

#[test]
fn a_person_is_asked_on_the_terminal() {
    let watched = Watched::new();
    let pin = format!("{PIN}\r");
    let (screen, finished) = on_a_terminal(&watched.session(&[]), &[("PIN of token `hub`", &pin)]);
    assert!(!screen.contains(PIN), "{screen}");
    assert!(screen.contains(&watched.hub.hsm.serial), "{screen}");
    assert!(!screen.contains("TRY"), "{screen}");
    assert_eq!(finished.stderr, "");
    assert_credentials(&finished.success());
}

#[test]
fn a_person_may_mistype_and_is_told_what_is_left() {
    let mut watched = Watched::new();
    let pin = format!("{PIN}\r");
    let (screen, finished) = on_a_terminal(
        &watched.session(&["--pin-source", "prompt"]),
        &[("PIN of", "4321\r"), ("That PIN was refused", &pin)],
    );
    assert!(screen.contains("a wrong PIN was given before"), "{screen}");
    assert_credentials(&finished.success());
    assert_eq!(watched.logins(), 2);

    // A stored PIN is not tried when one try is left; a person may.
    watched
        .module
        .change(|plan| plan.token_flags.0 = sys::CKF_USER_PIN_FINAL_TRY);
    let mut stored = watched.session(&["--pin-source", "env:HUB_PIN"]);
    let refused = run(stored.env("HUB_PIN", PIN));
    assert_eq!(refused.code, Some(4));
    assert!(refused.failure().contains("has one try left"));
    let (screen, finished) = on_a_terminal(&watched.session(&[]), &[("ONE TRY LEFT", &pin)]);
    assert!(screen.contains("a wrong PIN locks it"), "{screen}");
    assert_credentials(&finished.success());
    assert_eq!(watched.logins(), 3);
}

#[test]
fn a_cancelled_question_spends_no_try() {
    let watched = Watched::new();
    let (_, finished) = on_a_terminal(&watched.session(&[]), &[("PIN of", "12\u{3}")]);
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    assert!(finished.failure().contains("the PIN was not given"));
    assert_eq!(watched.logins(), 0);
}

#[test]
fn a_key_that_wants_its_pin_each_time() {
    let watched = Watched::new();
    let hub = &watched.hub;
    hub.hsm.delete("privkey", ID);
    hub.hsm.delete("pubkey", ID);
    hub.hsm.generate(
        keystead::backend::pkcs11::KeyAlgorithm::P256,
        ID,
        "hub-0001",
        &["--always-auth"],
    );
    let uri = hub.uri("object=hub-0001");
    let sign = || {
        let mut sign = hub.lab.keystead(&["sign-string", "--key", &uri]);
        sign.arg("--pkcs11-lib").arg(watched.module.path());
        hub.hsm.configure(&mut sign);
        sign
    };
    // What was typed for the first login serves for the first signature.
    let pin = format!("{PIN}\r");
    let (_, finished) = on_a_terminal(&sign(), &[("PIN of", &pin)]);
    finished.success();
    // What is stored needs no asking, also if it can be read once.
    let mut stored = sign();
    stored.arg("--pin-source=fd:0");
    let file = hub.lab.write("pin", PIN);
    run(stored.stdin(File::open(file).unwrap())).success();
}

#[test]
fn a_person_is_told_to_touch_the_token() {
    let mut watched = Watched::new();
    watched
        .module
        .fail(Fault::new("C_Sign", When::Always, Effect::Delay(1500)));
    let touch = "touch your token (token `hub`";
    let pin = format!("{PIN}\r");
    let (screen, finished) = on_a_terminal(
        &watched.session(&["--notify-cmd=/bin/false"]),
        &[("PIN of", &pin), (touch, "")],
    );
    assert!(screen.contains("keystead: touch your token"), "{screen}");
    assert_eq!(finished.stderr, "");
    assert_credentials(&finished.success());
}

#[test]
fn where_there_is_no_terminal_a_program_tells_it() {
    let mut watched = Watched::new();
    watched
        .module
        .change(|plan| plan.pin_pad = Some(PIN.into()));
    let told = watched.hub.lab.folder().join("told");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &told,
        rustix::fs::FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    // It may print what it likes, and does not get what it must not.
    let script = "echo noise; echo \"${HUB_PIN-no PIN}${OTHER_PIN-}: $2 $3\" >\"$1\"";
    let program = format!(
        "/bin/sh -c '{script}' sh {} 'a person has to'",
        told.display()
    );
    let uri = watched.hub.uri("object=hub-0001?pin-source=env:OTHER_PIN");
    let session = watched.session(&[
        "--pin-source=env:HUB_PIN",
        "--certificate",
        &uri,
        "--notify-cmd",
        &program,
    ]);
    let mut session = in_session(&session, &["--wait"]);
    let finished = run(session.env("HUB_PIN", PIN).env("OTHER_PIN", PIN));
    assert_credentials(&finished.success());
    let serial = &watched.hub.hsm.serial;
    let expected = format!(
        "no PIN: a person has to type the PIN on the keys of your token (token `hub` (serial {serial}))\n"
    );
    assert_eq!(fs::read_to_string(&told).unwrap(), expected);
}

#[test]
fn a_module_that_prints_does_not_spoil_the_credentials() {
    let mut watched = Watched::new();
    let noise = Effect::Noise("welcome to the module\n".into());
    watched
        .module
        .fail(Fault::new("C_OpenSession", When::Always, noise));
    let mut session = watched.session(&["--pin-source=env:HUB_PIN"]);
    let finished = run(session.env("HUB_PIN", PIN));
    let stderr = &finished.stderr;
    assert!(stderr.contains("welcome to the module"), "{stderr}");
    assert_credentials(&finished.success());
}

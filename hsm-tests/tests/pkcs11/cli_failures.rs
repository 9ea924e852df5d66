//! What `keystead credential-process` says of a token that fails while it signs.

use std::process::Command;

use hsm_tests::fault::{Effect, Fault, When, sys};
use hsm_tests::hub::assert_credentials;
use hsm_tests::lab::json;
use hsm_tests::softhsm::{MODULE, PIN};
use hsm_tests::{FaultModule, Finished, Hub, run};

struct Failing {
    hub: Hub,
    module: FaultModule,
}

impl Failing {
    fn new() -> Self {
        let hub = Hub::new();
        let module = FaultModule::new(hub.hsm.folder(), "failing", MODULE);
        Self { hub, module }
    }

    fn session(&self, more: &[&str]) -> Command {
        let uri = self.hub.uri("object=hub-0001");
        let mut session = self.hub.bare_session(&["--certificate", &uri]);
        session.arg("--pkcs11-lib").arg(self.module.path());
        session.args(["--pin-source", "env:HUB_PIN"]).args(more);
        session.env("HUB_PIN", PIN);
        session
    }

    /// Runs a session that fails; gives what it says.
    #[track_caller]
    fn fails(&self, code: i32, more: &[&str]) -> String {
        let Finished {
            code: ended,
            stdout,
            stderr,
        } = run(&mut self.session(more));
        assert_eq!(ended, Some(code), "{stderr}");
        assert_eq!(stdout, "");
        stderr
    }
}

#[test]
fn a_token_that_does_not_sign_is_named_with_call_and_code() {
    let mut failing = Failing::new();
    failing
        .module
        .fail(Fault::always("C_Sign", sys::CKR_DEVICE_ERROR));
    for isolation in [&[][..], &["--isolate"]] {
        let error = failing.fails(3, isolation);
        assert!(error.contains("object=hub-0001"), "{error}");
        assert!(
            error.contains("did not sign: C_Sign: CKR_DEVICE_ERROR"),
            "{error}"
        );
    }
    let error = failing.fails(3, &["--error-format", "json"]);
    let error = json(&error);
    assert_eq!(error["kind"], "key");
    failing.module.heal();
    assert_credentials(&run(&mut failing.session(&[])).success());
}

#[test]
fn a_failure_that_passes_is_none() {
    let mut failing = Failing::new();
    let code = sys::CKR_DEVICE_REMOVED;
    let once = Fault::new("C_Sign", When::Nth(1), Effect::Return(code));
    failing.module.fail(once);
    assert_credentials(&run(&mut failing.session(&[])).success());
}

#[test]
fn a_token_that_is_locked() {
    let mut failing = Failing::new();
    failing
        .module
        .change(|plan| plan.token_flags.0 = sys::CKF_USER_PIN_LOCKED);
    let error = failing.fails(4, &[]);
    assert!(error.contains("the PIN is locked"), "{error}");
    assert!(error.contains("PUK"), "{error}");
    assert_eq!(failing.module.count("C_Login"), 0);
}

#[test]
fn a_source_that_cannot_be_read() {
    let failing = Failing::new();
    for isolation in [
        &["--pin-source=file:none"][..],
        &["--pin-source=file:none", "--isolate"],
    ] {
        let error = failing.fails(4, isolation);
        let reason = "the PIN cannot be read: file:none: No such file";
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(failing.module.count("C_Login"), 0);
}

#[test]
fn a_module_that_crashes_ends_its_own_process_alone() {
    let mut failing = Failing::new();
    failing
        .module
        .fail(Fault::new("C_Sign", When::Always, Effect::Abort));
    let error = failing.fails(3, &["--isolate"]);
    assert!(
        error.contains("the process that speaks to the token ended"),
        "{error}"
    );

    // Inside C_Login it counts as a refused PIN.
    failing.module.heal();
    let crash = Fault::new("C_Login", When::Always, Effect::Abort);
    failing.module.fail(crash);
    let before = failing.module.count("C_Login");
    let error = failing.fails(3, &["--isolate"]);
    assert!(error.contains("keystead-signer: "), "{error}");
    let error = failing.fails(4, &["--isolate"]);
    assert!(error.contains("was refused before"), "{error}");
    assert_eq!(failing.module.count("C_Login"), before + 1);
}

#[test]
fn a_module_that_hangs_costs_its_time() {
    let mut failing = Failing::new();
    failing
        .module
        .fail(Fault::new("C_Sign", When::Always, Effect::Delay(60_000)));
    let error = failing.fails(3, &["--isolate", "--token-timeout=500ms"]);
    assert!(error.contains("did not answer in time"), "{error}");
    assert!(error.contains("--token-timeout"), "{error}");
}

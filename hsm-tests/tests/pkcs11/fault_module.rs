//! The module that fails on a schedule, judged by a tool that was not written here.

use hsm_tests::fault::{Attribute, Effect, Fault, When, sys};
use hsm_tests::softhsm::MODULE;
use hsm_tests::{FaultModule, Finished, SoftHsm, program, run};
use keystead::backend::pkcs11::KeyAlgorithm;

struct Bench {
    hsm: SoftHsm,
    module: FaultModule,
}

impl Bench {
    fn new() -> Self {
        let hsm = SoftHsm::new("faulty");
        hsm.generate(KeyAlgorithm::P256, 1, "key", &[]);
        let module = FaultModule::new(hsm.folder(), "fault", MODULE);
        Self { hsm, module }
    }

    fn tool(&self, arguments: &[&str]) -> Finished {
        run(self.hsm.pkcs11_tool(self.module.path()).args(arguments))
    }

    fn sign(&self, mechanism: &str) -> Finished {
        let data = self.hsm.folder().join("data");
        std::fs::write(&data, [7; 32]).expect("the test's folder can be written to");
        let data = data.to_str().expect("the test's paths are UTF-8");
        let mut arguments = vec!["--sign", "--mechanism", mechanism, "--id", "01"];
        arguments.extend(["--signature-format", "openssl", "--input-file", data]);
        let signature = self.hsm.folder().join("signature");
        let signature = signature.to_str().expect("the test's paths are UTF-8");
        self.tool(&[&arguments[..], &["--output-file", signature]].concat())
    }
}

#[test]
fn it_forwards_and_writes_down_each_call() {
    let bench = Bench::new();
    bench.sign("ECDSA").success();
    assert_eq!(bench.module.count("C_SignInit"), 1);
    assert_eq!(bench.module.count("C_Login"), 1);
    let calls = bench.module.calls();
    assert_eq!(calls[0].function, "C_Initialize");
    assert_eq!(calls[calls.len() - 1].function, "C_Finalize");
    let login = calls.iter().find(|call| call.function == "C_Login");
    assert_eq!(login.map(|call| call.detail.as_str()), Some("user"));
}

#[test]
fn it_fails_in_the_calls_that_it_was_told() {
    let mut bench = Bench::new();
    let refused = |finished: Finished| finished.failure().contains("CKR_DEVICE_REMOVED");
    bench.module.fail(Fault::new(
        "C_SignInit",
        When::Nth(2),
        Effect::Return(sys::CKR_DEVICE_REMOVED),
    ));
    bench.sign("ECDSA").success();
    assert!(refused(bench.sign("ECDSA")));
    bench.sign("ECDSA").success();

    bench
        .module
        .change(|plan| plan.faults[0].when = When::From(2));
    bench.sign("ECDSA").success();
    assert!(refused(bench.sign("ECDSA")));
    assert!(refused(bench.sign("ECDSA")));

    bench
        .module
        .change(|plan| plan.faults[0].when = When::UpTo(1));
    assert!(refused(bench.sign("ECDSA")));
    bench.sign("ECDSA").success();
    bench.module.heal();
    bench.sign("ECDSA").success();
}

#[test]
fn it_ends_its_process() {
    for effect in [Effect::Abort, Effect::Segfault] {
        let mut bench = Bench::new();
        bench
            .module
            .fail(Fault::after("C_Login", When::Always, effect));
        let ended = bench.sign("ECDSA");
        assert_eq!(ended.code, None, "a signal: {}", ended.stderr);
        assert_eq!(bench.module.count("C_Login"), 1);
        assert_eq!(bench.module.count("C_SignInit"), 0);
    }
}

#[test]
fn it_makes_noise_and_takes_its_time() {
    let mut bench = Bench::new();
    let noise = Effect::Noise("HELLO FROM THE MODULE\n".to_owned());
    bench
        .module
        .fail(Fault::new("C_Initialize", When::Always, noise));
    let there = bench.hsm.folder().join("there");
    std::fs::write(&there, "").expect("the test's folder can be written to");
    bench
        .module
        .fail(Fault::new("C_Login", When::Always, Effect::WaitFor(there)));
    bench
        .module
        .fail(Fault::new("C_Login", When::Always, Effect::Delay(1)));
    assert!(
        bench
            .sign("ECDSA")
            .success()
            .contains("HELLO FROM THE MODULE")
    );
}

#[test]
fn the_token_is_pulled_out_and_comes_back_in_another_slot() {
    let mut bench = Bench::new();
    let slots = |bench: &Bench| {
        let mut tool = bench.hsm.command("pkcs11-tool");
        tool.arg("--module")
            .arg(bench.module.path())
            .arg("--list-token-slots");
        // It fails if it finds none.
        run(&mut tool).stdout
    };
    assert!(slots(&bench).contains("faulty"));
    bench.module.remove_token(sys::CKR_DEVICE_REMOVED);
    assert!(!slots(&bench).contains("faulty"));
    bench.module.insert_token(3);
    assert!(slots(&bench).contains("faulty"));
    let finished = bench.sign("ECDSA");
    assert!(finished.failure().contains("CKR_SLOT_ID_INVALID"));
}

#[test]
fn it_says_of_token_and_objects_what_it_was_told() {
    let mut bench = Bench::new();
    bench.module.change(|plan| {
        plan.token_flags = (sys::CKF_USER_PIN_FINAL_TRY, sys::CKF_RNG);
        plan.slot_flags = (sys::CKF_HW_SLOT, 0);
        plan.hidden_classes = vec![sys::CKO_PUBLIC_KEY];
        plan.attributes = vec![Attribute {
            class: sys::CKO_PRIVATE_KEY,
            kind: sys::CKA_LABEL,
            value: Some(b"another label".to_vec()),
        }];
    });
    let slots = bench.tool(&["--list-slots"]).success();
    assert!(slots.contains("final user PIN try"), "{slots}");
    assert!(!slots.contains("rng"), "{slots}");
    let objects = bench.tool(&["--list-objects"]).success();
    assert!(objects.contains("another label"), "{objects}");
    assert!(!objects.contains("Public Key Object"), "{objects}");
}

#[test]
fn mechanisms_come_and_go() {
    let mut bench = Bench::new();
    bench.module.change(|plan| plan.hashes_ecdsa = true);
    bench.sign("ECDSA-SHA256").success();
    let public_key = bench.hsm.folder().join("public.der");
    bench.hsm.public_key(1, &public_key);
    let mut verify = program::command("openssl");
    verify
        .current_dir(bench.hsm.folder())
        .args(["dgst", "-sha256", "-keyform", "DER"]);
    verify.args(["-verify", "public.der", "-signature", "signature", "data"]);
    assert_eq!(run(&mut verify).success(), "Verified OK\n");

    bench
        .module
        .change(|plan| plan.hidden_mechanisms = vec![sys::CKM_ECDSA]);
    let refused = bench.sign("ECDSA").failure();
    assert!(refused.contains("CKR_MECHANISM_INVALID"), "{refused}");
}

#[test]
fn the_pin_is_typed_on_the_token() {
    let mut bench = Bench::new();
    let mut log_in = bench.hsm.command("pkcs11-tool");
    log_in.arg("--module").arg(bench.module.path());
    log_in.args([
        "--slot",
        &bench.hsm.slot.to_string(),
        "--login",
        "--list-objects",
    ]);
    bench
        .module
        .change(|plan| plan.pin_pad = Some(hsm_tests::softhsm::PIN.to_owned()));
    assert!(run(&mut log_in).success().contains("Private Key Object"));
    bench
        .module
        .change(|plan| plan.pin_pad = Some("0000".to_owned()));
    assert!(run(&mut log_in).failure().contains("CKR_PIN_INCORRECT"));
}

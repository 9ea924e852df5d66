//! Modules that crash, hang, leak and make noise.

use std::time::{Duration, Instant};

use hsm_tests::fault::{Effect, When};
use hsm_tests::processes::{await_end, is_gone};
use hsm_tests::{SoftHsm, StoredPin, program, run};
use keystead::backend::pkcs11::{
    KeyAlgorithm, Notice, Operator, PinProblem, PinRequest, TokenError,
};
use keystead::backend::secret::{Secret, SecretError};
use keystead::core::key::SignError;

use super::{Bench, TIMEOUT, direct, launcher, sign};

#[test]
fn a_crash_costs_one_signature() {
    SoftHsm::in_process("crash", |hsm| {
        let mut bench = Bench::new(hsm);
        for starter in [direct(), launcher()] {
            for effect in [Effect::Segfault, Effect::Abort] {
                bench.module.heal();
                let mut signer = bench.open_with(starter.clone(), StoredPin).unwrap().signer;
                sign(&mut signer).unwrap();
                bench.fail("C_Sign", When::Nth(1), effect);
                let worker = bench.worker();
                assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
                assert!(is_gone(worker));
                sign(&mut signer).unwrap();
                sign(&mut signer).unwrap();
                assert_ne!(bench.worker(), worker);
            }
        }
    });
}

#[test]
fn a_hang_costs_one_signature() {
    SoftHsm::in_process("hang", |hsm| {
        let mut bench = Bench::new(hsm);
        for starter in [direct(), launcher()] {
            bench.module.heal();
            let mut signer = bench.open_with(starter, StoredPin).unwrap().signer;
            sign(&mut signer).unwrap();
            let never = bench.hsm.folder().join("never");
            bench.fail("C_Sign", When::Nth(1), Effect::WaitFor(never));
            let worker = bench.worker();
            let start = Instant::now();
            assert_eq!(sign(&mut signer), Err(SignError::TimedOut));
            let took = start.elapsed();
            assert!(took >= TIMEOUT && took < 5 * TIMEOUT, "{took:?}");
            assert!(is_gone(worker));
            sign(&mut signer).unwrap();
        }
    });
}

#[test]
fn an_end_between_signatures_costs_none() {
    SoftHsm::in_process("killed", |hsm| {
        let bench = Bench::new(hsm);
        for starter in [direct(), launcher()] {
            let mut signer = bench.open_with(starter, StoredPin).unwrap().signer;
            sign(&mut signer).unwrap();
            let worker = bench.worker();
            kill(worker);
            await_end(worker);
            sign(&mut signer).unwrap();
        }
    });
}

#[test]
fn a_leak_costs_one_signature() {
    SoftHsm::in_process("leak", |hsm| {
        let mut bench = Bench::new(hsm);
        bench.fail("C_Sign", When::Always, Effect::Leak(200 << 20));
        let mut signer = bench.open();
        let results: Vec<_> = (0..8).map(|_| sign(&mut signer)).collect();
        assert!(results[0].is_ok() && results[1].is_ok(), "{results:?}");
        // Whoever runs out of memory is started anew, and has all of it again.
        let lost = results.iter().filter(|result| result.is_err()).count();
        assert!((1..=4).contains(&lost), "{results:?}");
        let mut pairs = results.windows(2);
        assert!(
            pairs.all(|pair| pair[0].is_ok() || pair[1].is_ok()),
            "{results:?}"
        );
    });
}

#[test]
fn an_end_while_the_key_is_opened_is_told_by_its_signal() {
    SoftHsm::in_process("opening", |hsm| {
        let mut bench = Bench::new(hsm);
        bench.fail("C_OpenSession", When::Always, Effect::Segfault);
        for starter in [direct(), launcher()] {
            let error = bench
                .open_with(starter, StoredPin)
                .err()
                .unwrap()
                .to_string();
            assert!(error.contains("SIGSEGV"), "{error}");
            assert!(error.contains("module.so"), "{error}");
        }
    });
}

#[test]
fn a_crash_in_a_login_is_a_refused_pin() {
    SoftHsm::in_process("login", |hsm| login_ends_badly(hsm, Effect::Abort));
}

#[test]
fn a_hang_in_a_login_is_a_refused_pin() {
    SoftHsm::in_process("login", |hsm| {
        let never = hsm.folder().join("never");
        login_ends_badly(hsm, Effect::WaitFor(never));
    });
}

fn login_ends_badly(hsm: SoftHsm, effect: Effect) {
    let mut bench = Bench::new(hsm);
    bench.fail("C_Login", When::Always, effect);
    let ended = bench.open_with(direct(), StoredPin).err();
    assert!(
        matches!(ended, Some(TokenError::Signer { .. })),
        "{ended:?}"
    );
    bench.module.heal();
    let problem = match bench.open_with(direct(), StoredPin) {
        Err(TokenError::Pin { problem, .. }) => problem,
        other => panic!("{:?}", other.err()),
    };
    assert!(
        matches!(problem, PinProblem::RefusedBefore(_)),
        "{problem:?}"
    );
    assert_eq!(bench.module.count("C_Login"), 1);
}

/// A PIN that can be read once, as from a descriptor.
struct Once(bool);

impl Operator for Once {
    fn pin(&mut self, request: &PinRequest) -> Result<Option<Secret>, SecretError> {
        match std::mem::take(&mut self.0) {
            true => StoredPin.pin(request),
            false => Ok(None),
        }
    }

    fn is_person(&self) -> bool {
        false
    }

    fn notify(&mut self, _: &Notice) {}
}

#[test]
fn a_pin_that_can_be_read_once_is_needed_again() {
    SoftHsm::in_process("once", |hsm| {
        let mut bench = Bench::new(hsm);
        bench.fail("C_Sign", When::Nth(2), Effect::Segfault);
        let mut signer = bench.open_with(direct(), Once(true)).unwrap().signer;
        sign(&mut signer).unwrap();
        assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
        assert_eq!(sign(&mut signer), Err(SignError::PinNeeded));
    });
}

#[test]
fn a_key_that_was_made_anew_is_another_one() {
    SoftHsm::in_process("anew", |hsm| {
        let bench = Bench::new(hsm);
        let mut signer = bench.open();
        sign(&mut signer).unwrap();
        kill(bench.worker());
        bench.hsm.delete("privkey", 1);
        bench.hsm.delete("pubkey", 1);
        bench.hsm.generate(KeyAlgorithm::P256, 1, "key", &[]);
        assert_eq!(sign(&mut signer), Err(SignError::KeyGone));
    });
}

#[test]
fn noise_of_a_module_disturbs_nobody() {
    SoftHsm::in_process("noise", |hsm| {
        let mut bench = Bench::new(hsm);
        let noise = Effect::Noise("\0\0\0\x01 HELLO\n".repeat(100));
        for function in ["C_Initialize", "C_Login", "C_Sign"] {
            bench.fail(function, When::Always, noise.clone());
        }
        let mut signer = bench.open();
        for _ in 0..3 {
            sign(&mut signer).unwrap();
        }
    });
}

#[test]
fn a_program_that_is_not_there_is_named() {
    SoftHsm::in_process("missing", |hsm| {
        let bench = Bench::new(hsm);
        let missing = bench.hsm.folder().join("keystead-signer");
        let starter = keystead::backend::isolated::Starter::direct(missing, Default::default());
        let error = bench
            .open_with(starter, StoredPin)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("belongs beside it"), "{error}");
    });
}

pub fn kill(process: u32) {
    let mut kill = program::command("kill");
    run(kill.args(["-KILL", &process.to_string()])).success();
}

#[test]
fn the_end_of_a_signer_is_the_end_of_its_worker() {
    SoftHsm::in_process("dropped", |hsm| {
        let mut bench = Bench::new(hsm);
        for starter in [direct(), launcher()] {
            let mut signer = bench.open_with(starter, StoredPin).unwrap().signer;
            sign(&mut signer).unwrap();
            let worker = bench.worker();
            drop(signer);
            assert!(is_gone(worker));
        }
        // One that does not log out in time is not waited for.
        let never = bench.hsm.folder().join("never");
        bench.fail("C_Finalize", When::Always, Effect::WaitFor(never));
        let mut signer = bench.open();
        sign(&mut signer).unwrap();
        let (worker, start) = (bench.worker(), Instant::now());
        drop(signer);
        assert!(is_gone(worker));
        assert!(start.elapsed() < Duration::from_secs(20));
    });
}

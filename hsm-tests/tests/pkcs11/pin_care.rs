//! A stored PIN costs at most one try, in all processes together, and never the last one.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use hsm_tests::alone::part;
use hsm_tests::fault::{Effect, Fault, Renewal, Stage, When, sys};
use hsm_tests::operator::{Person, Stored};
use hsm_tests::softhsm::PIN;
use keystead::backend::pkcs11::{Access, KeyAlgorithm, PinProblem, PinState, TokenError};

use crate::login::always;
use crate::rig::{Rig, access, open, open_uri, others, outcome, refusal, sign};

const WRONG: &str = "9999";

/// What another process does: it opens the key with the PIN that its part is called.
fn opens(folder: &Path, pin: &str) -> String {
    outcome(open(&access(folder), Stored::new(pin)))
}

/// What is wrong with the PIN.
#[track_caller]
fn problem(error: TokenError) -> PinProblem {
    assert!(error.concerns_pin());
    match error {
        TokenError::Pin { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn a_refused_pin_is_tried_once_here_and_elsewhere() {
    Rig::run(
        |rig| {
            assert_eq!(problem(refusal(rig.open(WRONG))), PinProblem::Refused);
            let again = problem(refusal(rig.open(WRONG)));
            let PinProblem::RefusedBefore(file) = again else {
                panic!("{again:?}");
            };
            assert!(file.starts_with(rig.hsm.folder().join("state")));
            let said = others(rig.hsm.folder(), 1, WRONG);
            assert!(
                said[0].ends_with("was refused before, and is not tried again"),
                "{said:?}"
            );
            assert_eq!(rig.module.count("C_Login"), 1);
        },
        opens,
    );
}

#[test]
fn twenty_processes_spend_one_try() {
    Rig::run(
        |rig| {
            let said = others(rig.hsm.folder(), 20, WRONG);
            let refused = said.iter().filter(|said| said.ends_with("was refused"));
            assert_eq!(refused.count(), 1, "{said:?}");
            let before = said
                .iter()
                .filter(|said| said.contains("was refused before"));
            assert_eq!(before.count(), 19, "{said:?}");
            assert_eq!(rig.module.count("C_Login"), 1);
        },
        opens,
    );
}

#[test]
fn twenty_processes_with_the_right_one_spend_no_try() {
    Rig::run(
        |rig| {
            let said = others(rig.hsm.folder(), 20, PIN);
            // SoftHSM (2.6.1) writes a token's file anew at each login: a process that begins in that
            // moment may have read half of it.
            let is_half = |said: &str| said.contains("no token") || said.ends_with("was never set");
            let opened = said.iter().filter(|said| *said == "opened").count();
            assert!(opened >= 10, "{said:?}");
            let mut rest = said.iter().filter(|said| *said != "opened");
            assert!(rest.all(|said| is_half(said)), "{said:?}");
            // Afterwards nobody takes it for refused.
            assert_eq!(others(rig.hsm.folder(), 1, PIN), ["opened"]);
        },
        opens,
    );
}

#[test]
fn a_pin_that_was_corrected_is_tried() {
    Rig::run(
        |rig| {
            refusal(rig.open(WRONG));
            let said = others(rig.hsm.folder(), 1, PIN);
            assert_eq!(said, ["opened"]);
            assert_eq!(rig.module.count("C_Login"), 2);
        },
        opens,
    );
}

#[test]
fn two_identities_of_one_token_do_not_help_each_other_to_more_tries() {
    Rig::run(
        |rig| {
            for _ in 0..3 {
                let said = others(rig.hsm.folder(), 1, WRONG);
                assert!(said[0].contains("was refused"), "{said:?}");
                assert_eq!(others(rig.hsm.folder(), 1, PIN), ["opened"]);
            }
            assert_eq!(
                rig.module.count("C_Login"),
                1 + 3,
                "one of them with the wrong PIN"
            );
        },
        opens,
    );
}

#[test]
fn the_last_try_is_a_persons() {
    Rig::run(
        |mut rig| {
            rig.module
                .change(|plan| plan.token_flags.0 = sys::CKF_USER_PIN_FINAL_TRY);
            assert_eq!(problem(refusal(rig.open(PIN))), PinProblem::FinalTry);
            assert_eq!(rig.module.count("C_Login"), 0);

            let person = Person::who_types(&[PIN]);
            let mut key = rig
                .open_by(person.clone())
                .unwrap_or_else(|error| panic!("{error}"));
            let asked = person.asked();
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0].state, PinState::FinalTry);
            sign(&mut key.signer).unwrap();
        },
        opens,
    );
}

#[test]
fn a_locked_pin_is_not_asked_for() {
    Rig::run(
        |mut rig| {
            rig.module
                .change(|plan| plan.token_flags.0 = sys::CKF_USER_PIN_LOCKED);
            let person = Person::who_types(&[PIN]);
            assert_eq!(problem(refusal(rig.open(PIN))), PinProblem::Locked);
            assert_eq!(
                problem(refusal(rig.open_by(person.clone()))),
                PinProblem::Locked
            );
            assert_eq!(person.asked(), []);
            assert_eq!(rig.module.count("C_Login"), 0);
        },
        opens,
    );
}

#[test]
fn a_low_count_forbids_only_what_was_refused() {
    Rig::run(
        |mut rig| {
            refusal(rig.open(WRONG));
            rig.module
                .change(|plan| plan.token_flags.0 = sys::CKF_USER_PIN_COUNT_LOW);
            let again = problem(refusal(rig.open(WRONG)));
            assert!(matches!(again, PinProblem::RefusedBefore(_)), "{again:?}");
            assert_eq!(rig.module.count("C_Login"), 1);
            sign(&mut rig.signer()).unwrap();
        },
        opens,
    );
}

#[test]
fn a_token_that_locks_in_this_very_try_says_so() {
    Rig::run(
        |mut rig| {
            rig.module
                .fail(Fault::always("C_Login", sys::CKR_PIN_LOCKED));
            assert_eq!(problem(refusal(rig.open(WRONG))), PinProblem::Locked);
            let again = problem(refusal(rig.open(WRONG)));
            assert!(matches!(again, PinProblem::RefusedBefore(_)), "{again:?}");
            assert_eq!(rig.module.count("C_Login"), 1);
        },
        opens,
    );
}

#[test]
fn a_crash_before_the_login_counts_as_refused() {
    Rig::run(|rig| crash(rig, Stage::Before, Effect::Abort), opens);
}

#[test]
fn a_crash_after_the_login_counts_as_refused() {
    Rig::run(|rig| crash(rig, Stage::After, Effect::Segfault), opens);
}

fn crash(mut rig: Rig, stage: Stage, effect: Effect) {
    let mut fault = Fault::new("C_Login", When::Nth(1), effect);
    fault.stage = stage;
    rig.module.fail(fault);
    let said = others(rig.hsm.folder(), 1, PIN);
    assert!(said[0].starts_with("no answer: signal"), "{said:?}");
    let again = problem(refusal(rig.open(PIN)));
    assert!(matches!(again, PinProblem::RefusedBefore(_)), "{again:?}");
    assert_eq!(rig.module.count("C_Login"), 1);
}

#[test]
fn a_login_that_hangs_and_is_killed_counts_as_refused() {
    Rig::run(
        |mut rig| {
            let never = rig.hsm.folder().join("never");
            rig.module
                .fail(Fault::new("C_Login", When::Always, Effect::WaitFor(never)));
            let mut process = part(PIN)
                .stdin(Stdio::null())
                .spawn()
                .expect("a process can be started");
            while rig.module.count("C_Login") == 0 {
                std::thread::yield_now();
            }
            process.kill().expect("it is our process");
            process.wait().expect("it is our process");
            rig.module.heal();
            let again = problem(refusal(rig.open(PIN)));
            assert!(matches!(again, PinProblem::RefusedBefore(_)), "{again:?}");
            assert_eq!(rig.module.count("C_Login"), 1);
        },
        opens,
    );
}

#[test]
fn a_login_that_fails_for_another_reason_does_not_count() {
    Rig::run(
        |mut rig| {
            let gone = Fault::always("C_Login", sys::CKR_DEVICE_REMOVED);
            rig.module.fail(gone);
            let error = refusal(rig.open(PIN));
            assert!(!error.concerns_pin(), "{error}");
            assert!(
                error.to_string().ends_with("C_Login: CKR_DEVICE_REMOVED"),
                "{error}"
            );
            rig.module.heal();
            sign(&mut rig.signer()).unwrap();
        },
        opens,
    );
}

#[test]
fn a_login_of_which_nobody_knows_what_it_cost_is_tried_once_a_call() {
    Rig::run(
        |mut rig| {
            rig.module
                .fail(Fault::always("C_Login", sys::CKR_GENERAL_ERROR));
            let error = refusal(rig.open(PIN));
            assert!(
                error.to_string().ends_with("C_Login: CKR_GENERAL_ERROR"),
                "{error}"
            );
            assert_eq!(rig.module.count("C_Login"), 1);
            rig.module.heal();
            sign(&mut rig.signer()).unwrap();
        },
        opens,
    );
}

#[test]
fn an_answer_that_says_nothing_counts_while_the_count_is_low() {
    Rig::run(
        |mut rig| {
            rig.module
                .change(|plan| plan.token_flags.0 = sys::CKF_USER_PIN_COUNT_LOW);
            let unclear = Effect::Return(sys::CKR_GENERAL_ERROR);
            rig.module
                .fail(Fault::new("C_Login", When::Nth(1), unclear));
            refusal(rig.open(PIN));
            let again = problem(refusal(rig.open(PIN)));
            assert!(matches!(again, PinProblem::RefusedBefore(_)), "{again:?}");
            assert_eq!(rig.module.count("C_Login"), 1);
        },
        opens,
    );
}

#[test]
fn where_nothing_can_be_remembered_no_stored_pin_is_tried() {
    Rig::run(
        |rig| {
            let file = rig.key_file();
            for state in [None, Some(file.join("below-a-file"))] {
                let access = Access {
                    state,
                    ..rig.access()
                };
                let why = problem(refusal(open(&access, Stored::new(PIN))));
                assert!(matches!(why, PinProblem::NotRemembered(_)), "{why:?}");
                assert_eq!(rig.module.count("C_Login"), 0);
            }
            // A person is not stopped by that.
            let access = Access {
                state: None,
                ..rig.access()
            };
            let person = Person::who_types(&[PIN]);
            open(&access, person).unwrap_or_else(|error| panic!("{error}"));
        },
        opens,
    );
}

#[test]
fn a_damaged_memory_does_not_mean_that_nothing_was_refused() {
    Rig::run(
        |rig| {
            let PinProblem::RefusedBefore(file) = ({
                refusal(rig.open(WRONG));
                problem(refusal(rig.open(WRONG)))
            }) else {
                panic!("it is remembered");
            };
            fs::write(&file, "not what it was").expect("the file is ours");
            let why = problem(refusal(rig.open(PIN)));
            assert!(matches!(why, PinProblem::NotRemembered(_)), "{why:?}");
            assert_eq!(rig.module.count("C_Login"), 1);
            fs::remove_file(&file).expect("the file is ours");
            sign(&mut rig.signer()).unwrap();
        },
        opens,
    );
}

#[test]
fn what_a_person_proves_right_is_tried_again_from_where_it_is_stored() {
    Rig::run(
        |mut rig| {
            let refused = Effect::Return(sys::CKR_PIN_INCORRECT);
            rig.module
                .fail(Fault::new("C_Login", When::Nth(1), refused));
            refusal(rig.open(PIN));
            let before = problem(refusal(rig.open(PIN)));
            assert!(matches!(before, PinProblem::RefusedBefore(_)), "{before:?}");
            let person = Person::who_types(&[PIN]);
            rig.open_by(person)
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(others(rig.hsm.folder(), 1, PIN), ["opened"]);
        },
        opens,
    );
}

#[test]
fn no_pin_at_all_is_said() {
    Rig::run(
        |rig| {
            assert_eq!(
                problem(refusal(rig.open_by(Stored(None)))),
                PinProblem::Needed
            );
            assert_eq!(rig.module.count("C_Login"), 0);
        },
        opens,
    );
}

#[test]
fn a_pin_that_was_changed_is_not_tried_for_a_signature_by_every_process() {
    Rig::run(
        |mut rig| {
            let uri = always(&rig, KeyAlgorithm::P256);
            let open = || {
                open_uri(&rig.access(), &uri, Stored::new(PIN))
                    .unwrap_or_else(|error| panic!("{error}"))
            };
            let mut keys = [open(), open(), open()];
            keys.iter_mut()
                .for_each(|key| sign(&mut key.signer).unwrap());
            let before = rig.module.count("C_Login");
            rig.module
                .fail(Fault::always("C_Login", sys::CKR_PIN_INCORRECT));
            for key in &mut keys {
                sign(&mut key.signer).unwrap_err();
                sign(&mut key.signer).unwrap_err();
            }
            assert_eq!(rig.module.count("C_Login"), before + 1);
            rig.module.mishap(Renewal::Session, sys::CKR_SESSION_CLOSED);
            sign(&mut keys[0].signer).unwrap_err();
            assert_eq!(rig.module.count("C_Login"), before + 1);
        },
        opens,
    );
}

//! PINs that are not tried: what a source has by mistake, and what was right when it was typed.

use std::path::Path;

use hsm_tests::fault::sys;
use hsm_tests::operator::{Person, Stored};
use hsm_tests::softhsm::PIN;
use keystead::backend::pkcs11::{
    Access, KeyAlgorithm, OpenedKey, PinProblem, PinState, TokenError,
};

use crate::rig::{self, Rig, access, open, open_uri, outcome, refusal, sign};

/// What another process does: it opens the key with the PIN that its part is called.
fn opens(folder: &Path, pin: &str) -> String {
    outcome(open(&access(folder), Stored::new(pin)))
}

/// What is wrong with the PIN.
#[track_caller]
fn problem(opened: Result<OpenedKey, TokenError>) -> PinProblem {
    match refusal(opened) {
        TokenError::Pin { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn an_empty_pin_is_not_tried() {
    Rig::run(
        |rig| {
            assert!(matches!(problem(rig.open("")), PinProblem::Source(_)));
            let person = Person::who_types(&[""]);
            let refused = problem(rig.open_by(person));
            assert!(matches!(refused, PinProblem::Source(_)));
            assert_eq!(rig.module.count("C_Login"), 0);
        },
        opens,
    );
}

#[test]
fn a_pin_that_is_used_again_is_not_tried_where_it_could_lock_the_token() {
    Rig::run(
        |mut rig| {
            let always = ["--always-auth"];
            rig.hsm.generate(KeyAlgorithm::P256, 6, "always", &always);
            let uri = format!("pkcs11:token={};object=always;type=private", rig::TOKEN);
            let access = Access {
                reuse_pin: true,
                ..rig.access()
            };
            let person = Person::who_types(&[PIN]);
            let mut key =
                open_uri(&access, &uri, person.clone()).unwrap_or_else(|error| panic!("{error}"));
            sign(&mut key.signer).unwrap();
            person.asked();
            rig.module
                .change(|plan| plan.token_flags.0 = sys::CKF_USER_PIN_FINAL_TRY);
            person.will_type(&[PIN]);
            sign(&mut key.signer).unwrap();
            let asked = person.asked();
            assert_eq!(asked.len(), 1, "{asked:?}");
            assert_eq!(asked[0].state, PinState::FinalTry);
        },
        opens,
    );
}

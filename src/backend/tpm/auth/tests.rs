use super::*;
use crate::backend::secret::SecretError;
use crate::backend::tpm::code::ResponseCode;
use crate::backend::tpm::error::CallError;
use core::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;

/// Gives one value after the other, and knows for which questions.
struct Values {
    values: VecDeque<Option<&'static str>>,
    person: bool,
    asked: Vec<AuthRequest>,
}

impl Operator for Values {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        self.asked.push(request.clone());
        let value = self.values.pop_front().flatten();
        Ok(value.map(|value| Secret::new(value.as_bytes().to_vec())))
    }

    fn is_person(&self) -> bool {
        self.person
    }
}

fn stored(value: Option<&'static str>) -> Values {
    Values {
        values: VecDeque::from([value]),
        person: false,
        asked: Vec::new(),
    }
}

fn person(values: &[&'static str]) -> Values {
    Values {
        values: values.iter().map(|value| Some(*value)).collect(),
        person: true,
        asked: Vec::new(),
    }
}

/// A TPM with an object: what it says of wrong values, and which values it was given.
struct Tpm {
    folder: Option<tempfile::TempDir>,
    right: &'static str,
    says: Cell<u32>,
    /// What becomes of the commands, if they are not answered.
    lost: RefCell<Option<TpmError>>,
    given: RefCell<Vec<String>>,
}

impl Tpm {
    fn new(right: &'static str, says: u32) -> Self {
        Self {
            folder: Some(tempfile::tempdir().unwrap()),
            right,
            says: Cell::new(says),
            lost: RefCell::default(),
            given: RefCell::default(),
        }
    }

    fn state(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.path().join("state"))
    }

    fn subject(&self) -> Subject {
        let counts = self.says.get() & 0x3f == code::AUTH_FAIL & 0x3f;
        Subject::key(Object::Key, "tpm:handle=0x81000011", &[0, 11, 7], counts)
    }

    fn try_as(&self, subject: &Subject, operator: &mut Values) -> Result<u8, AuthProblem> {
        let access = Access {
            tcti: "swtpm".to_owned(),
            state: self.state(),
            plain_auth: false,
            timeout: Duration::from_secs(20),
        };
        let care = Care {
            access: &access,
            subject,
        };
        let done = care.authorise(operator, &mut |value| {
            let value = String::from_utf8(value.expose().to_vec()).unwrap();
            self.given.borrow_mut().push(value.clone());
            if let Some(error) = &*self.lost.borrow() {
                return Err(error.clone());
            }
            match value == self.right {
                true => Ok(1),
                false => Err(TpmError::Call {
                    what: String::new(),
                    error: CallError {
                        call: "TPM2_Sign".into(),
                        code: ResponseCode(self.says.get()),
                    },
                }),
            }
        });
        done.map_err(|error| match error {
            TpmError::Auth { problem, .. } => problem,
            other => AuthProblem::Source(other.to_string()),
        })
    }

    fn try_with(&self, operator: &mut Values) -> Result<u8, AuthProblem> {
        self.try_as(&self.subject(), operator)
    }

    fn tries(&self) -> usize {
        self.given.take().len()
    }
}

const COUNTED: u32 = 0x98e;
const UNCOUNTED: u32 = 0x9a2;

#[test]
fn a_refused_value_is_tried_once() {
    for says in [COUNTED, UNCOUNTED] {
        let tpm = Tpm::new("right", says);
        let counts = says == COUNTED;
        let refused = AuthProblem::Refused { counts };
        assert_eq!(tpm.try_with(&mut stored(Some("wrong"))), Err(refused));
        let again = tpm.try_with(&mut stored(Some("wrong")));
        assert!(matches!(again, Err(AuthProblem::RefusedBefore(file)) if file.exists()));
        assert_eq!(tpm.tries(), 1);
        assert_eq!(tpm.try_with(&mut stored(Some("right"))), Ok(1));
        assert_eq!(tpm.try_with(&mut stored(Some("right"))), Ok(1));
    }
}

#[test]
fn without_a_value_the_empty_one_is_tried() {
    let tpm = Tpm::new("", COUNTED);
    assert_eq!(tpm.try_with(&mut stored(None)), Ok(1));
    let tpm = Tpm::new("right", COUNTED);
    let result = tpm.try_with(&mut stored(None));
    assert_eq!(result, Err(AuthProblem::Needed));
    let result = tpm.try_with(&mut stored(None));
    assert!(matches!(result, Err(AuthProblem::NeededAfter(file)) if file.exists()));
    assert_eq!(tpm.tries(), 1);
    // What costs nothing is tried again: the value may have been removed.
    let tpm = Tpm::new("right", UNCOUNTED);
    for _ in 0..2 {
        let result = tpm.try_with(&mut stored(None));
        assert_eq!(result, Err(AuthProblem::Needed));
    }
    assert_eq!(tpm.tries(), 2);
}

#[test]
fn what_is_known_of_a_value_is_not_asked() {
    let tpm = Tpm::new("", COUNTED);
    let mut subject = tpm.subject();
    subject.empty = Some(true);
    let mut operator = stored(Some("wrong"));
    assert_eq!(tpm.try_as(&subject, &mut operator), Ok(1));
    assert!(operator.asked.is_empty());
    subject.empty = Some(false);
    let result = tpm.try_as(&subject, &mut stored(None));
    assert_eq!(result, Err(AuthProblem::Needed));
    assert_eq!(tpm.tries(), 1);
}

#[test]
fn a_person_may_try_again() {
    let tpm = Tpm::new("right", COUNTED);
    let mut operator = person(&["wrong", "other", "right"]);
    assert_eq!(tpm.try_with(&mut operator), Ok(1));
    let refused: Vec<bool> = operator.asked.iter().map(|asked| asked.refused).collect();
    assert_eq!(refused, [false, true, true]);

    let refused = AuthProblem::Refused { counts: true };
    assert_eq!(tpm.try_with(&mut person(&["wrong"])), Err(refused));
    let mut endless = person(&["wrong"; 50]);
    assert!(tpm.try_with(&mut endless).is_err());
    assert_eq!(endless.asked.len(), ATTEMPTS);
}

#[test]
fn a_person_is_asked_after_the_empty_value_was_refused() {
    let tpm = Tpm::new("right", UNCOUNTED);
    let mut operator = person(&["right"]);
    operator.values.push_front(None);
    assert_eq!(tpm.try_with(&mut operator), Ok(1));
    assert!(operator.asked.iter().all(|asked| asked.may_be_empty));
    assert_eq!(tpm.given.take(), ["", "right"]);
}

#[test]
fn what_a_person_typed_with_success_counts_no_longer_as_refused() {
    let mut tpm = Tpm::new("first", COUNTED);
    assert!(tpm.try_with(&mut stored(Some("second"))).is_err());
    tpm.right = "second";
    assert!(tpm.try_with(&mut stored(Some("second"))).is_err());
    assert_eq!(tpm.try_with(&mut person(&["second"])), Ok(1));
    assert_eq!(tpm.try_with(&mut stored(Some("second"))), Ok(1));
}

#[test]
fn what_the_tpm_did_not_judge_is_not_remembered() {
    let tpm = Tpm::new("right", COUNTED);
    let subject = tpm.subject();
    tpm.says.set(0x921);
    let result = tpm.try_as(&subject, &mut stored(Some("wrong")));
    assert_eq!(result, Err(AuthProblem::Locked));
    tpm.says.set(0x902);
    let result = tpm.try_as(&subject, &mut stored(Some("wrong")));
    assert!(matches!(result, Err(AuthProblem::Source(_))), "{result:?}");
    tpm.says.set(COUNTED);
    let result = tpm.try_as(&subject, &mut stored(Some("wrong")));
    assert_eq!(result, Err(AuthProblem::Refused { counts: true }));
    assert_eq!(tpm.tries(), 3);
}

fn unanswered(call: &'static str) -> TpmError {
    TpmError::Unanswered {
        tcti: "swtpm".to_owned(),
        call: call.into(),
        reason: "it does not answer in time".to_owned(),
    }
}

fn failed(call: &'static str, code: ResponseCode) -> TpmError {
    TpmError::Call {
        what: String::new(),
        error: CallError {
            call: call.into(),
            code,
        },
    }
}

/// A try that may have been counted is none to repeat, whatever became of the answer.
#[test]
fn what_the_tpm_may_have_counted_is_not_tried_again() {
    for lost in [
        unanswered("TPM2_Sign"),
        unanswered("TPM2_Load"),
        failed("TPM2_Sign", code::IO_ERROR),
        failed("TPM2_Sign", code::MALFORMED_RESPONSE),
        failed("TPM2_Sign", code::RSP_AUTH_FAILED),
    ] {
        for value in [Some("right"), None] {
            let tpm = Tpm::new(value.unwrap_or_default(), COUNTED);
            tpm.lost.replace(Some(lost.clone()));
            let file = match tpm.try_with(&mut stored(value)) {
                Err(AuthProblem::Unanswered {
                    file: Some(file), ..
                }) => file,
                other => panic!("{lost}: {other:?}"),
            };
            // Nor when the TPM answers again: it may be a wrong one.
            tpm.lost.take();
            let again = tpm.try_with(&mut stored(value)).unwrap_err();
            let says = match value {
                Some(_) => AuthProblem::RefusedBefore(file.clone()),
                None => AuthProblem::NeededAfter(file.clone()),
            };
            assert_eq!(again, says);
            assert!(again.remedy(Object::Key).unwrap().contains("remove "));
            assert_eq!(tpm.tries(), 1);
            std::fs::remove_file(file).unwrap();
            assert_eq!(tpm.try_with(&mut stored(value)), Ok(1));
        }
        // Who types decides for himself.
        let tpm = Tpm::new("right", COUNTED);
        tpm.lost.replace(Some(lost));
        let result = tpm.try_with(&mut person(&["right", "right"]));
        assert!(
            matches!(result, Err(AuthProblem::Unanswered { file: None, .. })),
            "{result:?}"
        );
        tpm.lost.take();
        assert_eq!(tpm.try_with(&mut person(&["right"])), Ok(1));
        assert_eq!(tpm.tries(), 2);
    }
}

/// Before the command that needs the value was sent, or where wrong ones cost nothing, nothing is lost.
#[test]
fn what_the_tpm_cannot_have_counted_is_tried_again() {
    let unreachable = TpmError::Unreachable {
        tcti: "swtpm".to_owned(),
        reason: "connection refused".to_owned(),
    };
    for (lost, says) in [
        (unreachable, COUNTED),
        (unanswered("TPM2_StartAuthSession"), COUNTED),
        (unanswered("TPM2_PolicyPCR"), COUNTED),
        (failed("TPM2_StartAuthSession", code::IO_ERROR), COUNTED),
        (failed("Esys_TR_SetAuth", code::IO_ERROR), COUNTED),
        (failed("TPM2_Sign", code::BAD_VALUE), COUNTED),
        (failed("TPM2_Sign", ResponseCode(0xb_0922)), COUNTED),
        (unanswered("TPM2_Sign"), UNCOUNTED),
    ] {
        let tpm = Tpm::new("right", says);
        tpm.lost.replace(Some(lost.clone()));
        let result = tpm.try_with(&mut stored(Some("right")));
        assert_eq!(result, Err(AuthProblem::Source(lost.to_string())));
        tpm.lost.take();
        assert_eq!(tpm.try_with(&mut stored(Some("right"))), Ok(1), "{lost}");
    }
}

#[test]
fn without_a_memory_only_what_does_not_count_is_tried() {
    for (says, tries) in [(COUNTED, 0), (UNCOUNTED, 1)] {
        let mut tpm = Tpm::new("right", says);
        tpm.folder = None;
        let result = tpm.try_with(&mut stored(Some("wrong")));
        assert!(result.is_err());
        let unremembered = matches!(result, Err(AuthProblem::NotRemembered(_)));
        assert_eq!(unremembered, says == COUNTED);
        assert_eq!(tpm.tries(), tries);
    }
}

#[test]
fn values_that_no_tpm_takes_are_not_tried() {
    const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef+";
    let tpm = Tpm::new("right", COUNTED);
    let result = tpm.try_with(&mut stored(Some(LONG)));
    assert_eq!(result, Err(AuthProblem::TooLong));
    let result = tpm.try_with(&mut stored(Some("")));
    assert!(matches!(result, Err(AuthProblem::Source(_))));
    assert_eq!(tpm.tries(), 0);
}

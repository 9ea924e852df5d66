//! Keys in the card, through a module in this process.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use hsm_tests::Card;
use hsm_tests::piv::{Finger, OPENSC, PIN, YKCS11};
use keystead::backend::pkcs11::{
    Access, Leaf, Local, Notice, OpenKey, OpenedKey, Operator, PinProblem, PinRequest, TokenError,
    Tokens as _, Uri,
};
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::signature::verify;
use keystead::core::key::{MAX_SIGNATURE_LEN, Scheme, SignError, Signer as _};

use crate::filled::{filled, filled_with};

/// A stored PIN; notices are counted.
struct Stored {
    pin: &'static str,
    notices: Sender<Notice>,
}

impl Operator for Stored {
    fn pin(&mut self, _: &PinRequest) -> Result<Option<Secret>, SecretError> {
        Ok(Some(Secret::new(self.pin.into())))
    }
    fn is_person(&self) -> bool {
        false
    }
    fn notify(&mut self, notice: &Notice) {
        let _ = self.notices.send(notice.clone());
    }
}

fn stored(pin: &'static str) -> (Box<dyn Operator>, Receiver<Notice>) {
    let (notices, noticed) = mpsc::channel();
    (Box::new(Stored { pin, notices }), noticed)
}

fn local(module: &str, folder: &Path) -> Local {
    Local::new(Access {
        module: module.into(),
        state: Some(folder.join("state")),
        reuse_pin: false,
        timeout: Duration::from_secs(30),
    })
}

/// The key of a slot by its CKA_ID, with its certificate on the token.
fn request(id: u8) -> OpenKey {
    OpenKey {
        key: None,
        leaf: Leaf::Token(Box::new(uri(&format!("pkcs11:id=%{id:02x};type=cert")))),
        require_hardware: true,
    }
}

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

#[track_caller]
fn signs(opened: &mut OpenedKey, scheme: Scheme) {
    let signed = try_sign(opened, scheme);
    signed.unwrap_or_else(|error| panic!("{scheme:?}: {error}"));
}

fn try_sign(opened: &mut OpenedKey, scheme: Scheme) -> Result<(), SignError> {
    let mut signature = [0; MAX_SIGNATURE_LEN];
    let message = b"what is signed";
    let len = opened.signer.sign(scheme, message, &mut signature)?;
    verify(
        opened.signer.public_key(),
        scheme,
        message,
        &signature[..len],
    )
    .unwrap();
    Ok(())
}

const RSA: [Scheme; 6] = [
    Scheme::RsaPkcs1Sha256,
    Scheme::RsaPkcs1Sha384,
    Scheme::RsaPkcs1Sha512,
    Scheme::RsaPssSha256,
    Scheme::RsaPssSha384,
    Scheme::RsaPssSha512,
];
const EC: [Scheme; 2] = [Scheme::EcdsaSha256, Scheme::EcdsaSha384];

/// Each slot signs in all its schemes, more than once: 9c wants the PIN each time.
fn each_slot_signs(module: &str, card: &Card) {
    let leaves = filled(
        card,
        &[("9a", "ECCP256"), ("9c", "RSA2048"), ("9e", "ECCP384")],
    );
    let mut tokens = local(module, card.folder());
    for (id, leaf, schemes) in [
        (1, &leaves[0], &EC[..]),
        (2, &leaves[1], &RSA),
        (4, &leaves[2], &EC),
    ] {
        let (operator, _) = stored(PIN);
        let mut opened = tokens.open(&request(id), operator).unwrap();
        assert_eq!(&opened.certificates[0], leaf, "{module} {id}");
        for scheme in schemes.iter().chain(schemes) {
            signs(&mut opened, *scheme);
        }
    }
}

#[test]
fn each_slot_signs_through_ykcs11() {
    Card::in_process(|card| each_slot_signs(YKCS11, &card));
}

#[test]
fn each_slot_signs_through_opensc() {
    Card::in_process(|card| each_slot_signs(OPENSC, &card));
}

/// The signer outlives what happens to card and pcscd.
fn it_recovers(module: &str, card: &mut Card) {
    filled(card, &[("9a", "ECCP256"), ("9c", "ECCP256")]);
    let mut tokens = local(module, card.folder());
    let mut keys: Vec<_> = [1, 2]
        .map(|id| tokens.open(&request(id), stored(PIN).0).unwrap())
        .into();
    let sign = |keys: &mut Vec<OpenedKey>| {
        for key in keys {
            signs(key, Scheme::EcdsaSha256);
        }
    };
    sign(&mut keys);

    card.remove();
    for key in &mut keys {
        let error = try_sign(key, Scheme::EcdsaSha256).unwrap_err();
        assert!(
            matches!(error, SignError::Device { .. }),
            "{module}: {error}"
        );
    }
    card.insert();
    sign(&mut keys);

    card.remove();
    card.insert();
    sign(&mut keys);

    card.stop_pcscd();
    for key in &mut keys {
        let error = try_sign(key, Scheme::EcdsaSha256).unwrap_err();
        assert!(
            matches!(error, SignError::Device { .. }),
            "{module}: {error}"
        );
    }
    card.start_pcscd();
    card.insert();
    sign(&mut keys);

    card.stop_pcscd();
    card.start_pcscd();
    card.insert();
    sign(&mut keys);
    assert_eq!(card.tries_left(), 3);
}

#[test]
fn it_recovers_through_ykcs11() {
    Card::in_process(|mut card| it_recovers(YKCS11, &mut card));
}

#[test]
fn it_recovers_through_opensc() {
    Card::in_process(|mut card| it_recovers(OPENSC, &mut card));
}

/// What becomes of a stored PIN that is wrong.
fn a_wrong_pin_costs_one_try(module: &str, card: &Card) {
    filled(card, &[("9a", "ECCP256"), ("9c", "ECCP256")]);
    let mut tokens = local(module, card.folder());
    let mut open = |id, pin| match tokens.open(&request(id), stored(pin).0) {
        Ok(mut opened) => {
            signs(&mut opened, Scheme::EcdsaSha256);
            None
        }
        Err(TokenError::Pin { problem, .. }) => Some(problem),
        Err(error) => panic!("{module}: {error}"),
    };
    assert_eq!(open(1, "999999"), Some(PinProblem::Refused));
    assert_eq!(card.tries_left(), 2);
    for id in [1, 2] {
        let problem = open(id, "999999");
        assert!(
            matches!(problem, Some(PinProblem::RefusedBefore(_))),
            "{problem:?}"
        );
    }
    assert_eq!(card.tries_left(), 2);
    assert_eq!(open(2, "888888"), Some(PinProblem::Refused));
    assert_eq!(card.tries_left(), 1);
    // The last try is not spent on a stored PIN, right or wrong.
    for pin in ["777777", PIN] {
        assert_eq!(open(1, pin), Some(PinProblem::FinalTry));
    }
    assert_eq!(card.tries_left(), 1);

    card.tool(&["-a", "verify-pin", "-P", PIN]);
    assert_eq!(open(2, PIN), None);

    for _ in 0..3 {
        let wrong = ["-a", "verify-pin", "-P", "666666"];
        hsm_tests::run(card.command("yubico-piv-tool").args(wrong)).failure();
    }
    assert_eq!(open(1, PIN), Some(PinProblem::Locked));
}

#[test]
fn a_wrong_pin_costs_one_try_through_ykcs11() {
    Card::in_process(|card| a_wrong_pin_costs_one_try(YKCS11, &card));
}

#[test]
fn a_wrong_pin_costs_one_try_through_opensc() {
    Card::in_process(|card| a_wrong_pin_costs_one_try(OPENSC, &card));
}

/// The PIN was changed while the process ran: the next signature with 9c meets it.
fn a_pin_that_changes_meanwhile(module: &str, card: &Card) {
    filled(card, &[("9c", "ECCP256")]);
    let mut tokens = local(module, card.folder());
    let mut opened = tokens.open(&request(2), stored(PIN).0).unwrap();
    signs(&mut opened, Scheme::EcdsaSha256);
    card.tool(&["-a", "change-pin", "-P", PIN, "-N", "654321"]);
    let error = try_sign(&mut opened, Scheme::EcdsaSha256).unwrap_err();
    assert_eq!(error, SignError::PinRefused, "{module}");
    let error = try_sign(&mut opened, Scheme::EcdsaSha256).unwrap_err();
    assert_eq!(error, SignError::PinRefused, "{module}");
    assert_eq!(card.tries_left(), 2);

    card.tool(&["-a", "change-pin", "-P", "654321", "-N", PIN]);
    let mut opened = tokens.open(&request(2), stored("654321").0);
    assert!(opened.is_err());
    card.tool(&["-a", "change-pin", "-P", PIN, "-N", "123123"]);
    opened = tokens.open(&request(2), stored("123123").0);
    signs(&mut opened.unwrap(), Scheme::EcdsaSha256);
}

#[test]
fn a_pin_that_changes_meanwhile_through_ykcs11() {
    Card::in_process(|card| a_pin_that_changes_meanwhile(YKCS11, &card));
}

#[test]
fn a_pin_that_changes_meanwhile_through_opensc() {
    Card::in_process(|card| a_pin_that_changes_meanwhile(OPENSC, &card));
}

/// A key that wants a touch says so, and asks once.
fn a_touch_is_asked_for(module: &str, card: &Card) {
    filled_with(card, &[("9a", "ECCP256", &["--touch-policy=always"])]);
    let mut tokens = local(module, card.folder());
    let (operator, noticed) = stored(PIN);
    let mut opened = tokens.open(&request(1), operator).unwrap();
    let finger = card.finger();
    for _ in 0..2 {
        touched(&finger, &noticed, || {
            signs(&mut opened, Scheme::EcdsaSha256)
        });
    }
    // Nobody comes, nor when OpenSC's module tries again.
    std::thread::scope(|scope| {
        let signing = scope.spawn(|| try_sign(&mut opened, Scheme::EcdsaSha256));
        let waiting = finger.wait();
        told_once(&noticed);
        drop((finger, waiting));
        let error = signing.join().unwrap().unwrap_err();
        assert_eq!(error, SignError::NotTouched);
    });
}

#[test]
fn a_touch_is_asked_for_through_ykcs11() {
    Card::in_process(|card| a_touch_is_asked_for(YKCS11, &card));
}

#[test]
fn a_touch_is_asked_for_through_opensc() {
    Card::in_process(|card| a_touch_is_asked_for(OPENSC, &card));
}

/// The person is told to touch the token.
#[track_caller]
fn told(noticed: &Receiver<Notice>) {
    let notice = noticed.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(matches!(notice, Notice::Touch(_)), "{notice:?}");
}

/// The person is told once, however long the token waits.
#[track_caller]
fn told_once(noticed: &Receiver<Notice>) {
    told(noticed);
    let again = noticed.recv_timeout(Duration::from_millis(1200));
    assert!(again.is_err(), "{again:?}");
}

/// Does what needs a touch: when the person is told, the card is touched.
fn touched<T: Send>(
    finger: &Finger,
    noticed: &Receiver<Notice>,
    act: impl FnOnce() -> T + Send,
) -> T {
    std::thread::scope(|scope| {
        let acting = scope.spawn(act);
        let waiting = finger.wait();
        told(noticed);
        waiting.touch();
        acting.join().unwrap()
    })
}

/// Another card in its place is not taken for it. The modules would sign with it without a word; that
/// is seen where a signature takes as long as with a real card, here because of the touch.
fn another_card_is_not_taken_for_it(module: &str, card: &mut Card) {
    let slots: &[(&str, &str, &[&str])] = &[("9a", "ECCP256", &["--touch-policy=always"])];
    filled_with(card, slots);
    let mut tokens = local(module, card.folder());
    let (operator, noticed) = stored(PIN);
    let mut opened = tokens.open(&request(1), operator).unwrap();
    let finger = card.finger();
    touched(&finger, &noticed, || {
        signs(&mut opened, Scheme::EcdsaSha256)
    });

    let first = card.take_away();
    card.insert();
    filled_with(card, slots);
    std::thread::scope(|scope| {
        let signing = scope.spawn(|| try_sign(&mut opened, Scheme::EcdsaSha256));
        let waiting = finger.wait();
        told_once(&noticed);
        waiting.touch();
        assert_eq!(signing.join().unwrap(), Err(SignError::KeyGone), "{module}");
    });
    // Nor is it looked for there again.
    let again = try_sign(&mut opened, Scheme::EcdsaSha256);
    assert_eq!(again, Err(SignError::KeyGone), "{module}");

    card.remove();
    card.bring_back(first);
    card.insert();
    touched(&finger, &noticed, || {
        signs(&mut opened, Scheme::EcdsaSha256)
    });
    assert_eq!(card.tries_left(), 3);
}

#[test]
fn another_card_is_not_taken_for_it_through_ykcs11() {
    Card::in_process(|mut card| another_card_is_not_taken_for_it(YKCS11, &mut card));
}

#[test]
fn another_card_is_not_taken_for_it_through_opensc() {
    Card::in_process(|mut card| another_card_is_not_taken_for_it(OPENSC, &mut card));
}

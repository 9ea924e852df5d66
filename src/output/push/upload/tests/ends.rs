//! How uploads in parts end.

use super::fake::{Fault, Operation};
use super::parts::{LENGTH, assert_confirmed, hand, put_only};
use super::world::Manners;
use super::*;
use crate::host::s3::FaultKind;

#[test]
fn an_upload_that_s3_has_forgotten_is_begun_anew() {
    let mut hand = hand(Manners::default());
    hand.store.fail(3, Fault::LostBefore);
    hand.once().unwrap_err();
    hand.store.forget_uploads();
    assert_confirmed(&hand.once().unwrap());
    hand.assert_stored();
    assert_eq!(hand.store.count(Operation::Create), 2);
    assert_eq!(hand.progress.0, LENGTH as i64);
}

#[test]
fn a_policy_that_is_broken_at_the_end_costs_no_part() {
    let mut hand = hand(Manners {
        may_head: false,
        ..Manners::default()
    });
    let refused = Fault::Refused(FaultKind::Refused, 403, "AccessDenied");
    hand.store.fail(4, refused);
    hand.once().unwrap_err();
    for _ in 0..3 {
        // The end is refused, a look, and another beginning.
        let made = hand.store.world().requests.len();
        for request in made..made + 3 {
            hand.store.fail(request, refused);
        }
        hand.once().unwrap_err();
        assert_eq!(hand.progress.0, LENGTH as i64);
        hand.store.world().faults.clear();
    }
    assert_confirmed(&hand.once().unwrap());
    hand.assert_stored();
    let made = [Operation::PutPart, Operation::Create, Operation::Abort];
    let made = made.map(|operation| hand.store.count(operation));
    assert_eq!((made[0], made[2], hand.store.left_over()), (3, 0, 0));
}

#[test]
fn an_upload_that_is_said_to_be_refused_when_it_is_forgotten_is_begun_anew() {
    let mut hand = hand(Manners::default());
    hand.store.fail(4, Fault::LostBefore);
    hand.once().unwrap_err();
    hand.store
        .fail_later(0, Fault::Refused(FaultKind::Refused, 403, ""));
    assert_confirmed(&hand.once().unwrap());
    hand.assert_stored();
    assert_eq!(hand.progress.0, LENGTH as i64);
    assert_eq!(hand.store.count(Operation::Create), 2);
    assert_eq!(hand.store.left_over(), 0);
}

#[test]
fn a_lost_answer_to_the_last_request_is_settled_by_head() {
    let mut hand = hand(Manners {
        may_abort: false,
        ..Manners::default()
    });
    hand.attributes.only_if_absent = true;
    hand.store.fail(4, Fault::LostAfter);
    let (outcome, turns) = hand.until_done();
    assert_confirmed(&outcome);
    assert_eq!((turns, hand.store.count(Operation::PutPart)), (2, 3));

    // Where nobody may look, everything is sent again, and then it is not known whose object it is.
    let mut blind = self::hand(put_only());
    blind.attributes.only_if_absent = true;
    blind.store.fail(4, Fault::LostAfter);
    let (outcome, _) = blind.until_done();
    assert!(matches!(outcome, Outcome::Unsettled(_)), "{outcome:?}");
    assert_eq!(blind.journal.load().unwrap(), None);
    blind.assert_stored();
}

#[test]
fn a_look_at_what_is_not_there_says_nothing_about_what_is_allowed() {
    let mut hand = hand(Manners {
        may_list: false,
        ..Manners::default()
    });
    hand.attributes.only_if_absent = true;
    hand.store.fail(4, Fault::LostBefore);
    hand.once().unwrap_err();
    hand.store.forget_uploads();
    assert_confirmed(&hand.once().unwrap());
    assert_eq!(hand.store.count(Operation::Head), 1);
    // It is there now, and that may be seen.
    let again = hand.once().unwrap();
    assert!(matches!(again, Outcome::WasThere(_)), "{again:?}");
}

#[test]
fn an_object_that_is_there_already_stays_and_the_upload_is_given_up() {
    let mut hand = hand(Manners::default());
    let first = core::mem::replace(&mut hand.content, bytes(9));
    hand.once().unwrap();
    hand.content = first;
    hand.attributes.only_if_absent = true;
    assert!(matches!(hand.once(), Ok(Outcome::Unsettled(why)) if why.contains("another")));
    assert_eq!(hand.store.content(KEY), Some(bytes(9)));
    assert_eq!(hand.store.left_over(), 0);
}

#[test]
fn what_may_not_be_aborted_is_tried_once() {
    let mut hand = hand(put_only());
    for round in 0..2 {
        hand.store
            .fail_later(1, Fault::Refused(FaultKind::Object, 400, "EntityTooLarge"));
        assert!(matches!(hand.once(), Ok(Outcome::Poison(_))), "{round}");
        assert_eq!(hand.journal.load().unwrap(), None);
    }
    assert_eq!(hand.store.count(Operation::Abort), 1);
}

#[test]
fn while_the_end_alone_is_refused_nothing_is_sent_again() {
    let mut hand = hand(put_only());
    let refused = Fault::Refused(FaultKind::Refused, 403, "AccessDenied");
    hand.store.fail(4, refused);
    hand.once().unwrap_err();
    for _ in 0..3 {
        hand.store.fail_later(0, refused);
        hand.once().unwrap_err();
    }
    assert_eq!(hand.store.count(Operation::PutPart), 3);
    assert_eq!(hand.store.count(Operation::Create), 1);
    // An answer that gets lost leaves it open whether S3 still knows the upload.
    hand.store.fail_later(0, Fault::LostBefore);
    hand.once().unwrap_err();
    hand.store.forget_uploads();
    hand.store.fail_later(0, refused);
    assert_confirmed(&hand.once().unwrap());
    hand.assert_stored();
    assert_eq!(hand.store.count(Operation::PutPart), 6);
}

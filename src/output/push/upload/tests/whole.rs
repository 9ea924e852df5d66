//! Objects in one PUT.

use std::string::ToString as _;

use super::fake::{Fault, Operation};
use super::world::Manners;
use super::*;
use crate::host::s3::{ChecksumAlgorithm, Encryption, FaultKind, Stored};
use crate::output::push::upload::Confirm;

fn silent() -> Manners {
    Manners {
        echoes: false,
        ..Manners::default()
    }
}

fn hand(manners: Manners) -> Hand {
    Hand::new(Fake::with(manners), 4_000)
}

fn confirmed(outcome: Outcome) -> Stored {
    match outcome {
        Outcome::Confirmed(stored) => stored,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_echo_confirms() {
    for (checksum, sign_payload, known, length) in [
        (ChecksumAlgorithm::Crc64Nvme, true, true, 4_000),
        (ChecksumAlgorithm::Crc64Nvme, false, false, 4_000),
        (ChecksumAlgorithm::Sha256, true, false, 4_000),
        (ChecksumAlgorithm::Sha256, false, true, 0),
    ] {
        let mut hand = Hand::new(Fake::default(), length);
        hand.options = UploadOptions {
            checksum,
            sign_payload,
            ..hand.options
        };
        hand.known = known;
        confirmed(hand.once().unwrap());
        hand.assert_stored();
        assert_eq!(hand.progress.0, length as i64);
        assert_eq!(hand.store.world().requests.len(), 1);
    }
}

#[test]
fn without_an_echo_head_confirms() {
    let mut hand = hand(silent());
    confirmed(hand.once().unwrap());
    assert_eq!(hand.store.count(Operation::Head), 1);
}

#[test]
fn without_head_the_etag_confirms_and_head_is_not_asked_for_again() {
    let mut hand = hand(Manners {
        may_head: false,
        ..silent()
    });
    confirmed(hand.once().unwrap());
    confirmed(hand.once().unwrap());
    assert_eq!(hand.store.count(Operation::Head), 1);
}

#[test]
fn head_without_checksums_leaves_it_to_the_etag() {
    let mut hand = hand(Manners {
        head_has_checksums: false,
        ..silent()
    });
    confirmed(hand.once().unwrap());
}

#[test]
fn nobody_confirms() {
    let mut hand = hand(Manners {
        may_head: false,
        odd_etags: true,
        ..silent()
    });
    assert!(matches!(hand.once(), Ok(Outcome::Unconfirmed(_))));
    hand.options.confirm = Confirm::Status;
    confirmed(hand.once().unwrap());
}

#[test]
fn an_etag_of_kms_confirms_nothing() {
    let mut hand = hand(Manners {
        head_has_checksums: false,
        ..silent()
    });
    hand.attributes.encryption = Some(Encryption::Kms {
        key: None,
        dual: false,
    });
    assert!(matches!(hand.once(), Ok(Outcome::Unconfirmed(_))));
}

#[test]
fn who_gets_no_answer_to_head_asks_again() {
    let mut hand = hand(Manners {
        odd_etags: true,
        ..silent()
    });
    hand.store.fail(1, Fault::LostBefore);
    assert!(matches!(hand.once(), Err(Halt::Store(error)) if error.kind == FaultKind::Network));
    confirmed(hand.once().unwrap());
}

#[test]
fn a_lost_answer_costs_another_put() {
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Cut] {
        let mut hand = hand(Manners::default());
        hand.store.fail(0, fault);
        assert!(hand.once().is_err());
        assert_eq!(hand.progress.0, 0, "{fault:?}");
        confirmed(hand.once().unwrap());
        hand.assert_stored();
    }
}

#[test]
fn credentials_that_are_over_are_replaced_once() {
    let mut hand = hand(Manners::default());
    hand.store.world().expired = std::vec!["AKID0".into()];
    confirmed(hand.once().unwrap());
    let keys: Vec<_> = hand
        .store
        .world()
        .requests
        .iter()
        .map(|(_, key)| key.clone())
        .collect();
    assert_eq!(keys, ["AKID0", "AKID1"]);

    hand.store.world().expired.push("AKID1".into());
    let halt = hand.once().unwrap_err();
    assert!(matches!(halt, Halt::Store(error) if error.kind == FaultKind::Credentials));
    assert_eq!(hand.store.world().requests.len(), 3);
}

#[test]
fn a_wrong_clock_costs_one_more_request() {
    let skewed = Fault::Refused(FaultKind::Clock, 403, "RequestTimeTooSkewed");
    let mut hand = hand(Manners::default());
    hand.store.fail(0, skewed);
    confirmed(hand.once().unwrap());
    hand.store.fail(2, skewed);
    hand.store.fail(3, skewed);
    assert!(matches!(hand.once(), Err(Halt::Store(error)) if error.kind == FaultKind::Clock));
}

#[test]
fn what_is_there_already_is_looked_at() {
    // The answer to the first PUT was lost: it is our own object that is in the way.
    let mut ours = hand(Manners::default());
    ours.attributes.only_if_absent = true;
    ours.store.fail(0, Fault::LostAfter);
    let (outcome, turns) = ours.until_done();
    assert!(
        matches!(outcome, Outcome::WasThere(_)) && turns == 2,
        "{outcome:?}"
    );

    // Nobody may look.
    let mut blind = hand(Manners {
        may_head: false,
        ..Manners::default()
    });
    blind.attributes.only_if_absent = true;
    blind.store.fail(0, Fault::LostAfter);
    let (outcome, _) = blind.until_done();
    assert!(matches!(outcome, Outcome::Unsettled(why) if why.contains("s3:GetObject")));

    // It is another one, and stays.
    let mut other = hand(Manners::default());
    other.once().unwrap();
    let first = other.store.content(KEY);
    other.content = bytes(17);
    other.attributes.only_if_absent = true;
    assert!(matches!(other.once(), Ok(Outcome::Unsettled(why)) if why.contains("another")));
    assert_eq!(other.store.content(KEY), first);
}

#[test]
fn a_conflict_is_tried_again_and_left_to_the_caller_then() {
    let conflict = Fault::Refused(FaultKind::Restart, 409, "ConditionalRequestConflict");
    let mut hand = hand(Manners::default());
    hand.store.fail(0, conflict);
    confirmed(hand.once().unwrap());
    for request in 2..5 {
        hand.store.fail(request, conflict);
    }
    assert!(matches!(hand.once(), Err(Halt::Store(error)) if error.kind == FaultKind::Restart));
}

#[test]
fn what_is_refused_for_itself_is_poison() {
    let mut hand = hand(Manners::default());
    hand.store
        .fail(0, Fault::Refused(FaultKind::Object, 400, "KeyTooLongError"));
    let Ok(Outcome::Poison(error)) = hand.once() else {
        panic!()
    };
    assert_eq!(error.code, "KeyTooLongError");
}

#[test]
fn a_digest_that_differs_is_the_networks_or_the_disks() {
    let bad = Fault::Refused(FaultKind::Object, 400, "BadDigest");
    let mut network = hand(Manners::default());
    network.store.fail(0, bad);
    confirmed(network.once().unwrap());

    let mut stubborn = hand(Manners::default());
    for request in 0..3 {
        stubborn.store.fail(request, bad);
    }
    let Ok(Outcome::Poison(error)) = stubborn.once() else {
        panic!()
    };
    assert_eq!(error.code, "BadDigest");

    // The content on the disk is another one than what was accepted.
    let mut disk = hand(Manners::default());
    let accepted = Digests::of(&disk.content);
    disk.content[1_000] ^= 1;
    let object = Object {
        key: KEY,
        attributes: &disk.attributes,
        length: disk.content.len() as u64,
        digests: Some(accepted),
        content: &disk.content,
    };
    let mut uploader = uploader(
        &mut disk.store,
        &disk.options,
        &disk.sessions,
        &disk.pace,
        &disk.allowed,
    );
    let outcome = uploader
        .upload(&object, &mut disk.journal, &mut ())
        .unwrap();
    assert!(matches!(outcome, Outcome::Poison(error) if error.kind == FaultKind::Content));
    assert_eq!(disk.store.content(KEY), None);
}

#[test]
fn a_disk_that_changed_it_is_noticed_where_s3_compares_nothing() {
    let careless = Manners {
        compares: false,
        may_head: false,
        ..silent()
    };
    let telling = Manners {
        echoes: true,
        ..careless
    };
    for (manners, confirm) in [
        (careless, Confirm::Checksum),
        (careless, Confirm::Status),
        (telling, Confirm::Checksum),
    ] {
        let mut hand = hand(manners);
        hand.options.confirm = confirm;
        let accepted = Digests::of(&hand.content);
        let mut upload = |content: &Vec<u8>| {
            let object = Object {
                key: KEY,
                attributes: &Attributes::default(),
                length: content.len() as u64,
                digests: Some(accepted),
                content,
            };
            uploader(
                &mut hand.store,
                &hand.options,
                &hand.sessions,
                &hand.pace,
                &hand.allowed,
            )
            .upload(&object, &mut hand.journal, &mut ())
            .unwrap()
        };
        let mut changed = hand.content.clone();
        confirmed(upload(&changed));
        changed[1000] ^= 1;
        let outcome = upload(&changed);
        let Outcome::Poison(error) = outcome else {
            panic!("{manners:?}: {outcome:?}");
        };
        assert!(
            error.what.contains("no longer what was accepted"),
            "{error}"
        );
    }
}

#[test]
fn a_content_that_got_shorter_is_no_fault_of_s3s() {
    for known in [true, false] {
        let mut hand = hand(Manners::default());
        let object = Object {
            key: KEY,
            attributes: &hand.attributes,
            length: 5_000,
            digests: known.then(|| Digests {
                length: 5_000,
                ..Digests::of(&hand.content)
            }),
            content: &hand.content,
        };
        let halt = uploader(
            &mut hand.store,
            &hand.options,
            &hand.sessions,
            &hand.pace,
            &hand.allowed,
        )
        .upload(&object, &mut hand.journal, &mut ())
        .unwrap_err();
        assert!(
            matches!(&halt, Halt::Store(error) if error.kind == FaultKind::Content),
            "{halt}"
        );
        assert!(halt.to_string().contains("1000 bytes early"), "{halt}");
    }
}

#[test]
fn stopped_nothing_is_asked_for() {
    let mut hand = hand(Manners::default());
    hand.pace.stop();
    assert_eq!(hand.once(), Err(Halt::Stopped));
    assert_eq!(hand.store.world().requests.len(), 0);
    hand.pace.resume();
    confirmed(hand.once().unwrap());
}

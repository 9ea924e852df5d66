//! Objects in parts.

use std::boxed::Box;
use std::string::String;

use super::fake::{Fault, Operation};
use super::world::{Manners, etag_of};
use super::*;
use crate::host::s3::{Checksum, ChecksumAlgorithm, FaultKind, ObjectStore, Part, UploadId};

/// Three parts, the last one short.
pub(super) const LENGTH: usize = 11 * MIB;
const PART: usize = 5 * MIB;

/// `s3:PutObject` and nothing else.
pub(super) fn put_only() -> Manners {
    Manners {
        may_head: false,
        may_abort: false,
        ..Manners::default()
    }
}

pub(super) fn hand(manners: Manners) -> Hand {
    Hand::new(Fake::with(manners), LENGTH)
}

pub(super) fn assert_confirmed(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome:?}");
}

/// Confirms parts in the journal of `hand`, as of an upload `upload`.
fn remember(hand: &mut Hand, upload: &str, parts: &[(u32, &[u8], String)]) {
    let algorithm = hand.options.checksum;
    hand.journal
        .begin(&UploadId(upload.into()), PART as u64, algorithm)
        .unwrap();
    for (number, bytes, etag) in parts {
        let part = Part {
            number: *number,
            etag: etag.clone(),
            length: bytes.len() as u64,
            checksum: Some(Digests::of(bytes).checksum(algorithm)),
        };
        hand.journal.part(&part).unwrap();
    }
}

#[test]
fn parts_are_sent_and_the_whole_is_confirmed() {
    for (checksum, sign_payload, known) in [
        (ChecksumAlgorithm::Crc64Nvme, true, true),
        (ChecksumAlgorithm::Crc64Nvme, false, false),
        (ChecksumAlgorithm::Sha256, true, true),
        (ChecksumAlgorithm::Sha256, false, false),
    ] {
        let mut hand = hand(put_only());
        hand.options = UploadOptions {
            checksum,
            sign_payload,
            ..hand.options
        };
        hand.known = known;
        let Ok(Outcome::Confirmed(stored)) = hand.once() else {
            panic!()
        };
        match (checksum, stored.checksum) {
            (ChecksumAlgorithm::Crc64Nvme, Some(Checksum::Crc64Nvme(crc))) => {
                assert_eq!(crc, Digests::of(&hand.content).crc64nvme);
            }
            (ChecksumAlgorithm::Sha256, Some(Checksum::Sha256OfParts(_, 3))) => {}
            other => panic!("{other:?}"),
        }
        hand.assert_stored();
        assert_eq!(hand.progress.0, LENGTH as i64);
        let operations: Vec<_> = hand
            .store
            .world()
            .requests
            .iter()
            .map(|(operation, _)| *operation)
            .collect();
        use Operation::{Complete, Create, PutPart};
        assert_eq!(operations, [Create, PutPart, PutPart, PutPart, Complete]);
    }
}

#[test]
fn several_at_once_send_the_same() {
    let mut hand = Hand::new(Fake::with(put_only()), 32 * MIB);
    let mut helpers: Vec<Box<dyn ObjectStore>> =
        std::vec![Box::new(hand.store.clone()), Box::new(hand.store.clone())];
    // One of them fails; the others end what they have begun, and that is remembered.
    hand.store.fail(4, Fault::Cut);
    let object = Object {
        key: KEY,
        attributes: &hand.attributes,
        length: hand.content.len() as u64,
        digests: None,
        content: &hand.content,
    };
    let mut uploader = uploader(
        &mut hand.store,
        &hand.options,
        &hand.sessions,
        &hand.pace,
        &hand.allowed,
    );
    uploader.helpers = &mut helpers;
    let first = uploader.upload(&object, &mut hand.journal, &mut hand.progress);
    assert!(matches!(first, Err(Halt::Store(error)) if error.kind == FaultKind::Network));
    let kept = hand.journal.load().unwrap().unwrap().parts.len();
    assert!(kept >= 1);
    let outcome = uploader
        .upload(&object, &mut hand.journal, &mut hand.progress)
        .unwrap();
    assert_confirmed(&outcome);
    hand.assert_stored();
    // Seven parts, and the one that was cut.
    assert_eq!(hand.store.count(Operation::PutPart), 7 + 1);
}

/// Whatever is lost, whenever: asked again it goes on where it was, and ends with the right bytes.
#[test]
fn one_fault_at_any_request() {
    for manners in [Manners::default(), put_only()] {
        for request in 0..5 {
            for fault in [
                Fault::LostBefore,
                Fault::LostAfter,
                Fault::Cut,
                Fault::Refused(FaultKind::Throttled, 503, "SlowDown"),
                Fault::Refused(FaultKind::Credentials, 400, "ExpiredToken"),
                Fault::Refused(FaultKind::Clock, 403, "RequestTimeTooSkewed"),
                Fault::Refused(FaultKind::Restart, 409, "OperationAborted"),
            ] {
                let mut hand = hand(manners);
                hand.store.fail(request, fault);
                let (outcome, turns) = hand.until_done();
                let case = std::format!("{manners:?}, {request}, {fault:?}");
                assert_confirmed(&outcome);
                hand.assert_stored();
                assert_eq!(hand.progress.0, LENGTH as i64, "{case}");
                assert!(turns <= 2, "{case}");
                // Sent again is one part at most; everything only after what S3 has forgotten.
                let forgotten = matches!(fault, Fault::Refused(FaultKind::Restart, ..))
                    || (request == 4 && fault == Fault::LostAfter && !manners.may_head);
                let most = if forgotten { 2 * LENGTH } else { LENGTH + PART };
                let received = hand.store.world().received;
                assert!(received <= most as u64, "{case}: {received}");
                // Nobody knows the name of an upload whose name got lost, and what may not be aborted stays.
                let nameless = request == 0 && fault == Fault::LostAfter;
                if manners.may_abort && !nameless {
                    assert_eq!(hand.store.left_over(), 0, "{case}");
                }
            }
        }
    }
}

#[test]
fn two_faults_one_after_the_other() {
    for first in 0..6 {
        for second in first + 1..8 {
            let mut hand = hand(put_only());
            hand.options.sign_payload = false;
            hand.store.fail(first, Fault::LostAfter);
            hand.store.fail(second, Fault::Cut);
            let (outcome, _) = hand.until_done();
            assert_confirmed(&outcome);
            hand.assert_stored();
        }
    }
}

#[test]
fn a_session_that_ends_in_the_middle_is_followed_by_the_next() {
    let mut hand = hand(put_only());
    hand.store.fail(
        2,
        Fault::Refused(FaultKind::Credentials, 400, "ExpiredToken"),
    );
    assert_confirmed(&hand.once().unwrap());
    let keys: Vec<_> = hand
        .store
        .world()
        .requests
        .iter()
        .map(|(_, key)| key.clone())
        .collect();
    assert_eq!(keys, ["AKID0", "AKID0", "AKID0", "AKID1", "AKID1", "AKID1"]);
}

#[test]
fn parts_of_a_doubtful_journal_are_sent_again() {
    for checksum in [ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha256] {
        let mut hand = hand(Manners::default());
        hand.options.checksum = checksum;
        hand.store.fail(3, Fault::Cut);
        hand.once().unwrap_err();
        // The second one is remembered with a length that it cannot have, and there is a fourth.
        let mut resumed = hand.journal.load().unwrap().unwrap();
        resumed.parts[1].length -= 1;
        let strange = Part {
            number: 4,
            ..resumed.parts[0].clone()
        };
        resumed.parts.push(strange);
        hand.journal
            .begin(&resumed.upload, resumed.part_size, checksum)
            .unwrap();
        for part in &resumed.parts {
            hand.journal.part(part).unwrap();
        }
        assert_confirmed(&hand.once().unwrap());
        hand.assert_stored();
        // Two, the one that was cut, the doubtful one and the one that was cut again.
        assert_eq!(hand.store.count(Operation::PutPart), 5);
    }
}

#[test]
fn a_journal_that_is_wrong_costs_everything_once_more() {
    for checksum in [ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha256] {
        // Of an upload that never was, of another content, with another ETag.
        let mut hand = hand(Manners::default());
        hand.options.checksum = checksum;
        let content = hand.content.clone();
        let other = bytes(PART + 1);
        remember(&mut hand, "never", &[(1, &content[..PART], "\"x\"".into())]);
        assert_confirmed(&hand.once().unwrap());
        hand.store.fail_later(2, Fault::Cut);
        hand.once().unwrap_err();
        let upload = hand.journal.load().unwrap().unwrap().upload.0;
        remember(
            &mut hand,
            &upload,
            &[(1, &other[1..], etag_of(&other[1..]))],
        );
        assert_confirmed(&hand.once().unwrap());
        hand.assert_stored();
        hand.store.fail_later(2, Fault::Cut);
        hand.once().unwrap_err();
        let upload = hand.journal.load().unwrap().unwrap().upload.0;
        remember(
            &mut hand,
            &upload,
            &[(1, &content[..PART], "\"other\"".into())],
        );
        assert_confirmed(&hand.once().unwrap());
        hand.assert_stored();
        assert_eq!(hand.store.left_over(), 0);
    }
}

#[test]
fn other_options_begin_anew_and_give_up_what_was_begun() {
    let mut hand = hand(Manners::default());
    hand.store.fail(3, Fault::Cut);
    hand.once().unwrap_err();
    hand.options.checksum = ChecksumAlgorithm::Sha256;
    assert_confirmed(&hand.once().unwrap());
    assert_eq!(
        (hand.store.left_over(), hand.store.count(Operation::Create)),
        (0, 2)
    );
    // Another part size goes on with the old one.
    hand.store.fail_later(3, Fault::Cut);
    hand.once().unwrap_err();
    hand.options.part_size = 32 << 20;
    assert_confirmed(&hand.once().unwrap());
    assert_eq!(hand.store.count(Operation::Create), 3);
    hand.assert_stored();
}

#[test]
fn a_content_that_is_no_longer_what_was_accepted_is_set_aside() {
    for resumed in [false, true] {
        let mut hand = hand(Manners::default());
        let accepted = Digests::of(&hand.content);
        if resumed {
            hand.store.fail(3, Fault::Cut);
            hand.once().unwrap_err();
        }
        hand.content[LENGTH - 1] ^= 1;
        let object = Object {
            key: KEY,
            attributes: &hand.attributes,
            length: LENGTH as u64,
            digests: Some(accepted),
            content: &hand.content,
        };
        let mut uploader = uploader(
            &mut hand.store,
            &hand.options,
            &hand.sessions,
            &hand.pace,
            &hand.allowed,
        );
        let outcome = uploader
            .upload(&object, &mut hand.journal, &mut ())
            .unwrap();
        assert!(matches!(outcome, Outcome::Poison(error) if error.kind == FaultKind::Content));
        assert_eq!(hand.store.content(KEY), None);
        assert_eq!(hand.store.left_over(), 0);
        assert_eq!(hand.journal.load().unwrap(), None);
    }
}

#[test]
fn without_an_echo_the_etag_of_the_parts_confirms() {
    let mut hand = hand(Manners {
        echoes: false,
        ..put_only()
    });
    assert_confirmed(&hand.once().unwrap());
    let mut odd = self::hand(Manners {
        echoes: false,
        odd_etags: true,
        ..put_only()
    });
    assert!(matches!(odd.once(), Ok(Outcome::Unconfirmed(_))));
    assert_eq!(odd.journal.load().unwrap(), None);
}

/// Stops in the middle of the second part.
struct Stopper<'a>(&'a Pace, usize);

impl Progress for Stopper<'_> {
    fn sent(&mut self, bytes: u64) {
        self.1 += bytes as usize;
        if self.1 > PART + MIB {
            self.0.stop();
        }
    }
    fn again(&mut self, _bytes: u64) {}
    fn resumed(&mut self, _bytes: u64) {}
}

#[test]
fn a_stop_ends_a_body_and_the_rest_is_sent_later() {
    let mut hand = hand(put_only());
    let object = Object {
        key: KEY,
        attributes: &hand.attributes,
        length: LENGTH as u64,
        digests: None,
        content: &hand.content,
    };
    let mut uploader = uploader(
        &mut hand.store,
        &hand.options,
        &hand.sessions,
        &hand.pace,
        &hand.allowed,
    );
    let mut stopper = Stopper(&hand.pace, 0);
    let stopped = uploader.upload(&object, &mut hand.journal, &mut stopper);
    assert_eq!(stopped, Err(Halt::Stopped));
    hand.pace.resume();
    assert_confirmed(&hand.once().unwrap());
    hand.assert_stored();
    assert_eq!(hand.store.world().received, LENGTH as u64);
}

#[test]
fn who_gives_up_tells_s3() {
    let mut hand = hand(Manners::default());
    hand.store.fail(3, Fault::Cut);
    hand.once().unwrap_err();
    assert_eq!(hand.store.left_over(), 1);
    uploader(
        &mut hand.store,
        &hand.options,
        &hand.sessions,
        &hand.pace,
        &hand.allowed,
    )
    .abandon(KEY, &mut hand.journal);
    assert_eq!(hand.store.left_over(), 0);
    assert_eq!(hand.journal.load().unwrap(), None);
}

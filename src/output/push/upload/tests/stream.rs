//! What is read once.

use std::io::{self, Read};

use super::fake::{Fault, Operation};
use super::world::Manners;
use super::*;
use crate::host::s3::{ChecksumAlgorithm, FaultKind};

const PART: usize = 5 * MIB;

fn put_only() -> Manners {
    Manners {
        may_head: false,
        may_abort: false,
        ..Manners::default()
    }
}

/// Uploads the hand's content as a stream, with patience for so many failures.
fn stream(hand: &mut Hand, mut patience: u32) -> Result<(u64, Outcome), Halt> {
    hand.progress = Counted::default();
    let mut content = hand.content.as_slice();
    // In pieces, as a pipe gives it.
    let mut reader = Pieces(&mut content);
    uploader(
        &mut hand.store,
        &hand.options,
        &hand.sessions,
        &hand.pace,
        &hand.allowed,
    )
    .stream(
        KEY,
        &hand.attributes,
        &mut reader,
        &mut |_| {
            let left = patience > 0;
            patience = patience.saturating_sub(1);
            left
        },
        &mut hand.progress,
    )
}

struct Pieces<'a>(&'a mut dyn Read);

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(10_000);
        self.0.read(&mut buf[..most])
    }
}

#[test]
fn any_length_arrives() {
    for (length, requests) in [
        (0, 1),
        (1, 1),
        (PART - 1, 1),
        (PART, 3),
        (PART + 1, 4),
        (2 * PART, 4),
        (11 * MIB, 5),
    ] {
        for checksum in [ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha256] {
            let mut hand = Hand::new(Fake::with(put_only()), length);
            hand.options.checksum = checksum;
            hand.options.sign_payload = length % 2 == 0;
            let (read, outcome) = stream(&mut hand, 0).unwrap();
            assert!(
                matches!(outcome, Outcome::Confirmed(_)),
                "{length}: {outcome:?}"
            );
            assert_eq!(read, length as u64);
            hand.assert_stored();
            assert_eq!(hand.progress.0, length as i64);
            assert_eq!(hand.store.world().requests.len(), requests, "{length}");
        }
    }
}

#[test]
fn patience_gets_it_through_any_fault() {
    for request in 0..5 {
        for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Cut] {
            let mut hand = Hand::new(Fake::default(), 11 * MIB);
            hand.store.fail(request, fault);
            let (_, outcome) = stream(&mut hand, 1).unwrap();
            assert!(
                matches!(outcome, Outcome::Confirmed(_)),
                "{request} {fault:?}: {outcome:?}"
            );
            hand.assert_stored();
            assert_eq!(hand.progress.0, 11 * MIB as i64);
        }
    }
}

#[test]
fn without_patience_it_is_given_up() {
    let mut hand = Hand::new(Fake::default(), 11 * MIB);
    hand.store.fail(2, Fault::Cut);
    let halt = stream(&mut hand, 0).unwrap_err();
    assert!(matches!(halt, Halt::Store(error) if error.kind == FaultKind::Network));
    assert_eq!((hand.store.content(KEY), hand.store.left_over()), (None, 0));
}

#[test]
fn what_s3_has_forgotten_is_lost() {
    let mut hand = Hand::new(Fake::default(), 11 * MIB);
    hand.store
        .fail(2, Fault::Refused(FaultKind::Restart, 404, "NoSuchUpload"));
    let halt = stream(&mut hand, 0).unwrap_err();
    assert!(matches!(halt, Halt::Store(error) if error.kind == FaultKind::Restart));
}

#[test]
fn etags_confirm_where_nothing_else_does() {
    for length in [4_000, 11 * MIB] {
        let mut hand = Hand::new(
            Fake::with(Manners {
                echoes: false,
                ..put_only()
            }),
            length,
        );
        let (_, outcome) = stream(&mut hand, 0).unwrap();
        assert!(matches!(outcome, Outcome::Confirmed(_)), "{outcome:?}");
        let odd = Manners {
            echoes: false,
            odd_etags: true,
            ..put_only()
        };
        let mut hand = Hand::new(Fake::with(odd), length);
        let (_, outcome) = stream(&mut hand, 0).unwrap();
        assert!(matches!(outcome, Outcome::Unconfirmed(_)), "{outcome:?}");
    }
}

#[test]
fn a_stop_leaves_nothing_behind() {
    struct Stopping<'a>(&'a Pace, usize);
    impl Read for Stopping<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 += buf.len();
            if self.1 > 7 * MIB {
                self.0.stop();
            }
            Ok(buf.len())
        }
    }
    let mut hand = Hand::new(Fake::default(), 0);
    let mut uploader = uploader(
        &mut hand.store,
        &hand.options,
        &hand.sessions,
        &hand.pace,
        &hand.allowed,
    );
    let mut stopping = Stopping(&hand.pace, 0);
    let attributes = Attributes::default();
    let halt = uploader
        .stream(KEY, &attributes, &mut stopping, &mut |_| true, &mut ())
        .unwrap_err();
    assert_eq!(halt, Halt::Stopped);
    assert_eq!(hand.store.count(Operation::PutPart), 1);
    assert_eq!((hand.store.content(KEY), hand.store.left_over()), (None, 0));
}

#[test]
fn a_source_that_fails_is_no_end_of_it() {
    struct Broken(usize);
    impl Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(buf.len())
                .ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(buf.len())
        }
    }
    let mut hand = Hand::new(Fake::default(), 0);
    let mut uploader = uploader(
        &mut hand.store,
        &hand.options,
        &hand.sessions,
        &hand.pace,
        &hand.allowed,
    );
    let mut broken = Broken(7 * MIB);
    let attributes = Attributes::default();
    let halt = uploader
        .stream(KEY, &attributes, &mut broken, &mut |_| false, &mut ())
        .unwrap_err();
    assert!(matches!(halt, Halt::Store(error) if error.kind == FaultKind::Content));
    assert_eq!((hand.store.content(KEY), hand.store.left_over()), (None, 0));
    assert_eq!(hand.store.count(Operation::Abort), 1);
}

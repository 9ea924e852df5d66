//! Whole uploads to the sandbox's S3, by a hub that has `s3:PutObject` and nothing else.

use std::sync::{Arc, Mutex};

use keystead::host::refresh::Failure;
use keystead::host::s3::{
    Attributes, ChecksumAlgorithm, Digests, MemoryJournal, ObjectStore, PartsJournal,
};
use keystead::host::session::Credentials;
use keystead::host::spool::{EntryId, Options, Spool};
use keystead::output::push::{
    Allowed, Halt, Object, Outcome, Pace, Sessions, UploadOptions, Uploader,
};
use keystead::sandbox::{Fault, ScheduledFault};

use super::support::Account;

const KEY: &str = "sensors/upload";

/// Two parts.
const LENGTH: usize = (5 << 20) + 17;

/// Sessions in their order: the next one for each that is refused, and after as many requests as it is for.
struct Given(Mutex<Vec<(usize, Arc<Credentials>)>>);

impl Given {
    fn one(credentials: Credentials) -> Self {
        Self::several([(usize::MAX, credentials)])
    }

    fn several<const N: usize>(given: [(usize, Credentials); N]) -> Self {
        let given = given.into_iter().rev();
        Self(Mutex::new(
            given
                .map(|(requests, session)| (requests, Arc::new(session)))
                .collect(),
        ))
    }
}

impl Sessions for Given {
    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        let mut given = self.0.lock().unwrap();
        if given.last().unwrap().0 == 0 {
            given.pop();
        }
        let (requests, session) = given.last_mut().unwrap();
        *requests -= 1;
        Ok(session.clone())
    }

    fn refused(&self, used: &Arc<Credentials>) {
        let mut given = self.0.lock().unwrap();
        given.retain(|(_, session)| !Arc::ptr_eq(session, used));
    }
}

fn options() -> UploadOptions {
    UploadOptions {
        part_size: 5 << 20,
        ..UploadOptions::default()
    }
}

/// One attempt with a connection of its own, as another process makes it.
fn upload(
    account: &Account,
    sessions: &Given,
    attributes: &Attributes,
    content: &Vec<u8>,
    journal: &mut dyn PartsJournal,
    options: &UploadOptions,
) -> Result<Outcome, Halt> {
    let object = Object {
        key: KEY,
        attributes,
        length: content.len() as u64,
        digests: Some(Digests::of(content)),
        content,
    };
    let mut helpers: Vec<Box<dyn ObjectStore>> = vec![Box::new(account.client())];
    Uploader {
        store: &mut account.client(),
        helpers: &mut helpers,
        sessions,
        options,
        pace: &Pace::default(),
        allowed: &Allowed::default(),
    }
    .upload(&object, journal, &mut ())
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 4096) as u8 ^ at as u8).collect()
}

fn assert_there(account: &mut Account, length: usize) {
    let developer = account.session("developer");
    let seen = account.client().head(&developer, KEY).unwrap().unwrap();
    assert_eq!(seen.length, Some(length as u64));
}

#[test]
fn put_object_alone_is_enough() {
    let mut account = Account::new();
    let sessions = Given::one(account.session("sensor-hub"));
    for length in [0, 70_000, LENGTH] {
        for checksum in [ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Sha256] {
            let options = UploadOptions {
                checksum,
                ..options()
            };
            let mut journal = MemoryJournal::default();
            let attributes = Attributes::default();
            let content = content(length);
            let ended = upload(
                &account,
                &sessions,
                &attributes,
                &content,
                &mut journal,
                &options,
            );
            assert!(
                matches!(ended, Ok(Outcome::Confirmed(_))),
                "{length} {checksum:?}: {ended:?}"
            );
            assert_there(&mut account, length);
        }
    }
}

#[test]
fn whatever_is_lost_is_sent_again_and_nothing_else() {
    let content = content(LENGTH);
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), Options::default()).unwrap();
    for skip in 0..4 {
        for fault in [Fault::Drop, Fault::Lose, Fault::Throttle] {
            let mut account = Account::new();
            let sessions = Given::one(account.session("sensor-hub"));
            account.0.sandbox.config().faults.add(ScheduledFault {
                skip,
                ..fault.clone().times(1)
            });
            let mut turns = 0;
            let outcome = loop {
                turns += 1;
                assert!(turns < 4, "{skip} {fault:?}");
                // As after a crash: from what is on disk.
                let mut journal = spool.journal(EntryId([skip as u8; 16]));
                let attributes = Attributes::default();
                if let Ok(outcome) = upload(
                    &account,
                    &sessions,
                    &attributes,
                    &content,
                    &mut journal,
                    &options(),
                ) {
                    break outcome;
                }
            };
            assert!(
                matches!(outcome, Outcome::Confirmed(_)),
                "{skip} {fault:?}: {outcome:?}"
            );
            assert_there(&mut account, LENGTH);
            assert_eq!(
                spool.journal(EntryId([skip as u8; 16])).load().unwrap(),
                None
            );
        }
    }
}

#[test]
fn a_session_that_is_over_in_the_middle_is_followed_by_the_next() {
    let mut account = Account::new();
    let first = account.session("sensor-hub");
    let expire = Fault::Expire(core::time::Duration::ZERO);
    account.0.sandbox.config().faults.add(expire.times(1));
    let over = account.session("sensor-hub");
    account.0.sandbox.config().faults.clear();
    let last = account.session("sensor-hub");
    let sessions = Given::several([(2, first), (usize::MAX, over), (usize::MAX, last)]);
    let (attributes, content) = (Attributes::default(), content(LENGTH));
    let mut journal = MemoryJournal::default();
    let ended = upload(
        &account,
        &sessions,
        &attributes,
        &content,
        &mut journal,
        &options(),
    );
    assert!(matches!(ended, Ok(Outcome::Confirmed(_))), "{ended:?}");
    assert_eq!(sessions.0.lock().unwrap().len(), 1);
}

#[test]
fn who_may_not_look_does_not_know_whose_object_is_there() {
    let attributes = Attributes {
        only_if_absent: true,
        ..Attributes::default()
    };
    let mut journal = MemoryJournal::default();
    for length in [100, LENGTH] {
        let mut account = Account::new();
        let hub = Given::one(account.session("sensor-hub"));
        let developer = Given::one(account.session("developer"));
        let first = content(length);
        let _ = upload(
            &account,
            &developer,
            &Attributes::default(),
            &first,
            &mut journal,
            &options(),
        );
        let mut again = |sessions| {
            upload(
                &account,
                sessions,
                &attributes,
                &first,
                &mut journal,
                &options(),
            )
            .unwrap()
        };
        assert!(matches!(again(&hub), Outcome::Unsettled(why) if why.contains("s3:GetObject")));
        let outcome = again(&developer);
        assert!(matches!(outcome, Outcome::WasThere(_)), "{outcome:?}");
        let mut other = first.clone();
        other.push(0);
        let ended = upload(
            &account,
            &developer,
            &attributes,
            &other,
            &mut journal,
            &options(),
        );
        assert!(matches!(ended, Ok(Outcome::Unsettled(why)) if why.contains("another")));
    }
}

#[test]
fn a_stream_arrives() {
    let mut account = Account::new();
    let sessions = Given::one(account.session("sensor-hub"));
    let content = content(LENGTH);
    let mut uploader = Uploader {
        store: &mut account.client(),
        helpers: &mut [],
        sessions: &sessions,
        options: &options(),
        pace: &Pace::default(),
        allowed: &Allowed::default(),
    };
    let attributes = Attributes::default();
    let ended = uploader.stream(
        KEY,
        &attributes,
        &mut content.as_slice(),
        &mut |_| false,
        &mut (),
    );
    assert!(matches!(ended, Ok((_, Outcome::Confirmed(_)))), "{ended:?}");
    assert_there(&mut account, LENGTH);
}

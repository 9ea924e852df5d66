//! What the lookout does, step by step.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::string::String;
use std::sync::Arc;

use super::*;
use crate::core::time::UnixTime;
use crate::host::clock::HostClock;
use crate::host::refresh::SystemClocks;
use crate::host::s3::ObjectStore;
use crate::host::session::Credentials;
use crate::host::spool::{self, Naming, Spool, as_nobody};
use crate::output::push::deliver::worker::{attempt, ended};
use crate::output::push::deliver::{Deliverer, End, Fixed, Next, Options, Stores};

struct Nowhere;

impl Stores for Nowhere {
    fn open(&self, _bucket: &str) -> Result<Box<dyn ObjectStore>, String> {
        Err(String::from("there is no such bucket"))
    }
}

/// What delivers a spool, with its threads ended: the test does what the lookout does.
fn deliverer(spool: &Spool) -> Deliverer {
    let credentials = Credentials {
        access_key_id: String::new(),
        secret_access_key: String::new().into(),
        session_token: String::new().into(),
        expiration: UnixTime::from_secs(4_000_000_000),
        role_arn: String::new(),
    };
    let deliverer = Deliverer::start(
        spool.clone(),
        Box::new(Nowhere),
        Arc::new(Fixed(Arc::new(credentials))),
        Arc::new(SystemClocks(Arc::new(HostClock::new(None)))),
        Options::default(),
        Box::new(()),
    );
    let deliverer = deliverer.unwrap();
    assert!(deliverer.finish(Duration::from_secs(60)));
    deliverer.shared.lock().is_stopping = false;
    deliverer
}

#[test]
fn what_cannot_be_opened_now_holds_up_nobody_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), spool::Options::default()).unwrap();
    let deliverer = deliverer(&spool);
    let shared = &*deliverer.shared;
    let entries = folder.path().join("entries");
    let mode = |name: &str, mode| {
        set_permissions(entries.join(name), Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    let mut news = News::new();
    let mut places = Vec::new();
    for key in ["1", "2", "3"] {
        let naming = Naming {
            bucket: "bucket".into(),
            key: key.into(),
            ..Naming::default()
        };
        let id = spool.add(&mut key.as_bytes(), naming).unwrap().id;
        mode(&id.to_string(), 0o644);
        let found = news.look(&spool).unwrap();
        places.push((found[0].sequence, id));
    }
    let locked = places[0].1.to_string();
    mode(&locked, 0);
    shared.lock().backlog.extend(places.iter().copied());
    as_nobody(|| feed(shared));
    {
        let state = shared.lock();
        assert!(!state.schedule.knows(places[0]));
        assert!(places[1..].iter().all(|place| state.schedule.knows(*place)));
        let error = state.last_error.as_ref().unwrap();
        assert!(error.what.contains(&locked), "{error:?}");
    }
    mode(&locked, 0o644);
    as_nobody(|| look_at_spool(shared, &mut news));
    assert_eq!(shared.lock().schedule.oldest(), Some(places[0]));
}

#[test]
fn what_others_took_away_and_added_again_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), spool::Options::default()).unwrap();
    let deliverer = deliverer(&spool);
    let shared = &*deliverer.shared;
    // Others have a handle of their own.
    let others = Spool::open(folder.path(), spool::Options::default()).unwrap();
    let add = || {
        let naming = Naming {
            bucket: "bucket".into(),
            key: "key".into(),
            ..Naming::default()
        };
        others.add(&mut &b"21.5"[..], naming).unwrap().id
    };
    let mut news = News::new();
    let id = add();
    look_at_spool(shared, &mut news);
    let next = shared.lock().schedule.next(shared.now());
    let Next::Send(ticket) = next else {
        panic!("{next:?}");
    };
    others.remove(id).unwrap();
    // It comes again before the lookout has seen that it was gone.
    assert_eq!(add(), id);
    ended(shared, ticket, End::Gone);
    look_at_spool(shared, &mut news);
    let place = shared.lock().schedule.oldest();
    assert_eq!(place.map(|(_, id)| id), Some(id));
}

#[test]
fn what_was_dropped_and_added_again_follows_what_came_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), spool::Options::default()).unwrap();
    let deliverer = deliverer(&spool);
    let shared = &*deliverer.shared;
    let others = Spool::open(folder.path(), spool::Options::default()).unwrap();
    let add = |content: &[u8]| {
        let naming = Naming {
            bucket: "bucket".into(),
            key: "key".into(),
            ..Naming::default()
        };
        others.add(&mut &*content, naming).unwrap().id
    };
    let take = || {
        let next = shared.lock().schedule.next(shared.now());
        let Next::Send(ticket) = next else {
            panic!("{next:?}");
        };
        ticket
    };
    let mut news = News::new();
    let on = add(b"on");
    look_at_spool(shared, &mut news);
    let first = take();
    let off = add(b"off");
    others.remove(on).unwrap();
    assert_eq!(add(b"on"), on);
    // The worker has another entry before it than it was sent for.
    let end = attempt(shared, &first, &mut BTreeMap::new());
    assert_eq!(end, End::Gone);
    ended(shared, first, end);
    look_at_spool(shared, &mut news);
    let ticket = take();
    assert_eq!(ticket.place.1, off);
    others.remove(off).unwrap();
    ended(shared, ticket, End::Gone);
    look_at_spool(shared, &mut news);
    assert_eq!(take().place.1, on);
}

#[test]
fn who_does_not_come_back_from_the_disk_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), spool::Options::default()).unwrap();
    let deliverer = deliverer(&spool);
    let shared = &*deliverer.shared;
    let naming = Naming {
        bucket: "bucket".into(),
        key: "key".into(),
        ..Naming::default()
    };
    let id = spool.add(&mut &b"21.5"[..], naming).unwrap().id;
    let path = folder.path().join("entries").join(std::format!("{id}"));
    std::fs::write(path, "damaged").unwrap();
    look_at_spool(shared, &mut News::new());
    let Next::Send(ticket) = shared.lock().schedule.next(shared.now()) else {
        panic!("nothing is sent");
    };
    // A program that was stopped while it added something.
    let lock = std::fs::File::open(folder.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let moment = Duration::from_millis(20);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| attempt(shared, &ticket, &mut BTreeMap::new()));
        while shared.disk.longest() < moment && !worker.is_finished() {
            std::thread::yield_now();
        }
        let mut state = shared.lock();
        state.pulse = Instant::now();
        assert!(shared.hangs_for(&state) >= moment);
        drop(state);
        lock.unlock().unwrap();
        assert_eq!(worker.join().unwrap(), End::SetAside);
    });
    assert_eq!(shared.disk.longest(), Duration::ZERO);
}

//! Many who ask for the same at once.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::*;

/// Fifty ask at once for what takes `create` some time. Gives what they got, and how often it was called.
fn fifty(
    scene: &Scene,
    create: fn() -> Result<Created, Fails>,
) -> (Vec<Result<String, Fails>>, usize) {
    let calls = AtomicUsize::new(0);
    let cache = &scene.cache;
    let ask = || {
        let create = || {
            calls.fetch_add(1, Ordering::Relaxed);
            create()
        };
        let clocks = Hands::at(at(0));
        let found = cache.obtain(&wanted(), &clocks, create, &mut |_| {});
        found.map(|found| found.credentials.access_key_id)
    };
    let all = thread::scope(|scope| {
        let all: Vec<_> = (0..50).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    (all, calls.into_inner())
}

#[test]
fn many_at_once_begin_one_session() {
    let scene = Scene::new();
    let (all, calls) = fifty(&scene, || Ok(created(1)));
    assert_eq!(calls, 1);
    assert!(all.iter().all(|found| found.as_deref() == Ok("ASIA1")));
}

#[test]
fn many_at_once_have_one_failure() {
    let scene = Scene::new();
    let (all, calls) = fifty(&scene, || Err(Fails::Network));
    assert_eq!(calls, 1);
    assert!(all.iter().all(|found| *found == Err(Fails::Network)));
    // Who comes later tries.
    scene.clocks.set(at(1));
    assert!(scene.is_new(&wanted(), 3600));
    // On another way it might have gone well.
    let scene = Scene::new();
    let left = |way: &str| {
        let held = scene.cache.try_lock(&wanted().key, ".lock");
        let held = held.unwrap().unwrap();
        held.leave(&at(0), &key(way), "Network\nfor all");
    };
    for (way, is_theirs) in [("a proxy", false), ("no proxy", true)] {
        left(way);
        let found = scene.attempt(&wanted(), || Err(Fails::Refused));
        let expected = if is_theirs {
            Fails::Network
        } else {
            Fails::Refused
        };
        assert_eq!(found.unwrap_err(), expected, "{way}");
    }
    // A failure that is one's own is nobody else's.
    let scene = Scene::new();
    let (all, calls) = fifty(&scene, || Err(Fails::Pin));
    assert_eq!(calls, 50);
    assert!(all.iter().all(|found| *found == Err(Fails::Pin)));
}

#[test]
fn who_hangs_or_dies_with_the_lock_stops_nobody() {
    let scene = Scene::new();
    let lock = |which: &str| -> Child {
        let path = scene.path(std::format!("{}{which}", wanted().key));
        let mut holder = Command::new("flock");
        holder
            .arg("--close")
            .arg(path)
            .args(["sh", "-c", "echo; read end"]);
        let mut holder = holder
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
        holder
    };
    let impatient = Wanted {
        patience: Duration::from_millis(5),
        ..wanted()
    };
    // One hangs: the others line up at the second lock.
    let mut first = lock(".lock");
    assert!(scene.is_new(&impatient, 3600));
    assert!(!scene.is_new(&impatient, 3600));
    scene.cache.clear().unwrap();
    // Two hang.
    let mut second = lock(".lock2");
    scene.events.borrow_mut().clear();
    assert!(scene.is_new(&impatient, 3600));
    let events = scene.events.borrow().join("\n");
    assert!(events.contains("asking without it"), "{events}");
    scene.cache.clear().unwrap();
    // One dies while another waits for it.
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let clocks = Hands::at(at(0));
            let cache = Cache::open(&Place::chosen(scene.folder.path().join("a/cache")));
            let mut waits = |event: &Event<'_>| {
                if matches!(event, Event::Waiting) {
                    first.kill().unwrap();
                }
            };
            let found = cache.unwrap().obtain(
                &wanted(),
                &clocks,
                || Ok::<_, Fails>(created(7)),
                &mut waits,
            );
            found.unwrap().credentials.access_key_id
        });
        assert_eq!(waiting.join().unwrap(), "ASIA7");
    });
    second.kill().unwrap();
    for mut holder in [first, second] {
        holder.wait().unwrap();
    }
}

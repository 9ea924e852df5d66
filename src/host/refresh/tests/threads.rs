use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Condvar};
use std::thread;

use super::super::Refresher;
use super::*;
use crate::host::clock::HostClock;

/// What answers when it is told to.
#[derive(Clone, Default)]
struct Held(Arc<(Mutex<usize>, Condvar)>, Arc<AtomicUsize>);

impl Held {
    fn let_through(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }
}

impl Source for Held {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        Ok(Box::new(self.clone()))
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![]
    }
}

impl Opened for Held {
    fn create(&mut self) -> Result<Fresh, Failure> {
        let number = self.1.fetch_add(1, Ordering::SeqCst) + 1;
        let through = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(through, |through| *through < number));
        if number == 1 {
            return Err(failure(FailureKind::Temporary, "held"));
        }
        Ok(Fresh {
            credentials: Credentials {
                access_key_id: format!("{number}"),
                secret_access_key: Zeroizing::new("secret".into()),
                session_token: Zeroizing::new("token".into()),
                expiration: crate::host::clock::system_time().offset_by(3600),
                role_arn: "role".into(),
            },
            date: None,
        })
    }

    fn certificate_expires(&self) -> Option<UnixTime> {
        None
    }
}

fn all(refresher: &Refresher) -> Vec<thread::JoinHandle<Result<Arc<Credentials>, Failure>>> {
    let barrier = Arc::new(Barrier::new(65));
    let threads = (0..64)
        .map(|_| {
            let (refresher, barrier) = (refresher.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                refresher.wait(minutes(1))
            })
        })
        .collect();
    barrier.wait();
    threads
}

#[test]
fn of_64_who_ask_one_request_is_made_and_all_get_its_end() {
    let held = Held::default();
    let options = Options::new(Arc::new(HostClock::new(None)));
    let refresher = Refresher::start("hub", Box::new(held.clone()), options, Box::new(())).unwrap();
    let changes = Arc::new(AtomicUsize::new(0));
    let counted = changes.clone();
    let handle = refresher.clone();
    refresher.on_change(Box::new(move || {
        // Whoever is woken looks at once.
        let _ = handle.status();
        counted.fetch_add(1, Ordering::SeqCst);
    }));

    let threads = all(&refresher);
    held.let_through();
    for thread in threads {
        assert!(thread.join().unwrap().unwrap_err().what.starts_with("held"));
    }
    assert_eq!(held.1.load(Ordering::SeqCst), 1);

    // The failure counts until its time is over; a reload ends that.
    assert!(refresher.wait(minutes(1)).is_err());
    refresher.reload();
    held.let_through();
    let deadline = std::time::Instant::now() + minutes(1);
    while refresher.credentials().is_none() && std::time::Instant::now() < deadline {
        thread::yield_now();
    }
    let first = refresher.credentials().unwrap();
    for thread in all(&refresher) {
        assert!(Arc::ptr_eq(&thread.join().unwrap().unwrap(), &first));
    }
    assert_eq!(held.1.load(Ordering::SeqCst), 2);
    assert_eq!(changes.load(Ordering::SeqCst), 2);
    assert_eq!(refresher.status().successes, 1);
}

#[test]
fn the_thread_ends_with_its_last_handle() {
    let held = Held::default();
    let gone = Arc::downgrade(&held.1);
    let options = Options::new(Arc::new(HostClock::new(None)));
    let refresher = Refresher::start("hub", Box::new(held), options, Box::new(())).unwrap();
    let other = refresher.clone();
    drop(refresher);
    assert!(gone.upgrade().is_some());
    drop(other);
    let deadline = std::time::Instant::now() + minutes(1);
    while gone.upgrade().is_some() && std::time::Instant::now() < deadline {
        thread::yield_now();
    }
    assert!(gone.upgrade().is_none());
}

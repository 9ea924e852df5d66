//! A random killer: programs that add and the one that delivers are killed at any time, again and again.
//!
//! `KEYSTEAD_SPOOL_ROUNDS` says how often (500 for the whole proof), `KEYSTEAD_FAULTS_SEED` repeats the decisions
//! of the killer, though not what the system makes of them.

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use hsm_tests::chance::Chance;

use crate::load;
use crate::scene::{Running, Scene};

/// As many as fit where every change is tested.
const USUAL: usize = 300;

/// Programs that add at the same time.
const ADDERS: usize = 2;

/// What the killer goes by.
struct Killer<'a> {
    scene: &'a Scene,
    rounds: usize,
    killed: AtomicUsize,
    next: AtomicUsize,
    accepted: Mutex<Vec<String>>,
}

impl Killer<'_> {
    fn goes_on(&self) -> bool {
        self.killed.load(Ordering::Relaxed) < self.rounds
    }

    /// Delivers, and is killed.
    fn deliver(&self, mut chance: Chance) {
        while self.goes_on() {
            let running = Running::start(&mut self.scene.run());
            thread::sleep(chance.time(0, 700));
            running.kill();
            self.killed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds, and is killed every other time.
    fn add(&self, mut chance: Chance) {
        while self.goes_on() {
            let keys: Vec<_> = (0..1 + chance.below(3))
                .map(|_| self.key(&mut chance))
                .collect();
            let running = Running::start(&mut self.scene.add(&keys));
            let is_accepted = if chance.below(2) == 0 {
                thread::sleep(chance.time(0, 120));
                self.killed.fetch_add(1, Ordering::Relaxed);
                running.kill()
            } else {
                let is_accepted = running.ends();
                assert!(is_accepted, "what nobody kills succeeds");
                is_accepted
            };
            if is_accepted {
                self.accepted.lock().expect("nobody panicked").extend(keys);
            }
        }
    }

    /// Most are small, some are larger than what is buffered, and few go in parts.
    fn key(&self, chance: &mut Chance) -> String {
        let length = match chance.below(40) {
            0 => 11 << 20,
            1..5 => 140_000 + chance.below(100_000),
            _ => chance.below(3000),
        };
        load::key(self.next.fetch_add(1, Ordering::Relaxed), length as usize)
    }
}

#[test]
fn whatever_is_killed_all_that_was_accepted_arrives() {
    let rounds = env::var("KEYSTEAD_SPOOL_ROUNDS").ok();
    let rounds = rounds.map_or(USUAL, |rounds| rounds.parse().expect("a number of rounds"));
    let scene = Scene::new();
    let mut chance = Chance::new();
    println!("KEYSTEAD_FAULTS_SEED={}", chance.seed);
    let killer = Killer {
        scene: &scene,
        rounds,
        killed: AtomicUsize::new(0),
        next: AtomicUsize::new(0),
        accepted: Mutex::default(),
    };
    thread::scope(|scope| {
        for _ in 0..ADDERS {
            let chance = Chance::of(chance.below(u64::MAX));
            scope.spawn(|| killer.add(chance));
        }
        killer.deliver(Chance::of(chance.below(u64::MAX)));
    });
    let accepted = killer.accepted.into_inner().expect("nobody panicked");
    scene.settle(&accepted);
    let tried = killer.next.into_inner();
    println!("{rounds} rounds, {} of {tried} accepted", accepted.len());
}

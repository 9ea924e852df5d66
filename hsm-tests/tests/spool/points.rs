//! `keystead` is killed at each of its fault points: around every call that changes the spool, and before and after
//! each answer of S3.

use std::fs;
use std::process::Command;

use keystead::host::fault_points::VARIABLE;

use crate::load;
use crate::scene::{Running, Scene};

/// One of so many, where every change is tested.
const STRIDE: usize = 2;

/// The places that a program reaches when nothing goes wrong.
fn places(scene: &Scene, command: &mut Command) -> Vec<String> {
    let list = scene.lab.folder().join("points");
    command.env(VARIABLE, format!("list:{}", list.display()));
    assert!(Running::start(command).ends(), "nothing goes wrong yet");
    let text = fs::read_to_string(list).expect("the program lists its places");
    text.lines().map(str::to_owned).collect()
}

/// Some numbers of so many places, beginning at another one each time; all with `KEYSTEAD_SPOOL_THOROUGH`.
fn chosen(places: usize) -> Vec<usize> {
    match std::env::var_os("KEYSTEAD_SPOOL_THOROUGH") {
        Some(_) => (1..=places).collect(),
        None => {
            let first = hsm_tests::chance::Chance::new().below(STRIDE as u64) as usize;
            (1 + first..=places).step_by(STRIDE).collect()
        }
    }
}

#[test]
fn one_that_adds_is_killed_at_each_point() {
    let keys: Vec<_> = [10, 140_000]
        .into_iter()
        .enumerate()
        .map(|(n, len)| load::key(n, len))
        .collect();
    let scene = Scene::new();
    let places = places(&scene, &mut scene.add(&keys));
    assert!(
        places.iter().any(|place| place == "before sync folder"),
        "{places:?}"
    );
    let chosen = chosen(places.len());
    for &place in &chosen {
        let scene = Scene::new();
        let mut killed = scene.add(&keys);
        killed.env(VARIABLE, format!("kill:{place}"));
        let is_accepted = Running::start(&mut killed).ends();
        assert!(!is_accepted, "it is killed at {}", places[place - 1]);
        // The next one accepts all of it, whatever is there already.
        assert!(
            Running::start(&mut scene.add(&keys)).ends(),
            "{}",
            places[place - 1]
        );
        scene.settle(&keys);
    }
    println!("killed at {} of {} places", chosen.len(), places.len());
}

#[test]
fn one_that_delivers_is_killed_at_each_point() {
    // The last one goes in three parts.
    let lengths = [10, 2000, 11 << 20];
    let keys: Vec<_> = lengths
        .into_iter()
        .enumerate()
        .map(|(n, len)| load::key(n, len))
        .collect();
    let mut place = 1;
    let mut places = 0;
    let thorough = std::env::var_os("KEYSTEAD_SPOOL_THOROUGH").is_some();
    if !thorough {
        place += hsm_tests::chance::Chance::new().below(STRIDE as u64) as usize;
    }
    loop {
        let scene = Scene::new();
        assert!(Running::start(&mut scene.add(&keys)).ends());
        let mut run = scene.run();
        run.args(["--concurrency", "1"])
            .env(VARIABLE, format!("kill:{place}"));
        let was_killed = scene.is_killed_or_idle(&mut run);
        scene.settle(&keys);
        if !was_killed {
            break;
        }
        places += 1;
        place += if thorough { 1 } else { STRIDE };
    }
    assert!(places > 3, "only {places} places");
    println!("killed at {places} places, the last was {place}");
}

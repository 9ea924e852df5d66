//! `keystead update`, across sessions, outages and restarts.

use std::collections::BTreeSet;
use std::fs;

use keystead::sandbox::{Fault, ScheduledFault};

use super::*;

#[track_caller]
fn start(scene: &Scene, profile: &str, more: &[&str]) -> Updating {
    let mut arguments = vec!["--profile", profile];
    arguments.extend(more);
    let log = scene.workshop.path(format!("{profile}.log"));
    Updating::start(&mut scene.command(&arguments), log)
}

fn after_the_first(fault: Fault) -> ScheduledFault {
    ScheduledFault {
        skip: 1,
        ..fault.always()
    }
}

#[track_caller]
fn first(scene: &Scene, profile: &str) -> String {
    until("the first credentials", || id(&scene.usual(), profile))
}

#[test]
fn new_credentials_follow_the_old_ones() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Expire(Duration::from_secs(20)).times(1));
    let updating = start(&scene, "hub", &[]);
    let old = first(&scene, "hub");
    let new = until("others", || {
        id(&scene.usual(), "hub").filter(|id| *id != old)
    });
    assert_ne!(new, old);
    updating.says("profile hub in ");
    assert_eq!(
        updating.log().matches("profile hub in ").count(),
        1,
        "{}",
        updating.log()
    );
}

#[test]
fn an_outage_that_ends() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    fs::create_dir(scene.workshop.path(".aws")).expect("a folder");
    write(&scene.usual(), "[hub]\nregion = r\n");
    faults.add(Fault::Expire(Duration::from_secs(12)).times(1));
    faults.add(after_the_first(Fault::Status(500)));
    let updating = start(&scene, "hub", &[]);
    first(&scene, "hub");
    // Expired credentials do not stay, and what is not ours does.
    let gone = || {
        let text = fs::read_to_string(scene.usual()).expect("text");
        (text == "[hub]\nregion = r\n").then_some(())
    };
    until("they are removed", gone);
    updating.says("expired credentials were removed");
    updating.says("no new credentials");
    faults.clear();
    first(&scene, "hub");
    let log = updating.log();
    assert_eq!(
        log.matches("expired credentials were removed").count(),
        1,
        "{log}"
    );
    assert_eq!(log.matches("no new credentials").count(), 1, "{log}");
}

#[test]
fn what_an_earlier_process_left() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Expire(Duration::from_secs(12)).times(1));
    faults.add(after_the_first(Fault::Status(500)));
    let killed = start(&scene, "hub", &[]);
    let id_of_killed = first(&scene, "hub");
    drop(killed);
    let next = start(&scene, "hub", &[]);
    next.says("no new credentials");
    until("they are removed", || {
        id(&scene.usual(), "hub").is_none().then_some(())
    });
    // Keys that somebody else has put there are theirs.
    let own = "[hub]\naws_access_key_id = AKIA\naws_secret_access_key = s\naws_session_token = t\n";
    write(&scene.usual(), own);
    drop(next);
    let next = start(&scene, "hub", &[]);
    next.says("no new credentials");
    assert_eq!(fs::read_to_string(scene.usual()).expect("text"), own);
    faults.clear();
    let new = until("others", || {
        id(&scene.usual(), "hub").filter(|id| id != "AKIA")
    });
    assert_ne!(new, id_of_killed);
}

#[test]
fn a_file_that_cannot_be_changed_is_tried_again() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Expire(Duration::from_secs(10)).times(1));
    let updating = start(&scene, "hub", &[]);
    let old = first(&scene, "hub");
    let disputed = "[hub]\naws_access_key_id = AKIA\n  region = r\n";
    write(&scene.usual(), disputed);
    updating.says("line 3 is indented");
    assert_eq!(fs::read_to_string(scene.usual()).expect("text"), disputed);
    write(&scene.usual(), "");
    assert_ne!(first(&scene, "hub"), old);
    updating.says("profile hub in ");
}

/// Two who update, and one who reads.
#[test]
fn two_profiles_of_one_file() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Expire(Duration::from_secs(30)).times(12));
    fs::create_dir(scene.workshop.path(".aws")).expect("a folder");
    write(&scene.usual(), "# top\n");
    let updating = ["hub", "depot"].map(|profile| start(&scene, profile, &[]));
    let mut seen = ["hub", "depot"].map(|_| BTreeSet::new());
    until("both are refreshed", || {
        let text = fs::read_to_string(scene.usual()).expect("text");
        assert!(text.starts_with("# top\n"), "{text}");
        for (profile, seen) in ["hub", "depot"].iter().zip(&mut seen) {
            // Once it is there, it is whole.
            let id = id(&scene.usual(), profile);
            assert!(id.is_some() || seen.is_empty(), "{text}");
            seen.extend(id);
        }
        seen.iter().all(|seen| seen.len() > 1).then_some(())
    });
    drop(updating);
}

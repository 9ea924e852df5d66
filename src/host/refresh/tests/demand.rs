//! Sessions on demand: as few as there is need for.

use super::*;
use crate::host::refresh::LAST_ON_DEMAND;

const HALF_AN_HOUR: Duration = minutes(30);

/// A refresher whose first session was just begun.
fn begun() -> Sim {
    let mut sim = Sim::on_demand(HALF_AN_HOUR);
    assert_eq!(sim.key(), None);
    sim.turn();
    assert_eq!(sim.key().as_deref(), Some("first 1"));
    sim
}

#[test]
fn who_does_not_ask_gets_no_session() {
    let mut sim = Sim::on_demand(HALF_AN_HOUR);
    sim.pass(minutes(7 * 24 * 60));
    assert_eq!(sim.asked(), 0);
    // What is wrong with certificate or key is known at the start.
    assert_eq!(sim.opened(), 1);
}

#[test]
fn a_session_is_used_until_two_minutes_before_its_end_and_not_renewed_before() {
    let mut sim = begun();
    assert_eq!(sim.using(HALF_AN_HOUR - LAST_ON_DEMAND), 0);
    assert_eq!(sim.asked(), 1);
    assert_eq!(sim.using(minutes(2)), 0);
    assert_eq!(sim.asked(), 2);

    // The last use of a session is no reason for another one.
    sim.pass(minutes(24 * 60));
    assert_eq!(sim.asked(), 2);
    assert_eq!(sim.events(), ["begun", "begun"]);
    assert_eq!(sim.key(), None);
    sim.turn();
    assert_eq!(sim.key().as_deref(), Some("first 3"));
}

#[test]
fn credentials_that_were_refused_are_replaced_at_once() {
    let mut sim = begun();
    let used = sim.shared.credentials().unwrap();
    sim.shared.refused(&used);
    sim.turn();
    assert_eq!(sim.asked(), 1);
    assert_eq!(sim.key(), None);
    sim.turn();
    assert_eq!(sim.key().as_deref(), Some("first 2"));
    // Who is late with that refuses nothing.
    sim.shared.refused(&used);
    assert_eq!(sim.key().as_deref(), Some("first 2"));
}

#[test]
fn an_outage_is_waited_for_while_somebody_asks() {
    let mut sim = Sim::on_demand(HALF_AN_HOUR);
    sim.service(|_| Err(FailureKind::Temporary));
    sim.using(minutes(60));
    let asked = sim.asked();
    assert!((30..80).contains(&asked), "{asked}");
    // Nobody asks any more.
    sim.pass(minutes(24 * 60));
    assert!(sim.asked() < asked + 8, "{} after {asked}", sim.asked());

    // The network comes back: nobody waits for the end of a delay.
    sim.using(minutes(30));
    sim.service(|_| Ok(()));
    sim.shared.network_changed();
    sim.turn();
    sim.pass(Duration::from_secs(13));
    assert!(sim.key().is_some());
}

#[test]
fn files_that_change_are_proven_by_the_next_session() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hub.pem");
    std::fs::write(&file, "first").unwrap();
    let mut sim = Sim::on_demand(HALF_AN_HOUR);
    sim.shore.lock().files = vec![file.clone()];
    sim.key();
    sim.turn();
    std::fs::write(&file, "another").unwrap();
    sim.shore.lock().pair = Ok("second".into());
    sim.pass(minutes(60));
    assert_eq!(sim.asked(), 1);
    sim.key();
    sim.turn();
    assert_eq!(sim.key().as_deref(), Some("second 2"));
    assert_eq!(sim.events(), ["begun", "reloaded", "begun"]);

    // A person who says so gets to know at once.
    sim.shore.lock().pair = Ok("third".into());
    sim.reload();
    sim.turn();
    assert_eq!(sim.key().as_deref(), Some("third 3"));
}

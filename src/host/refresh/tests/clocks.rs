use super::*;

#[test]
fn a_clock_that_is_set_back_revives_nothing() {
    let mut sim = Sim::in_use(minutes(60));
    sim.service(|_| Err(FailureKind::Temporary));
    sim.using(minutes(30));
    sim.shore.lock().set_by = -7200;
    sim.using(minutes(28));
    assert!(sim.key().is_some());
    sim.using(minutes(3));
    assert_eq!(sim.key(), None);
    assert!(sim.events().contains(&"clock -7200".into()));
}

#[test]
fn after_a_clock_is_set_ahead_there_are_none_until_the_attempt_that_follows() {
    let mut sim = Sim::in_use(minutes(60));
    sim.shore.lock().set_by = 7200;
    // By use at once, and before anybody can see that they have not expired.
    assert_eq!(sim.key(), None);
    sim.turn();
    assert_eq!(sim.asked(), 2);
}

#[test]
fn a_clock_that_is_set_right_again_gives_back_what_lives() {
    let mut sim = Sim::in_use(minutes(60));
    sim.service(|_| Err(FailureKind::Temporary));
    sim.shore.lock().set_by = 7200;
    sim.using(minutes(5));
    assert_eq!(sim.key(), None);
    sim.shore.lock().set_by = 0;
    assert_eq!(sim.key().as_deref(), Some("first 1"));
}

#[test]
fn a_jump_brings_a_refresh_within_minutes() {
    let mut sim = Sim::in_use(minutes(60));
    sim.using(minutes(5));
    sim.shore.lock().set_by = -600;
    sim.using(minutes(21));
    assert_eq!(sim.asked(), 2);
    // Once; and a clock that is only made a little faster does not count.
    sim.shore.lock().set_by = -596;
    sim.using(minutes(20));
    assert_eq!(sim.asked(), 2);
    assert_eq!(sim.events(), ["begun", "clock -600"]);
}

#[test]
fn a_clock_that_stands_still_is_not_set_each_minute() {
    let mut sim = Sim::in_use(minutes(60));
    sim.using(minutes(5));
    let wall = sim.shore.now().wall;
    sim.shore.lock().stands_at = Some(wall);
    sim.using(minutes(30));
    assert_eq!(sim.asked(), 1);
    assert_eq!(sim.events(), ["begun"]);
    // Set right, it counts.
    sim.shore.lock().stands_at = None;
    sim.using(minutes(1));
    assert!(sim.events()[0].starts_with("clock 1"));
}

#[test]
fn sleep_counts() {
    let mut sim = Sim::in_use(minutes(60));
    sim.using(minutes(5));
    sim.suspend(minutes(120));
    // By use: at once.
    assert_eq!(sim.key(), None);
    sim.turn();
    assert_eq!(sim.key().as_deref(), Some("first 2"));

    // After short ones, with credentials that live for long enough, a new session is not needed.
    for _ in 0..5 {
        sim.using(minutes(1));
        sim.suspend(minutes(3));
        assert!(sim.key().is_some());
    }
    sim.using(minutes(1));
    assert_eq!(sim.asked(), 2);
    // When they do not, one is.
    sim.suspend(minutes(25));
    assert!(sim.key().is_some());
    sim.using(minutes(2));
    assert_eq!(sim.asked(), 3);
}

#[test]
fn after_sleep_an_outage_is_looked_at_again() {
    let mut sim = Sim::in_use(minutes(15));
    sim.service(|_| Err(FailureKind::Temporary));
    sim.using(minutes(60));
    sim.service(|_| Ok(()));
    sim.suspend(minutes(30));
    sim.key();
    sim.turn();
    sim.pass(Duration::from_secs(15));
    assert!(sim.key().is_some());
}

#[test]
fn a_service_with_a_clock_of_its_own_lengthens_nothing() {
    // Two hours ahead, with credentials for an hour by that: to us it is three.
    let mut sim = Sim::with(minutes(60), |world| world.set_by = -7200);
    sim.shared.credentials();
    sim.turn();
    let live = sim.shared.lock().live.clone().unwrap();
    assert_eq!(live.left(sim.shore.now()), minutes(60));
    sim.service(|_| Err(FailureKind::Temporary));
    sim.using(minutes(61));
    assert_eq!(sim.key(), None);
}

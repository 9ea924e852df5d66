use super::*;

const TEMPORARY: FailureKind = FailureKind::Temporary;

#[test]
fn who_asks_first_waits_for_nothing_but_the_answer() {
    let mut sim = Sim::new(minutes(60));
    assert_eq!(sim.key(), None);
    sim.turn();
    assert_eq!(sim.key().as_deref(), Some("first 1"));
    let (one, two) = (sim.shared.credentials(), sim.shared.credentials());
    assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
    assert_eq!(sim.events(), ["begun"]);
}

#[test]
fn a_start_without_callers_opens_at_once_and_asks_later() {
    let mut sim = Sim::new(minutes(60));
    sim.turn();
    assert_eq!((sim.opened(), sim.asked()), (1, 0));
    sim.pass(minutes(20));
    assert_eq!((sim.opened(), sim.asked()), (1, 1));
    // Nobody came: that was all.
    sim.pass(minutes(600));
    assert_eq!(sim.asked(), 1);
    assert_eq!(sim.events(), ["begun", "unused"]);
    assert_eq!(sim.key(), None);
    sim.turn();
    assert!(sim.key().is_some());
}

#[test]
fn what_cannot_be_opened_is_told_at_the_start() {
    let mut sim = Sim::with(minutes(60), |world| world.pair = Err(FailureKind::Lasting));
    sim.turn();
    assert_eq!(sim.events(), ["failed: Lasting"]);
    sim.shore.lock().pair = Ok("mended".into());
    sim.using(minutes(1));
    assert_eq!(sim.key().as_deref(), Some("mended 1"));
    assert_eq!(sim.events(), ["begun"]);
}

#[test]
fn credentials_in_use_are_always_there_and_live_long_enough() {
    let mut sim = Sim::in_use(minutes(60));
    for _ in 0..24 * 60 {
        sim.using(minutes(1));
        let live = sim.shared.credentials().unwrap();
        let left = live.expiration.since(sim.shore.now().wall);
        assert!(left > 20 * 60, "{left}");
    }
    let asked = sim.asked();
    assert!((37..=44).contains(&asked), "{asked} sessions in a day");
    assert_eq!(sim.events(), ["begun"]);
}

#[test]
fn an_outage_takes_nothing_away_before_its_time_and_mends_itself() {
    let mut sim = Sim::in_use(minutes(60));
    sim.service(|_| Err(TEMPORARY));
    assert_eq!(sim.using(minutes(59)), 0);
    assert_eq!(sim.key().as_deref(), Some("first 1"));
    let status = sim.shared.status();
    assert_eq!(status.failures, status.temporary);
    assert!(status.failures > 5 && status.failure.is_some());
    assert!(status.next_attempt.unwrap() <= minutes(2));

    // Hours without: no more requests than one in a minute, however many ask.
    let before = sim.asked();
    assert!(sim.using(minutes(300)) > 290);
    let tried = sim.asked() - before;
    assert!((150..=300).contains(&tried), "{tried}");
    assert_eq!(sim.events(), ["begun", "failed: Temporary", "expired"]);
    let refused = sim.shared.wait(Duration::ZERO).unwrap_err();
    assert!(
        refused.what.contains("the next attempt is in "),
        "{refused}"
    );

    sim.service(|_| Ok(()));
    sim.using(minutes(3));
    assert!(sim.key().is_some());
    assert_eq!(sim.events(), ["begun"]);
    assert_eq!(sim.shared.status().failure, None);
}

#[test]
fn another_kind_of_trouble_is_told_and_another_word_for_it_is_not() {
    let mut sim = Sim::in_use(minutes(60));
    let mut count = 0;
    sim.service(move |_| {
        count += 1;
        Err(match count {
            ..5 => TEMPORARY,
            5..8 => FailureKind::Throttled,
            _ => FailureKind::Lasting,
        })
    });
    sim.using(minutes(180));
    let events = sim.events();
    let told: Vec<_> = events
        .iter()
        .map(String::as_str)
        .filter(|e| *e != "expired")
        .collect();
    assert_eq!(
        told,
        [
            "begun",
            "failed: Temporary",
            "failed: Throttled",
            "failed: Lasting"
        ]
    );
}

#[test]
fn a_service_that_throttles_is_left_alone() {
    let mut sim = Sim::new(minutes(60));
    sim.service(|_| Err(FailureKind::Throttled));
    sim.using(minutes(120));
    let asked = sim.asked();
    assert!(asked <= 20, "{asked} requests in two hours");
    assert_eq!(sim.shared.status().throttled as usize, asked);
}

#[test]
fn nobody_asks_for_what_nobody_wants() {
    let mut sim = Sim::in_use(minutes(60));
    sim.service(|_| Err(TEMPORARY));
    sim.using(minutes(90));
    let before = sim.asked();
    sim.pass(minutes(61));
    let during = sim.asked();
    assert!(during > before);
    sim.pass(minutes(600));
    assert_eq!(sim.asked(), during);
    sim.service(|_| Ok(()));
    assert_eq!(sim.key(), None);
    sim.turn();
    assert!(sim.key().is_some());
}

#[test]
fn a_slow_answer_does_not_lengthen_a_life() {
    let mut sim = Sim::with(minutes(15), |world| world.latency = minutes(1));
    sim.shared.credentials();
    sim.turn();
    let live = sim.shared.lock().live.clone().unwrap();
    // Counted from when it was asked for; the service counts from when it answers.
    assert_eq!(live.left(sim.shore.now()), minutes(14));
    sim.service(|_| Err(TEMPORARY));
    sim.shore.lock().latency = Duration::ZERO;
    sim.using(minutes(13));
    assert!(sim.key().is_some());
    sim.using(minutes(1));
    assert_eq!(sim.key(), None);
}

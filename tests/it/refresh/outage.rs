use super::*;

#[test]
fn hours_of_500_and_then_it_goes_on() {
    let mut hub = Hub::new();
    assert_eq!(hub.using(minutes(60)), 0);
    assert_eq!(hub.said(), ["begun"]);
    assert!((3..=4).contains(&hub.asked()), "{} sessions", hub.asked());

    hub.fault(Fault::Status(500));
    let before = hub.asked();
    let without = hub.using(minutes(300));
    assert!((270..300).contains(&without), "{without} minutes without");
    // Three quick attempts each time, at most every minute.
    let tried = hub.asked() - before;
    assert!((400..900).contains(&tried), "{tried} requests");
    let said = hub.said();
    assert!(
        said[0].starts_with("Temporary: ") && said[0].contains("(HTTP 500)"),
        "{said:?}"
    );
    assert_eq!(said[1..], ["expired"]);

    hub.mend();
    hub.using(minutes(3));
    assert!(hub.credentials().is_some());
    assert_eq!(hub.said(), ["begun"]);
    let status = hub.refresher.status();
    assert_eq!(status.failures, status.temporary);
    assert_eq!(status.failure, None);
    assert_eq!(status.signatures.made as usize, hub.asked());
}

#[test]
fn who_is_throttled_asks_once_and_waits() {
    let mut hub = Hub::new();
    hub.sandbox.config().faults.add(Fault::Throttle.times(2));
    hub.using(minutes(30));
    // The session that came early has been renewed by now.
    assert!((3..=4).contains(&hub.asked()), "{}", hub.asked());
    assert!(hub.credentials().is_some());
    assert_eq!(hub.refresher.status().throttled, 2);
}

#[test]
fn what_cannot_be_believed_is_not_handed_out() {
    for fault in [
        Fault::Garbage,
        Fault::MissingField("sessionToken".into()),
        Fault::Drop,
        Fault::Expire(Duration::ZERO),
    ] {
        let mut hub = Hub::new();
        hub.using(minutes(10));
        hub.fault(fault.clone());
        assert_eq!(hub.using(minutes(19)), 0, "{fault:?}");
        hub.using(minutes(5));
        assert!(hub.credentials().is_none(), "{fault:?}");
        hub.mend();
        hub.refresher.reload();
        hub.using(minutes(1));
        assert!(hub.credentials().is_some(), "{fault:?}");
    }
}

#[test]
fn clocks_that_are_set_hand_out_nothing_that_has_expired() {
    let mut hub = Hub::new();
    hub.using(minutes(10));
    for by in [-240, 240, -7200, 7200, 0] {
        hub.set_clock(by);
        hub.using(minutes(40));
    }
    hub.using(minutes(10));
    // A clock that is off by more than five minutes signs nothing that the service takes.
    assert!(hub.credentials().is_some());
}

#[test]
fn nobody_uses_it() {
    let mut hub = Hub::new();
    hub.turn(30 * 60);
    assert_eq!(hub.asked(), 1);
    hub.turn(10 * 3600);
    assert_eq!(hub.asked(), 1);
}

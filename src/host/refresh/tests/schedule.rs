use std::vec::Vec;

use super::*;

const NOW: Duration = minutes(1000);

fn begun(life: Duration) -> Schedule {
    let mut schedule = Schedule::new(7, NOW - minutes(1));
    schedule.begun(NOW, life);
    schedule
}

fn at(next: Next) -> Duration {
    match next {
        Next::At(at) => at,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_start_waits_for_its_turn_and_a_caller_does_not() {
    let mut starts: Vec<_> = (0..100)
        .map(|seed| at(Schedule::new(seed, NOW).next(NOW)))
        .collect();
    starts.sort();
    assert!(starts[0] < NOW + START_SPREAD / 10);
    assert!(starts[99] > NOW + START_SPREAD / 10 * 9);
    assert!(starts[99] <= NOW + START_SPREAD);

    let mut schedule = Schedule::new(7, NOW);
    schedule.used(NOW);
    assert_eq!(schedule.next(NOW), Next::Refresh);
}

#[test]
fn the_window_depends_on_the_session() {
    for (session, earliest, latest) in [
        (15, minutes(15) / 4, minutes(15) / 8),
        (30, minutes(30) / 4, minutes(30) / 8),
        (60, minutes(26), minutes(26) * 4 / 5),
        (720, minutes(180), minutes(144)),
    ] {
        assert_eq!(
            window(minutes(session)),
            (earliest, latest),
            "{session} min"
        );
    }
    for session in 49..720 {
        assert!(window(minutes(session)).1 > ENOUGH, "{session} min");
    }
    for session in [0, 1, 2, 60] {
        let life = Duration::from_secs(session);
        let (earliest, latest) = window(life);
        assert!(latest <= earliest && earliest <= life, "{session} s");
    }
}

#[test]
fn refresh_follows_use() {
    let life = minutes(60);
    let mut schedule = begun(life);
    assert_eq!(schedule.next(NOW), Next::Idle);
    schedule.used(NOW + minutes(5));
    let due = at(schedule.next(NOW + minutes(5)));
    assert!(
        due >= NOW + minutes(34) && due <= NOW + minutes(40),
        "{due:?}"
    );
    assert_eq!(schedule.next(due), Next::Refresh);

    // A session that nobody has used ends, and who comes later is there again.
    schedule.begun(due, life);
    assert_eq!(schedule.next(due + minutes(50)), Next::Idle);
    assert_eq!(schedule.next(due + minutes(61)), Next::Idle);
    schedule.used(due + minutes(500));
    assert_eq!(schedule.next(due + minutes(500)), Next::Refresh);

    // Who comes while the last minutes run gets them, and new ones are asked for.
    let mut schedule = begun(life);
    schedule.used(NOW + minutes(50));
    assert_eq!(schedule.next(NOW + minutes(50)), Next::Refresh);
}

#[test]
fn delays_grow_and_are_never_twice_the_same() {
    let mut schedule = Schedule::new(7, NOW);
    let mut now = NOW;
    schedule.used(now);
    let mut delays = Vec::new();
    for _ in 0..10 {
        schedule.failed(now, FailureKind::Temporary);
        // Callers change nothing.
        schedule.used(now + SHORTEST_DELAY);
        let next = at(schedule.next(now));
        assert_eq!(schedule.backs_off(now), Some(next));
        delays.push(next - now);
        now = next;
    }
    assert!(delays[0] <= FIRST_DELAY && delays[0] >= FIRST_DELAY / 2);
    for delay in &delays[4..] {
        assert!(
            *delay >= LONGEST_DELAY / 2 && *delay <= LONGEST_DELAY,
            "{delay:?}"
        );
    }
    delays.sort();
    delays.dedup();
    assert_eq!(delays.len(), 10);

    for _ in 0..40 {
        schedule.failed(now, FailureKind::Lasting);
    }
    assert!(at(schedule.next(now)) - now >= LONGEST_LASTING_DELAY / 2);
    schedule.begun(now, minutes(60));
    assert_eq!(schedule.backs_off(now), None);
}

#[test]
fn throttling_spreads_out() {
    let mut schedule = Schedule::new(7, NOW);
    schedule.used(NOW);
    schedule.failed(NOW, FailureKind::Throttled);
    let second = at(schedule.next(NOW));
    assert!(second <= NOW + STAGES[0]);
    let spread: Vec<_> = (0..200)
        .map(|seed| {
            let mut schedule = Schedule::new(seed, NOW);
            schedule.used(NOW);
            schedule.failed(NOW, FailureKind::Throttled);
            schedule.failed(NOW, FailureKind::Throttled);
            at(schedule.next(NOW)) - NOW
        })
        .collect();
    assert!(spread.iter().any(|delay| *delay < minutes(2)));
    assert!(spread.iter().any(|delay| *delay > minutes(22)));
    assert!(spread.iter().all(|delay| *delay <= minutes(24)));
    // Neither a reload nor a caller comes before that.
    schedule.asked(NOW);
    schedule.used(NOW);
    assert_eq!(schedule.next(NOW), Next::At(second));
}

#[test]
fn what_still_lives_is_replaced_while_it_does() {
    for seed in 0..100 {
        let mut schedule = Schedule::new(seed, NOW);
        schedule.begun(NOW, minutes(30));
        schedule.used(NOW);
        let now = NOW + minutes(24);
        for _ in 0..3 {
            schedule.failed(now, FailureKind::Throttled);
            assert!(at(schedule.next(now)) < NOW + minutes(29));
        }
    }
}

#[test]
fn a_reload_waits_for_no_failure() {
    let mut schedule = begun(minutes(60));
    schedule.failed(NOW, FailureKind::Lasting);
    schedule.asked(NOW);
    assert_eq!(schedule.next(NOW), Next::Refresh);
    // It goes on until there is a session, although nobody uses it.
    schedule.failed(NOW, FailureKind::Temporary);
    let next = at(schedule.next(NOW));
    assert_eq!(schedule.next(next), Next::Refresh);
    schedule.begun(next, minutes(60));
    assert_eq!(schedule.next(next), Next::Idle);
}

#[test]
fn a_jump_brings_new_credentials_soon() {
    let mut schedule = begun(minutes(60));
    schedule.jumped(NOW, minutes(60));
    assert_eq!(schedule.next(NOW), Next::Idle);
    schedule.used(NOW);
    schedule.jumped(NOW, minutes(50));
    assert!(at(schedule.next(NOW)) <= NOW + JUMP_SPREAD);
    // A clock that says that they have expired: at once.
    schedule.jumped(NOW, Duration::ZERO);
    assert_eq!(schedule.next(NOW), Next::Refresh);
}

#[test]
fn after_a_jump_the_network_is_tried_again() {
    let mut schedule = Schedule::new(7, NOW);
    for _ in 0..10 {
        schedule.used(NOW);
        schedule.failed(NOW, FailureKind::Temporary);
    }
    assert!(at(schedule.next(NOW)) > NOW + minutes(1) / 2);
    schedule.jumped(NOW, Duration::ZERO);
    assert!(at(schedule.next(NOW)) < NOW + Duration::from_secs(15));
}

#[test]
fn nobody_is_tried_for_in_vain() {
    let mut schedule = Schedule::new(7, NOW);
    schedule.used(NOW);
    schedule.failed(NOW, FailureKind::Temporary);
    let later = NOW + START_SPREAD + QUIET;
    assert_eq!(schedule.next(later), Next::Idle);
    schedule.used(later);
    assert_eq!(schedule.next(later), Next::Refresh);
}

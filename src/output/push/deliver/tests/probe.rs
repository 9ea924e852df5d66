//! What is tried while nothing passes.

use super::*;

#[test]
fn one_small_entry_finds_out_whether_it_is_over() {
    let mut schedule = with(3, 4);
    schedule.added(NOW, place(4), 10, "bucket", None);
    schedule.added(NOW, place(5), 2000, "bucket", None);
    let next = fail(&mut schedule, NOW, FaultKind::Network);
    let probe = sent(schedule.next(next));
    assert_eq!(probe.place.0, 4);
    assert!(at(schedule.next(next)) > next + 30 * SECOND);
    schedule.ended(next, probe, DELIVERED);
    let rest: Vec<_> = (0..4).map(|_| sent(schedule.next(next)).place.0).collect();
    assert_eq!(rest, [1, 2, 3, 5]);
}

#[test]
fn one_that_takes_long_to_find_out_is_not_waited_for() {
    let mut schedule = Schedule::new(7, 2);
    schedule.added(NOW, place(1), 1 << 40, "bucket", None);
    let next = fail(&mut schedule, NOW, FaultKind::Network);
    assert_eq!(sent(schedule.next(next)).place.0, 1);
    schedule.added(next, place(2), 1000, "bucket", None);
    let now = at(schedule.next(next));
    assert_eq!(now, next + 60 * SECOND);
    let second = sent(schedule.next(now));
    assert_eq!(second.place.0, 2);
    // No more than otherwise.
    schedule.added(now, place(3), 1000, "bucket", None);
    assert_eq!(schedule.next(now + 3600 * SECOND), Next::Idle);
    schedule.ended(now, second, DELIVERED);
    assert_eq!(sent(schedule.next(now)).place.0, 3);
}

#[test]
fn while_nothing_passes_each_has_its_turn() {
    let mut schedule = with(0, 4);
    for number in 1..=100 {
        schedule.added(NOW, place(number), 1000 - number, "bucket", None);
    }
    let mut now = NOW;
    let mut tried = vec![];
    for _ in 0..250 {
        let ticket = sent(schedule.next(now));
        tried.push(ticket.place.0);
        schedule.ended(now, ticket, failed(FaultKind::Server));
        now = at(schedule.next(now));
    }
    // The oldest was sent before it was known that something fails; then the smallest of the newest, and of the
    // oldest.
    assert_eq!(tried[..3], [1, 100, 65]);
    for turn in [&tried[..100], &tried[100..200]] {
        let mut turn = turn.to_vec();
        turn.sort_unstable();
        assert!(turn.iter().copied().eq(1..=100), "{turn:?}");
    }
    schedule.network_changed(now);
    let first = sent(schedule.next(now + 10 * SECOND)).place.0;
    assert!([100, 64].contains(&first), "{first}");
}

#[test]
fn when_the_network_is_back_nobody_waits() {
    let mut schedule = with(3, 4);
    let mut now = NOW;
    for _ in 0..20 {
        now = fail(&mut schedule, now, FaultKind::Network);
    }
    assert!(fail(&mut schedule, now, FaultKind::Network) > now + 100 * SECOND);
    schedule.network_changed(now);
    let soon = at(schedule.next(now));
    assert!(soon <= now + 4 * SECOND);
    // One that comes and goes does not have everything tried each time.
    let next = fail(&mut schedule, soon, FaultKind::Network);
    schedule.network_changed(soon);
    assert_eq!(at(schedule.next(soon)), next);

    // A server that throttles, and one that refuses, have nothing to do with the network.
    for kind in [FaultKind::Throttled, FaultKind::Refused] {
        let mut schedule = with(1, 1);
        let next = fail(&mut schedule, NOW, kind);
        schedule.network_changed(NOW);
        assert_eq!(at(schedule.next(NOW)), next);
        // A person who asks is not kept waiting.
        schedule.asked(NOW);
        sent(schedule.next(NOW));
    }
}

#[test]
fn one_that_fails_again_and_again_waits_for_itself() {
    for (length, kind) in [
        (1 << 40, FaultKind::Network),
        (1, FaultKind::Server),
        (1, FaultKind::Place),
        (1, FaultKind::Credentials),
    ] {
        let mut schedule = with(0, 1);
        let odd = place(1);
        schedule.added(NOW, odd, length, "bucket", None);
        let mut now = NOW;
        let (mut delivered, mut failures) = (0, 0);
        for number in 2..500 {
            schedule.added(now, place(number), 1000, "bucket", None);
            now += 60 * SECOND;
            while let Next::Send(ticket) = schedule.next(now) {
                let end = match ticket.place {
                    place if place == odd => failed(kind),
                    _ => DELIVERED,
                };
                delivered += usize::from(end == DELIVERED);
                failures += usize::from(end != DELIVERED);
                schedule.ended(now, ticket, end);
            }
        }
        assert!(delivered > 495, "{kind:?}: {delivered}");
        assert!(schedule.knows(odd));
        assert!(failures < 200, "{kind:?}: {failures}");
    }
}

#[test]
fn what_is_refused_when_the_way_is_free_again_is_not_tried_again_at_once() {
    for others in [0, 3] {
        let mut schedule = with(0, 1);
        let odd = place(1);
        schedule.added(NOW, odd, 1, "bucket", None);
        let mut now = fail(&mut schedule, NOW, FaultKind::Network);
        for number in 2..2 + others {
            schedule.added(NOW, place(number), 1000, "bucket", None);
        }
        let (mut turns, mut last) = (vec![], None);
        for _ in 0..6 {
            // All have their turn.
            let mut turn = vec![];
            for _ in 0..=others {
                let ticket = loop {
                    match schedule.next(now) {
                        Next::At(at) => now = at,
                        next => break sent(next),
                    }
                };
                turn.push(ticket.place.0);
                let kind = match ticket.place == odd {
                    true => FaultKind::Refused,
                    false => FaultKind::Network,
                };
                if ticket.place == odd {
                    assert!(last.is_none_or(|last| now >= last + SECOND), "{others}");
                    last = Some(now);
                }
                schedule.ended(now, ticket, failed(kind));
            }
            turn.sort_unstable();
            turns.push(turn);
        }
        let each: Vec<u64> = (1..2 + others).collect();
        assert!(turns.iter().all(|turn| *turn == each), "{turns:?}");
    }
}

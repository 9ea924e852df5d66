use std::vec;

use super::super::pause::{LONGEST_DELAY, LONGEST_LASTING_DELAY};
use super::*;

#[path = "probe.rs"]
mod probe;

const NOW: Duration = Duration::from_secs(100_000);
const SECOND: Duration = Duration::from_secs(1);

fn place(number: u64) -> Place {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    (number, EntryId(id))
}

/// Entries 1 to `count`, 1000 bytes each.
fn with(count: u64, concurrency: usize) -> Schedule {
    let mut schedule = Schedule::new(7, concurrency);
    for number in 1..=count {
        schedule.added(NOW, place(number), 1000, "bucket", None);
    }
    schedule
}

fn sent(next: Next) -> Ticket {
    match next {
        Next::Send(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn at(next: Next) -> Duration {
    match next {
        Next::At(at) => at,
        other => panic!("{other:?}"),
    }
}

fn failed(kind: FaultKind) -> End {
    End::Failed {
        kind,
        retry_after: None,
        session: 1,
    }
}

const DELIVERED: End = End::Delivered { session: 1 };

/// Has the next one fail; gives when the one after that may be sent.
fn fail(schedule: &mut Schedule, now: Duration, kind: FaultKind) -> Duration {
    let ticket = sent(schedule.next(now));
    assert!(schedule.ended(now, ticket, failed(kind)).is_empty());
    match schedule.next(now) {
        Next::At(at) => at,
        Next::Send(ticket) => {
            schedule.ended(now, ticket, End::Stopped);
            now
        }
        Next::Idle => panic!("it is given up"),
    }
}

#[test]
fn oldest_first_and_so_many_at_once() {
    let mut schedule = with(0, 2);
    for number in [3, 1, 2, 4] {
        schedule.added(NOW, place(number), 1000, "bucket", None);
    }
    // Known ones change nothing, wherever they are.
    let first = sent(schedule.next(NOW));
    schedule.added(NOW, place(1), 1000, "bucket", None);
    schedule.added(NOW, place(4), 1000, "bucket", None);
    let second = sent(schedule.next(NOW));
    assert_eq!((first.place.0, second.place.0), (1, 2));
    assert_eq!(schedule.next(NOW), Next::Idle);
    schedule.ended(NOW, second, DELIVERED);
    assert_eq!(sent(schedule.next(NOW)).place.0, 3);
    schedule.ended(NOW, first, DELIVERED);
    let last = sent(schedule.next(NOW));
    assert_eq!(last.place.0, 4);
    schedule.ended(NOW, last, DELIVERED);
    assert_eq!(schedule.len(), 1);
}

#[test]
fn delays_grow_to_their_cap_and_nothing_is_given_up() {
    for (kind, longest) in [
        (FaultKind::Network, LONGEST_DELAY),
        (FaultKind::Server, LONGEST_DELAY),
        (FaultKind::Throttled, LONGEST_DELAY),
        (FaultKind::Credentials, LONGEST_LASTING_DELAY),
        (FaultKind::Refused, LONGEST_LASTING_DELAY),
        (FaultKind::Unclear, LONGEST_LASTING_DELAY),
        (FaultKind::Clock, LONGEST_LASTING_DELAY),
        (FaultKind::Place, LONGEST_LASTING_DELAY),
        (FaultKind::Restart, LONGEST_DELAY),
        (FaultKind::Content, LONGEST_DELAY),
    ] {
        let mut schedule = with(1, 4);
        let mut now = NOW;
        let mut delays = vec![];
        for _ in 0..1000 {
            let next = fail(&mut schedule, now, kind);
            delays.push(next - now);
            now = next;
        }
        for delay in &delays[20..] {
            assert!(
                *delay <= longest && *delay >= longest / 2,
                "{kind:?}: {delay:?}"
            );
        }
        assert!(delays[1] <= 10 * SECOND, "{kind:?}: {:?}", delays[1]);
        // Never twice the same: hubs do not march in step.
        assert!(
            delays[980..].windows(2).all(|pair| pair[0] != pair[1]),
            "{kind:?}"
        );
        let ticket = sent(schedule.next(now));
        schedule.ended(now, ticket, DELIVERED);
        assert!(schedule.is_empty());
    }
}

#[test]
fn a_clock_and_credentials_cost_one_try() {
    for kind in [FaultKind::Clock, FaultKind::Credentials] {
        let mut schedule = with(1, 1);
        assert_eq!(fail(&mut schedule, NOW, kind), NOW, "{kind:?}");
        assert!(fail(&mut schedule, NOW, kind) > NOW, "{kind:?}");
    }
}

#[test]
fn those_that_fail_together_fail_once() {
    let mut schedule = with(8, 4);
    let all: Vec<_> = (0..4).map(|_| sent(schedule.next(NOW))).collect();
    let now = NOW + 60 * SECOND;
    for ticket in all {
        schedule.ended(now, ticket, failed(FaultKind::Network));
    }
    assert!(at(schedule.next(now)) <= now + 5 * SECOND);
}

#[test]
fn a_server_says_how_long_to_wait() {
    let mut schedule = with(8, 4);
    let ticket = sent(schedule.next(NOW));
    let end = End::Failed {
        kind: FaultKind::Throttled,
        retry_after: Some(600 * SECOND),
        session: 1,
    };
    schedule.ended(NOW, ticket, end);
    let next = at(schedule.next(NOW));
    assert!(next >= NOW + 600 * SECOND && next <= NOW + 750 * SECOND);
    // Then less at once, and more again while that goes well.
    let probe = sent(schedule.next(next));
    schedule.ended(next, probe, DELIVERED);
    let more: Vec<_> = (0..3).map(|_| sent(schedule.next(next))).collect();
    assert_eq!(schedule.next(next), Next::Idle);
    schedule.ended(next, more[0], DELIVERED);
    sent(schedule.next(next));
    sent(schedule.next(next));
    assert_eq!(schedule.next(next), Next::Idle);
}

/// Delivers the next one, which has to be this; gives what turns out to be poison.
fn deliver(schedule: &mut Schedule, now: Duration, number: u64, session: u64) -> Vec<Place> {
    let ticket = sent(schedule.next(now));
    assert_eq!(ticket.place.0, number);
    schedule.ended(now, ticket, End::Delivered { session })
}

#[test]
fn what_is_refused_while_others_pass_is_poison() {
    let mut schedule = with(4, 1);
    assert_eq!(fail(&mut schedule, NOW, FaultKind::Refused), NOW);
    assert!(deliver(&mut schedule, NOW, 2, 1).is_empty());
    assert!(deliver(&mut schedule, NOW, 3, 1).is_empty());
    // Once more, when a policy that was mended in between would hold.
    let later = NOW + 130 * SECOND;
    assert_eq!(fail(&mut schedule, later, FaultKind::Refused), later);
    assert_eq!(deliver(&mut schedule, later, 4, 1), [place(1)]);
    assert!(schedule.is_empty());
}

#[test]
fn what_a_policy_refused_that_was_mended_is_no_poison() {
    let mut schedule = with(3, 1);
    fail(&mut schedule, NOW, FaultKind::Refused);
    assert!(deliver(&mut schedule, NOW, 2, 1).is_empty());
    assert!(deliver(&mut schedule, NOW, 3, 1).is_empty());
    assert_eq!(at(schedule.next(NOW)), NOW + 120 * SECOND);
    let later = NOW + 120 * SECOND;
    assert!(deliver(&mut schedule, later, 1, 1).is_empty());
    assert!(schedule.is_empty());
}

#[test]
fn another_session_proves_nothing() {
    let mut schedule = with(2, 1);
    fail(&mut schedule, NOW, FaultKind::Refused);
    let second = sent(schedule.next(NOW));
    let end = End::Delivered { session: 2 };
    assert!(schedule.ended(NOW, second, end).is_empty());
    // With that one it is tried again.
    assert_eq!(sent(schedule.next(NOW)).place.0, 1);
}

#[test]
fn what_was_on_its_way_before_proves_nothing() {
    let mut schedule = with(2, 2);
    let (first, second) = (sent(schedule.next(NOW)), sent(schedule.next(NOW)));
    let later = NOW + SECOND;
    schedule.ended(later, first, failed(FaultKind::Refused));
    assert!(schedule.ended(later, second, DELIVERED).is_empty());
    assert!(at(schedule.next(later)) > later);
}

#[test]
fn what_everybody_is_refused_is_no_poison() {
    let mut schedule = with(100, 1);
    let mut now = NOW;
    let mut requests = 0;
    while now < NOW + 86_400 * SECOND {
        now = fail(&mut schedule, now, FaultKind::Refused);
        requests += 1;
    }
    assert!(requests < 86_400 / 450 + 20, "{requests}");
    assert_eq!(schedule.len(), 100);
    // A person has changed the policy: everything goes.
    let end = End::Delivered { session: 2 };
    for left in (0..100).rev() {
        let ticket = sent(schedule.next(now));
        assert!(schedule.ended(now, ticket, end).is_empty());
        assert_eq!(schedule.len(), left);
    }
}

#[test]
fn a_hundred_poisoned_ones_hold_nothing_up() {
    let mut schedule = with(150, 1);
    let (mut poison, mut requests, mut now) = (0, 0, NOW);
    while !schedule.is_empty() {
        match schedule.next(now) {
            Next::Send(ticket) => {
                requests += 1;
                let end = match ticket.place.0 {
                    ..=100 => failed(FaultKind::Refused),
                    _ => DELIVERED,
                };
                poison += schedule.ended(now, ticket, end).len();
            }
            Next::At(at) => now = at,
            Next::Idle => panic!("{} are left", schedule.len()),
        }
        // The last ones are alone: they wait for another one to pass.
        if schedule.len() + poison == 100 && requests % 10 == 0 {
            schedule.added(now, place(1000 + requests), 10, "bucket", None);
        }
    }
    assert_eq!(poison, 100);
    assert!(requests < 400, "{requests}");
    assert!(now - NOW < 3600 * SECOND, "{:?}", now - NOW);
}

#[test]
fn one_that_comes_while_another_is_refused_is_tried_soon() {
    let mut schedule = with(1, 1);
    let mut now = NOW;
    for _ in 0..21 {
        now = fail(&mut schedule, now, FaultKind::Refused);
    }
    fail(&mut schedule, now, FaultKind::Refused);
    schedule.added(now, place(2), 1000, "bucket", None);
    let soon = at(schedule.next(now));
    assert!(soon <= now + 10 * SECOND);
    assert!(deliver(&mut schedule, soon, 2, 1).is_empty());
}

#[test]
fn buckets_do_not_hold_up_each_other() {
    let mut schedule = with(1, 2);
    schedule.added(NOW, place(2), 1000, "other", None);
    assert_eq!(fail(&mut schedule, NOW, FaultKind::Place), NOW);
    let other = sent(schedule.next(NOW));
    assert_eq!(other.place.0, 2);
    assert!(schedule.ended(NOW, other, DELIVERED).is_empty());
    assert!(at(schedule.next(NOW)) > NOW);
}

#[test]
fn without_a_session_one_finds_out_for_all() {
    let mut schedule = with(4, 4);
    let all: Vec<_> = (0..4).map(|_| sent(schedule.next(NOW))).collect();
    let now = NOW + SECOND;
    for ticket in all {
        schedule.ended(now, ticket, End::NoSession(FailureKind::Temporary));
    }
    let next = at(schedule.next(now));
    assert!(next <= now + 5 * SECOND && next > now);
    let first = sent(schedule.next(next));
    assert_eq!(first.place.0, 1);
    assert_eq!(schedule.next(next), Next::Idle);
    schedule.ended(next, first, End::NoSession(FailureKind::Lasting));
    // Whoever makes sessions has one.
    schedule.session_changed(next);
    let first = sent(schedule.next(next));
    schedule.ended(next, first, DELIVERED);
    for _ in 0..3 {
        sent(schedule.next(next));
    }
}

#[test]
fn nothing_begins_while_the_window_is_closed() {
    let mut schedule = with(2, 1);
    let ticket = sent(schedule.next(NOW));
    let opens = NOW + 3600 * SECOND;
    schedule.shut(opens);
    schedule.ended(NOW, ticket, End::Stopped);
    assert_eq!(schedule.next(NOW), Next::At(opens));
    schedule.network_changed(NOW);
    schedule.asked(NOW);
    assert_eq!(schedule.next(NOW), Next::At(opens));
    assert_eq!(sent(schedule.next(opens)).place.0, 1);
}

#[test]
fn what_others_take_away_is_forgotten() {
    let mut schedule = with(1, 1);
    let ticket = sent(schedule.next(NOW));
    schedule.ended(NOW, ticket, End::Gone);
    assert!(schedule.is_empty());
}

#[test]
fn a_disk_that_lets_nothing_be_removed_holds_nothing_up() {
    let mut schedule = with(2, 1);
    let first = sent(schedule.next(NOW));
    schedule.ended(NOW, first, End::Stuck);
    let second = sent(schedule.next(NOW));
    assert_eq!(second.place.0, 2);
    schedule.ended(NOW, second, DELIVERED);
    let again = at(schedule.next(NOW));
    assert_eq!(sent(schedule.next(again)).place.0, 1);
}

#[test]
fn entries_under_the_same_key_follow_one_another() {
    let mut schedule = Schedule::new(7, 4);
    for (number, key) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "a")] {
        schedule.added(NOW, place(number), 1000, "bucket", Some(key));
    }
    // Known ones change nothing.
    schedule.added(NOW, place(2), 1000, "bucket", Some("a"));
    assert_eq!(schedule.len(), 5);
    let first = sent(schedule.next(NOW));
    let other = sent(schedule.next(NOW));
    assert_eq!((first.place.0, other.place.0), (1, 3));
    assert_eq!(schedule.next(NOW), Next::Idle);
    // One that fails is still before those that came after it.
    schedule.ended(NOW, first, failed(FaultKind::Server));
    schedule.ended(NOW, other, DELIVERED);
    let now = NOW + Duration::from_secs(3600);
    let again = sent(schedule.next(now));
    assert_eq!(again.place.0, 1);
    schedule.ended(now, again, DELIVERED);
    // What is set aside, or was dropped, holds nobody up.
    for (number, end) in [(2, End::SetAside), (4, End::Gone), (5, DELIVERED)] {
        let ticket = sent(schedule.next(now));
        assert_eq!(ticket.place.0, number);
        assert_eq!(schedule.next(now), Next::Idle);
        schedule.ended(now, ticket, end);
    }
    assert!(schedule.is_empty());
    // In another bucket the same key is another one.
    schedule.added(now, place(6), 1000, "bucket", Some("a"));
    schedule.added(now, place(7), 1000, "other", Some("a"));
    let six = sent(schedule.next(now));
    let seven = sent(schedule.next(now));
    assert_eq!((six.place.0, seven.place.0), (6, 7));
}

#[test]
fn what_is_refused_for_itself_lets_the_next_under_its_key_pass() {
    let mut schedule = Schedule::new(7, 1);
    for number in 1..=2 {
        schedule.added(NOW, place(number), 1000, "bucket", Some("refused"));
    }
    let mut now = NOW;
    let mut poison = vec![];
    // Others pass with the sessions with which it is refused, for long enough.
    for number in 3..2000 {
        schedule.added(now, place(number), 1000, "bucket", None);
        let ticket = match schedule.next(now) {
            Next::Send(ticket) => ticket,
            Next::At(at) => {
                now = at;
                continue;
            }
            Next::Idle => break,
        };
        let session = number / 20;
        let end = match ticket.place.0 {
            1 => End::Failed {
                kind: FaultKind::Refused,
                retry_after: None,
                session,
            },
            _ => End::Delivered { session },
        };
        assert_ne!(ticket.place.0, 2, "before the one that is older");
        poison.extend(schedule.ended(now, ticket, end));
        if !poison.is_empty() {
            break;
        }
        now += 10 * SECOND;
    }
    assert_eq!(poison, [place(1)]);
    let mut numbers = vec![];
    while let Next::Send(ticket) = schedule.next(now) {
        numbers.push(ticket.place.0);
        schedule.ended(now, ticket, DELIVERED);
    }
    assert!(numbers.contains(&2), "{numbers:?}");
}

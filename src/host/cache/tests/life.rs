//! How long credentials are given again.

use core::time::Duration;

use super::*;

#[test]
fn one_session_serves_until_it_is_too_short() {
    let scene = Scene::new();
    let wanted = wanted();
    let first = scene.obtain(&wanted, 3600);
    assert!(matches!(first.source, Source::New));
    scene.clocks.set(at(44 * MINUTE as i64));
    let again = scene.obtain(&wanted, 3600);
    assert!(matches!(again.source, Source::Cache));
    assert_eq!(again.credentials.access_key_id, "ASIA1");
    assert_eq!(*again.credentials.secret_access_key, "secret/key+");
    assert_eq!(*again.credentials.session_token, "token==");
    assert_eq!(again.credentials.expiration, wall(3600));
    assert_eq!(again.credentials.role_arn, first.credentials.role_arn);
    scene.clocks.set(at(45 * MINUTE as i64 + 1));
    assert_eq!(
        scene.obtain(&wanted, 3600).credentials.access_key_id,
        "ASIA2"
    );
}

#[test]
fn how_long_is_enough() {
    let enough = |life: u64, min_life: Option<u64>| {
        let entry = Entry {
            life: Duration::from_secs(life),
            credentials: credentials(0, wall(life as i64)),
            ..entry()
        };
        let scene = Scene::new();
        let wanted = Wanted {
            min_life: min_life.map(Duration::from_secs),
            ..wanted()
        };
        scene.cache.store(&wanted.key, &entry).unwrap();
        let is_hit = |left: u64| {
            scene.clocks.set(at((life - left) as i64));
            let found = scene.attempt(&wanted, || Err(Fails::Refused));
            found.is_ok()
        };
        (1..=life).find(|left| is_hit(*left))
    };
    assert_eq!(enough(3600, None), Some(15 * MINUTE));
    assert_eq!(enough(1800, None), Some(15 * MINUTE));
    assert_eq!(enough(1200, None), Some(10 * MINUTE));
    assert_eq!(enough(900, None), Some(450));
    assert_eq!(enough(900, Some(300)), Some(300));
    assert_eq!(enough(900, Some(0)), Some(61));
    assert_eq!(enough(900, Some(1000)), None);
}

#[test]
fn no_clock_revives_what_has_expired() {
    let entry = entry();
    let left = |now: Moment| entry.left(&now).as_secs();
    assert_eq!(left(at(600)), 3000);
    assert_eq!(left(at(3600)), 0);
    assert_eq!(left(at(1_000_000)), 0);
    // Set back, or set forward: the nearer end counts.
    let with_wall = |secs| Moment {
        wall: wall(secs),
        ..at(600)
    };
    assert_eq!(left(with_wall(-100_000)), 3000);
    assert_eq!(left(with_wall(3590)), 10);
    assert_eq!(left(with_wall(4000)), 0);
    let expired = Moment {
        wall: wall(0),
        ..at(3600)
    };
    assert_eq!(left(expired), 0);
    // Of the future by the clock that nobody can set.
    assert_eq!(left(at(-1)), 0);
    let rebooted = Moment {
        boot: boot('2'),
        ..at(600)
    };
    assert_eq!(left(rebooted), 0);
}

#[test]
fn what_the_service_says_is_bounded() {
    let scene = Scene::new();
    let wanted = wanted();
    let create = |expiration, date| {
        move || {
            Ok(Created {
                credentials: credentials(0, expiration),
                date,
                asked: at(0),
            })
        }
    };
    // Its clock stands two days before ours, or it speaks of the year 2033.
    for (expiration, date) in [(wall(3600), wall(-172_800)), (wall(200_000_000), wall(0))] {
        scene
            .attempt(&wanted, create(expiration, Some(date)))
            .unwrap();
        let kept = scene.cache.entry(&wanted.key).unwrap();
        assert_eq!(kept.life, Duration::from_secs(3600));
        scene.cache.clear().unwrap();
    }
    // Nobody knows how long these live, and these hardly do.
    for (expiration, date, says) in [
        (wall(3600), None, "no Date"),
        (wall(3600), Some(wall(3590)), "too short"),
        (wall(30), Some(wall(0)), "too short"),
    ] {
        scene.attempt(&wanted, create(expiration, date)).unwrap();
        assert_eq!(scene.cache.entry(&wanted.key).unwrap_err(), Miss::None);
        let events = scene.events.borrow();
        assert!(events.last().unwrap().contains(says), "{events:?}");
    }
}

#[test]
fn a_failure_leaves_what_still_lives() {
    let scene = Scene::new();
    let wanted = wanted();
    assert!(scene.is_new(&wanted, 3600));
    let failed = |fails| scene.attempt(&wanted, || Err(fails));
    for (left, fails) in [(600, Fails::Network), (599, Fails::Pin)] {
        scene.clocks.set(at(3600 - left));
        let found = failed(fails).unwrap();
        let Source::Remaining { left: lives, error } = found.source else {
            panic!("{:?}", found.source);
        };
        assert_eq!((lives.as_secs() as i64, error), (left, fails));
        assert_eq!(found.credentials.access_key_id, "ASIA1");
    }
    scene.clocks.set(at(3002));
    assert_eq!(failed(Fails::Refused).unwrap_err(), Fails::Refused);
    scene.clocks.set(at(59 * MINUTE as i64));
    assert_eq!(failed(Fails::Network).unwrap_err(), Fails::Network);
}

#[cfg(target_os = "linux")]
#[test]
fn the_systems_clocks_go() {
    let wall = std::sync::Arc::new(crate::host::clock::HostClock::new(None));
    let clocks = SystemClocks::new(wall).unwrap();
    let (one, other) = (clocks.now(), clocks.now());
    assert_eq!(one.boot, other.boot);
    assert!(one.since_boot > Duration::ZERO && one.since_boot <= other.since_boot);
    assert!(BootId::parse("../../etc/passwd").is_none());
}

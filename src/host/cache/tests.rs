//! The cache as a whole, with clocks that are set by hand.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::string::{String, ToString as _};
use std::thread;
use std::vec::Vec;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: u64 = 60;

fn boot(digit: char) -> BootId {
    let text: String = "00000000-0000-0000-0000-000000000000".replace('0', &digit.to_string());
    BootId::parse(&text).unwrap()
}

fn wall(secs: i64) -> UnixTime {
    UnixTime::from_secs(1_800_000_000).offset_by(secs)
}

/// Clocks at so many seconds after the start of a test.
fn at(secs: i64) -> Moment {
    Moment {
        boot: boot('1'),
        since_boot: Duration::from_secs(1000).saturating_add_signed(secs),
        wall: wall(secs),
    }
}

trait AddSigned {
    fn saturating_add_signed(self, secs: i64) -> Duration;
}

impl AddSigned for Duration {
    fn saturating_add_signed(self, secs: i64) -> Duration {
        Duration::from_secs(self.as_secs().saturating_add_signed(secs))
    }
}

/// Clocks that stand until they are set.
struct Hands(RefCell<Moment>);

impl Hands {
    fn at(moment: Moment) -> Self {
        Self(RefCell::new(moment))
    }

    fn set(&self, moment: Moment) {
        *self.0.borrow_mut() = moment;
    }
}

impl Clocks for Hands {
    fn now(&self) -> Moment {
        self.0.borrow().clone()
    }
}

fn credentials(number: usize, expiration: UnixTime) -> Credentials {
    Credentials {
        access_key_id: std::format!("ASIA{number}"),
        secret_access_key: Zeroizing::new("secret/key+".to_owned()),
        session_token: Zeroizing::new("token==".to_owned()),
        expiration,
        role_arn: "arn:aws:iam::111122223333:role/R".to_owned(),
    }
}

fn wanted() -> Wanted {
    let mut key = KeyBuilder::new();
    key.value("role", b"R");
    Wanted {
        key: key.finish(),
        identity: "hub".to_owned(),
        certificate: "/etc/hub.pem".to_owned(),
        min_life: None,
        session: Duration::from_secs(3600),
        patience: PATIENCE,
    }
}

/// An entry of an hour, asked for at the start.
fn entry() -> Entry {
    Entry {
        identity: "hub".to_owned(),
        certificate: "/etc/hub.pem".to_owned(),
        credentials: credentials(0, wall(3600)),
        asked: at(0),
        life: Duration::from_secs(3600),
    }
}

struct Scene {
    folder: tempfile::TempDir,
    cache: Cache,
    clocks: Hands,
    sessions: Cell<usize>,
    events: RefCell<Vec<String>>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&Place::chosen(folder.path().join("a/cache"))).unwrap();
        Self {
            folder,
            cache,
            clocks: Hands::at(at(0)),
            sessions: Cell::default(),
            events: RefCell::default(),
        }
    }

    /// Credentials with their source, of a service that begins sessions of `life` seconds.
    fn obtain(&self, wanted: &Wanted, life: i64) -> Obtained<&'static str> {
        let create = || {
            self.sessions.set(self.sessions.get() + 1);
            let now = self.clocks.now();
            let expiration = now.wall.offset_by(life);
            Ok(Created {
                credentials: credentials(self.sessions.get(), expiration),
                date: Some(now.wall),
                asked: now,
            })
        };
        self.attempt(wanted, create, true).unwrap()
    }

    fn attempt(
        &self,
        wanted: &Wanted,
        create: impl FnOnce() -> Result<Created, &'static str>,
        may_use_remaining: bool,
    ) -> Result<Obtained<&'static str>, &'static str> {
        self.cache.obtain(
            wanted,
            &self.clocks,
            create,
            |_| may_use_remaining,
            &mut |event| self.events.borrow_mut().push(event.to_string()),
        )
    }

    fn is_new(&self, wanted: &Wanted, life: i64) -> bool {
        matches!(self.obtain(wanted, life).source, Source::New)
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.cache.path().join(name)
    }

    fn entry_path(&self) -> PathBuf {
        self.path(wanted().key.to_string())
    }
}

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
            let found = scene.attempt(&wanted, || Err("asked"), false);
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
            .attempt(&wanted, create(expiration, Some(date)), false)
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
        scene
            .attempt(&wanted, create(expiration, date), false)
            .unwrap();
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
    scene.clocks.set(at(50 * MINUTE as i64));
    let failed = || Err("no network");
    let found = scene.attempt(&wanted, failed, true).unwrap();
    let Source::Remaining { left, error } = found.source else {
        panic!("{:?}", found.source);
    };
    assert_eq!((left.as_secs(), error), (10 * MINUTE, "no network"));
    assert_eq!(found.credentials.access_key_id, "ASIA1");
    assert_eq!(
        scene.attempt(&wanted, failed, false).unwrap_err(),
        "no network"
    );
    scene.clocks.set(at(59 * MINUTE as i64));
    assert_eq!(
        scene.attempt(&wanted, failed, true).unwrap_err(),
        "no network"
    );
}

#[test]
fn what_is_damaged_or_foreign_is_replaced() {
    let scene = Scene::new();
    let wanted = wanted();
    assert!(scene.is_new(&wanted, 3600));
    let path = scene.entry_path();
    let whole = fs::read(&path).unwrap();
    let moved = scene.folder.path().join("moved");
    let spoil = |contents: &[u8]| fs::write(&path, contents).unwrap();
    let other_version = String::from_utf8(whole.clone())
        .unwrap()
        .replace("keystead-cache-1", "keystead-cache-2");
    let ways: &[(&str, &dyn Fn())] = &[
        ("damaged", &|| spoil(b"")),
        ("damaged", &|| spoil(&whole[..whole.len() / 2])),
        ("damaged", &|| spoil(&[&whole[..], b"x"].concat())),
        ("damaged", &|| spoil(&[0xff; 5000])),
        ("damaged", &|| spoil(&whole.repeat(100))),
        ("another version", &|| spoil(other_version.as_bytes())),
        ("it is a link", &|| {
            fs::rename(&path, &moved).unwrap();
            symlink(&moved, &path).unwrap();
        }),
        ("it is a link", &|| {
            fs::remove_file(&moved).unwrap();
            fs::hard_link(&path, &moved).unwrap();
        }),
        ("others have access", &|| {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        }),
        ("nothing is there", &|| fs::remove_file(&path).unwrap()),
    ];
    for (why, spoil) in ways {
        assert!(!scene.is_new(&wanted, 3600), "{why}");
        spoil();
        scene.events.borrow_mut().clear();
        assert!(scene.is_new(&wanted, 3600), "{why}");
        let events = scene.events.borrow();
        assert!(events[0].contains(why), "{why}: {events:?}");
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode, 0o100_600);
    }
    // Nothing was written through the links.
    assert_eq!(fs::metadata(&moved).unwrap().len(), whole.len() as u64);
    // What is no file cannot be replaced, and is no obstacle.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(scene.is_new(&wanted, 3600));
}

#[test]
fn another_keys_entry_is_not_taken() {
    let scene = Scene::new();
    let ours = wanted();
    assert!(scene.is_new(&ours, 3600));
    let mut key = KeyBuilder::new();
    key.value("role", b"Other");
    let other = Wanted {
        key: key.finish(),
        ..wanted()
    };
    fs::copy(scene.entry_path(), scene.path(other.key.to_string())).unwrap();
    assert!(scene.is_new(&other, 3600));
}

#[test]
fn many_at_once_begin_one_session() {
    let scene = Scene::new();
    let sessions = AtomicUsize::new(0);
    let cache = &scene.cache;
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let create = || {
                    sessions.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, ()>(Created {
                        credentials: credentials(1, wall(3600)),
                        date: Some(wall(0)),
                        asked: at(0),
                    })
                };
                let clocks = Hands::at(at(0));
                let found = cache.obtain(&wanted(), &clocks, create, |()| false, &mut |_| {});
                assert_eq!(found.unwrap().credentials.access_key_id, "ASIA1");
            });
        }
    });
    assert_eq!(sessions.into_inner(), 1);
}

#[test]
fn who_hangs_or_dies_with_the_lock_stops_nobody() {
    let scene = Scene::new();
    let lock = |which: &str| {
        let path = scene.path(std::format!("{}{which}", wanted().key));
        let mut holder = Command::new("flock");
        holder
            .arg("--close")
            .arg(path)
            .args(["sh", "-c", "echo; read end"]);
        let mut holder = holder
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
        holder
    };
    let impatient = Wanted {
        patience: Duration::from_millis(5),
        ..wanted()
    };
    // One hangs: the others line up at the second lock.
    let mut first = lock(".lock");
    assert!(scene.is_new(&impatient, 3600));
    assert!(!scene.is_new(&impatient, 3600));
    scene.cache.clear().unwrap();
    // Two hang.
    let mut second = lock(".lock2");
    scene.events.borrow_mut().clear();
    assert!(scene.is_new(&impatient, 3600));
    let events = scene.events.borrow().join("\n");
    assert!(events.contains("asking without it"), "{events}");
    scene.cache.clear().unwrap();
    // One dies while another waits for it.
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let clocks = Hands::at(at(0));
            let create = || {
                Ok::<_, ()>(Created {
                    credentials: credentials(7, wall(3600)),
                    date: Some(wall(0)),
                    asked: at(0),
                })
            };
            let cache = Cache::open(&Place::chosen(scene.folder.path().join("a/cache")));
            let mut waits = |event: &Event<'_>| {
                if matches!(event, Event::Waiting) {
                    first.kill().unwrap();
                }
            };
            let found = cache
                .unwrap()
                .obtain(&wanted(), &clocks, create, |()| false, &mut waits);
            found.unwrap().credentials.access_key_id
        });
        assert_eq!(waiting.join().unwrap(), "ASIA7");
    });
    second.kill().unwrap();
    for mut holder in [first, second] {
        holder.wait().unwrap();
    }
}

#[test]
fn nothing_useless_is_left() {
    let scene = Scene::new();
    let mut key = KeyBuilder::new();
    key.value("role", b"Old");
    let old = Wanted {
        key: key.finish(),
        ..wanted()
    };
    assert!(scene.is_new(&old, 900));
    let begun = scene.path(std::format!("{}.0123.new", old.key));
    fs::write(&begun, "half an ent").unwrap();
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(&begun).unwrap();
    file.set_modified(long_ago).unwrap();
    fs::write(scene.path("other.new"), "being written").unwrap();
    fs::write(scene.path("somebody's"), "").unwrap();
    scene.clocks.set(at(1000));
    assert!(scene.is_new(&wanted(), 3600));
    let names = || {
        let names = fs::read_dir(scene.cache.path()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let key = wanted().key;
    let locked = std::format!("{key}.lock");
    let expected = [&*key.to_string(), &locked, "other.new", "somebody's"];
    assert_eq!(names(), expected);
    assert_eq!(scene.cache.clear().unwrap(), 1);
    assert_eq!(names(), ["other.new", "somebody's"]);
}

#[test]
fn what_is_listed() {
    let scene = Scene::new();
    assert!(scene.is_new(&wanted(), 3600));
    let damaged = scene.path("0".repeat(64));
    fs::write(&damaged, "damaged").unwrap();
    fs::set_permissions(&damaged, fs::Permissions::from_mode(0o600)).unwrap();
    let listed = scene.cache.entries().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0].entry.as_ref().unwrap_err(), &Miss::Damaged);
    let entry = listed[1].entry.as_ref().unwrap();
    assert_eq!(
        (&*entry.identity, &*entry.certificate),
        ("hub", "/etc/hub.pem")
    );
    let shown = std::format!("{listed:?}");
    assert!(!shown.contains("secret/key") && !shown.contains("token=="));
}

#[test]
fn places() {
    let folder = tempfile::tempdir().unwrap();
    let why = |place: &Place| Cache::open(place).unwrap_err().to_string();
    let chosen = folder.path().join("chosen");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    assert!(Cache::existing(&Place::chosen(&chosen)).unwrap().is_none());
    Cache::open(&Place::chosen(&chosen)).unwrap();
    assert_eq!(fs::metadata(&chosen).unwrap().permissions().mode(), 0o40700);
    mode(&chosen, 0o750);
    let says = why(&Place::chosen(&chosen));
    assert!(
        says.ends_with("others have access to it (mode 0750)"),
        "{says}"
    );
    mode(&chosen, 0o700);
    let link = folder.path().join("link");
    symlink(&chosen, &link).unwrap();
    assert!(why(&Place::chosen(&link)).contains("it is a link"));
    assert!(why(&Place::chosen("/proc/keystead")).starts_with("/proc/keystead: "));

    // The usual places are in memory.
    let base = folder.path();
    assert!(why(&Place::of_user("run")).contains("has to begin with a slash"));
    assert!(why(&Place::of_user(base.join("none"))).contains("No such file"));
    mode(base, 0o770);
    assert!(why(&Place::of_user(base)).contains("others can write to it"));
    mode(base, 0o700);
    fs::create_dir(base.join("keystead")).unwrap();
    symlink(&chosen, base.join("keystead/cache")).unwrap();
    assert!(why(&Place::of_user(base)).contains("it is a link"));
    assert!(why(&Place::of_user("/proc/self")).starts_with("/proc/self"));
}

proptest! {
    #[test]
    fn any_entry_is_read_as_it_was_written(
        texts in proptest::array::uniform3("\\PC{0,40}"),
        secrets in proptest::array::uniform3("[!-~]{1,60}"),
        since in 0..u64::MAX / 2,
        life in 0..100_000_000u64,
        expiration in 0..250_000_000_000u64,
    ) {
        let [identity, certificate, role_arn] = texts;
        let [access_key_id, secret, token] = secrets;
        let entry = Entry {
            identity,
            certificate,
            credentials: Credentials {
                access_key_id,
                secret_access_key: Zeroizing::new(secret),
                session_token: Zeroizing::new(token),
                expiration: UnixTime::from_secs(expiration),
                role_arn,
            },
            asked: Moment {
                since_boot: Duration::from_millis(since),
                ..at(0)
            },
            life: Duration::from_millis(life),
        };
        let key = wanted().key;
        let text = entry.text(&key).unwrap();
        let read = Entry::parse(text.as_bytes(), &key).unwrap();
        prop_assert_eq!(read.text(&key).unwrap(), text);
        prop_assert_eq!(read.asked, entry.asked);
        prop_assert_eq!(read.life, entry.life);
        prop_assert_eq!(&read.credentials.session_token, &entry.credentials.session_token);
        prop_assert_eq!(&read.credentials.secret_access_key, &entry.credentials.secret_access_key);
    }

    #[test]
    fn every_damage_shows(place in any::<proptest::sample::Index>(), bit in 0..8u8) {
        let key = wanted().key;
        let mut text = entry().text(&key).unwrap().as_bytes().to_owned();
        let place = place.index(text.len());
        text[place] ^= 1 << bit;
        prop_assert!(Entry::parse(&text, &key).is_err());
        prop_assert!(Entry::parse(&text[..place], &key).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        prop_assert!(Entry::parse(&bytes, &wanted().key).is_err());
    }

    #[test]
    fn no_clocks_lengthen_a_life(boot_secs in 0..10_000u64, wall_secs in -10_000..10_000i64) {
        let now = Moment {
            since_boot: Duration::from_secs(boot_secs),
            wall: wall(wall_secs),
            ..at(0)
        };
        let left = entry().left(&now).as_secs() as i64;
        prop_assert!(left <= (3600 - wall_secs).max(0));
        prop_assert!(left <= (4600 - boot_secs as i64).max(0));
    }
}

#[test]
fn a_value_with_a_line_break_is_not_kept() {
    let mut entry = entry();
    entry.credentials.session_token = Zeroizing::new("to\nken".to_owned());
    let scene = Scene::new();
    let why = scene.cache.store(&wanted().key, &entry).unwrap_err();
    assert!(why.to_string().contains("cannot be kept"), "{why}");
    assert!(scene.cache.entries().unwrap().is_empty());
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

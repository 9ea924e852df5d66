//! Files and folders, and what others may have put there.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;

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
    let other = Wanted {
        key: key("Other"),
        ..wanted()
    };
    fs::copy(scene.entry_path(), scene.path(other.key.to_string())).unwrap();
    assert!(scene.is_new(&other, 3600));
}

#[test]
fn nothing_useless_is_left() {
    let scene = Scene::new();
    let old = Wanted {
        key: key("Old"),
        ..wanted()
    };
    assert!(scene.is_new(&old, 900));
    let begun = scene.path(std::format!("{}.0123.new", old.key));
    fs::write(&begun, "half an ent").unwrap();
    is_long_ago(&begun);
    fs::write(scene.path("other.new"), "being written").unwrap();
    // What another version may still use, and what it cannot.
    let [later, earlier] = ["Later", "Earlier"].map(|role| key(role).to_string());
    for name in [&later, &earlier] {
        fs::write(scene.path(name), "keystead-cache-2\n").unwrap();
        fs::set_permissions(scene.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    is_long_ago(&scene.path(&earlier));
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
    let mut expected = [
        &*key.to_string(),
        &locked,
        &later,
        "other.new",
        "somebody's",
    ];
    expected.sort_unstable();
    assert_eq!(names(), expected);
    assert_eq!(scene.cache.clear().unwrap(), 2);
    assert_eq!(names(), ["other.new", "somebody's"]);
}

fn is_long_ago(path: &Path) {
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(long_ago).unwrap();
}

#[test]
fn an_entry_that_somebody_is_about_to_replace_is_not_removed() {
    let scene = Scene::new();
    let key = wanted().key;
    let is_there = || scene.entry_path().exists();
    assert!(scene.is_new(&wanted(), 3600));
    for which in [".lock", ".lock2"] {
        let held = scene.cache.try_lock(&key, which).unwrap().unwrap();
        scene.cache.clean(&at(4000));
        assert!(is_there(), "{which}");
        drop(held);
    }
    // It was replaced between the first look and the lock.
    let looks = Cell::new(0);
    scene.cache.remove_if(&key, || {
        looks.set(looks.get() + 1);
        looks.get() == 1
    });
    assert_eq!((looks.get(), is_there()), (2, true));
    scene.cache.clean(&at(4000));
    assert_eq!(fs::read_dir(scene.cache.path()).unwrap().count(), 0);
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

#[test]
fn a_value_with_a_line_break_is_not_kept() {
    let mut entry = entry();
    entry.credentials.session_token = Zeroizing::new("to\nken".to_owned());
    let scene = Scene::new();
    let why = scene.cache.store(&wanted().key, &entry).unwrap_err();
    assert!(why.to_string().contains("cannot be kept"), "{why}");
    assert!(scene.cache.entries().unwrap().is_empty());
}

#[test]
fn an_entry_that_cannot_be_removed_keeps_no_other() {
    let scene = Scene::new();
    assert!(scene.is_new(&wanted(), 3600));
    // The first is a folder, so cannot be; the second was there when the folder was read.
    let [folder, gone] = ["0", "1"].map(|digit| digit.repeat(64));
    fs::create_dir(scene.path(&folder)).unwrap();
    let names = [folder.clone(), gone, wanted().key.to_string()];
    scene.cache.clear_named(&names).unwrap_err();
    assert!(!scene.entry_path().exists());
    assert!(scene.is_new(&wanted(), 3600));
    assert_eq!(scene.cache.clear_named(&names[1..]).unwrap(), 1);
    assert!(scene.is_new(&wanted(), 3600));
    scene.cache.clear().unwrap_err();
    assert!(!scene.entry_path().exists());
    fs::remove_dir(scene.path(&folder)).unwrap();
    assert_eq!(scene.cache.clear().unwrap(), 0);
}

#[test]
fn a_lock_in_the_place_of_the_one_that_was_opened_stays() {
    let scene = Scene::new();
    let key = wanted().key;
    let name = std::format!("{key}.lock");
    drop(scene.cache.try_lock(&key, ".lock").unwrap().unwrap());
    let opened = fs::File::open(scene.path(&name)).unwrap();
    fs::remove_file(scene.path(&name)).unwrap();
    let held = scene.cache.try_lock(&key, ".lock").unwrap().unwrap();
    scene.cache.remove_opened_lock(&name, opened);
    assert!(scene.path(&name).exists());
    assert!(scene.cache.try_lock(&key, ".lock").unwrap().is_none());
    // Nor is one that is held, but one that nobody holds is.
    let open = || fs::File::open(scene.path(&name)).unwrap();
    scene.cache.remove_opened_lock(&name, open());
    assert!(scene.path(&name).exists());
    drop(held);
    scene.cache.remove_opened_lock(&name, open());
    assert!(!scene.path(&name).exists());
}

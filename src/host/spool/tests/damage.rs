//! What somebody else has put there, and what a disk has made of it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::string::ToString as _;
use std::vec::Vec;

use super::*;

#[test]
fn each_byte_of_a_trailer_matters() {
    let folder = memory();
    let spool = Spool::open(folder.path(), options()).unwrap();
    let added = spool.add(&mut &b"content"[..], naming("key")).unwrap();
    let path = folder.path().join("entries").join(added.id.to_string());
    let whole = fs::read(&path).unwrap();
    assert!(whole.starts_with(b"content{"));
    for index in 7..whole.len() {
        let mut damaged = whole.clone();
        damaged[index] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let opened = spool.open_entry(added.id);
        assert!(matches!(opened, Err(SpoolError::Damaged { .. })), "{index}");
    }
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let opened = spool.open_entry(added.id);
        assert!(
            matches!(opened, Err(SpoolError::Damaged { .. })),
            "{length}"
        );
    }
    // It is seen, so that it can be set aside, and what is added again takes its place.
    assert_eq!(spool.queue().unwrap().len(), 1);
    assert_eq!(spool.entries().unwrap(), []);
    assert!(
        spool
            .add(&mut &b"content"[..], naming("key"))
            .unwrap()
            .is_new
    );
    assert_eq!(
        content(&spool.open_entry(added.id).unwrap().unwrap()),
        b"content"
    );
    fs::write(&path, "").unwrap();
    assert!(spool.set_aside(added.id, &reason()).unwrap());
    assert_eq!(spool.aside().unwrap()[0].head, None);
    assert_eq!(spool.discard(&Selection::All).unwrap(), 1);
    // Under another entry's name it is none.
    fs::write(path.with_file_name("0".repeat(32)), whole).unwrap();
    let opened = spool.open_entry(EntryId([0; 16]));
    assert!(matches!(opened, Err(SpoolError::Damaged { .. })));
}

#[test]
fn links_are_not_followed() {
    let folder = memory();
    let secret = memory();
    let spool = Spool::open(folder.path(), options()).unwrap();
    let added = spool.add(&mut &b"content"[..], naming("key")).unwrap();
    let path = folder.path().join("entries").join(added.id.to_string());
    let elsewhere = secret.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(matches!(
        spool.open_entry(added.id),
        Err(SpoolError::Damaged { .. })
    ));
    fs::remove_file(&path).unwrap();
    // A second name of somebody's file, on the same file system.
    let (first, second) = (folder.path().join("first"), &path);
    fs::copy(&elsewhere, &first).unwrap();
    fs::hard_link(&first, second).unwrap();
    assert!(matches!(
        spool.open_entry(added.id),
        Err(SpoolError::Damaged { .. })
    ));
    assert!(
        spool
            .add(&mut &b"content"[..], naming("key"))
            .unwrap()
            .is_new
    );
    assert!(spool.open_entry(added.id).unwrap().is_some());
    assert_eq!(fs::read(first).unwrap(), fs::read(elsewhere).unwrap());
    // Nor is a folder.
    let tmp = folder.path().join("tmp");
    fs::remove_dir(&tmp).unwrap();
    symlink(secret.path(), &tmp).unwrap();
    let error = Spool::open(folder.path(), options()).unwrap_err();
    assert!(error.to_string().contains("it is a link"), "{error}");
}

#[test]
fn what_is_no_spool_stays_as_it_is() {
    let folder = memory();
    fs::write(folder.path().join("letter"), "dear").unwrap();
    let error = Spool::open(folder.path(), options()).unwrap_err();
    assert!(matches!(error, SpoolError::NotASpool { .. }), "{error}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    let folder = memory();
    let path = folder.path().join("a").join("b").join("spool");
    Spool::open(&path, options()).unwrap();
    fs::write(path.join("format"), "keystead spool 2\n").unwrap();
    let error = Spool::open(&path, options()).unwrap_err();
    assert!(error.to_string().contains("another version"), "{error}");
    // What a loss of power, or a kill, can make of it while the spool is being made.
    for format in ["", "keyst", "\0\0\0"] {
        fs::write(path.join("format"), format).unwrap();
        Spool::open(&path, options()).unwrap();
        assert_eq!(
            fs::read(path.join("format")).unwrap(),
            b"keystead spool 1\n"
        );
    }
    fs::remove_file(path.join("format")).unwrap();
    Spool::open(&path, options()).unwrap();
    let file = path.join("entries").join("file");
    fs::write(&file, "").unwrap();
    assert!(Spool::open(&file, options()).is_err());
}

#[test]
fn modes() {
    let folder = memory();
    let group = fs::metadata(folder.path()).unwrap().gid();
    for (group, folders, files) in [(None, 0o700, 0o600), (Some(group), 0o2770, 0o660)] {
        let path = folder.path().join(std::format!("{folders:o}"));
        let options = Options { group, ..options() };
        let spool = Spool::open(&path, options).unwrap();
        let added = spool.add(&mut &b"x"[..], naming("x")).unwrap();
        let aside = spool.add(&mut &b"y"[..], naming("y")).unwrap();
        spool.set_aside(aside.id, &reason()).unwrap();
        spool.lock_run().unwrap();
        let mode = |name: &str| {
            let metadata = fs::metadata(path.join(name)).unwrap();
            metadata.permissions().mode() & 0o7777
        };
        for name in ["", "tmp", "entries", "aside", "journal"] {
            assert_eq!(mode(name), folders, "{name}");
        }
        let entry = std::format!("entries/{}", added.id);
        let reason = std::format!("aside/{}.reason", aside.id);
        for name in [&entry, &reason, "lock", "run", "format"] {
            assert_eq!(mode(name), files, "{name}");
        }
    }
}

#[test]
fn what_is_remembered_of_uploads_goes_with_its_entry() {
    let folder = memory();
    let spool = Spool::open(folder.path(), options()).unwrap();
    let ids: Vec<_> = ["a", "b"]
        .iter()
        .map(|key| spool.add(&mut &b"x"[..], naming(key)).unwrap().id)
        .collect();
    let journal = |id: &EntryId| folder.path().join("journal").join(id.to_string());
    for id in &ids {
        fs::write(journal(id), "part").unwrap();
    }
    let orphan = journal(&EntryId([1; 16]));
    fs::write(&orphan, "part").unwrap();
    spool.remove(ids[0]).unwrap();
    assert!(!journal(&ids[0]).exists());
    spool.lock_run().unwrap();
    assert!(journal(&ids[1]).exists());
    assert!(!orphan.exists());
    // Also when it is set aside, until a person has no more use for it.
    spool.set_aside(ids[1], &reason()).unwrap();
    let reason = folder.path().join("aside").join("1".repeat(32) + ".reason");
    fs::write(&reason, "{}").unwrap();
    spool.lock_run().unwrap();
    assert!(journal(&ids[1]).exists());
    assert!(!reason.exists());
    assert!(spool.aside().unwrap()[0].reason.is_some());
    spool.discard(&Selection::All).unwrap();
    assert!(!journal(&ids[1]).exists());
}

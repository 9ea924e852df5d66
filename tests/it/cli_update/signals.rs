//! How `keystead update` ends, and what it leaves.

use std::fs;

use super::*;

fn start(scene: &Scene, more: &[&str]) -> Updating {
    let log = scene.workshop.path("log");
    let updating = Updating::start(&mut scene.command(more), log);
    until("the first credentials", || id(&scene.usual(), "default"));
    updating.says("profile default in ");
    updating
}

#[test]
fn what_it_leaves_when_it_is_stopped() {
    let scene = Scene::new();
    for signal in ["TERM", "INT"] {
        let mut updating = start(&scene, &[]);
        updating.signal(signal);
        let (status, log) = updating.end();
        assert!(status.success(), "{log}");
        assert!(id(&scene.usual(), "default").is_some());
    }
    let mut updating = start(&scene, &["--remove-at-exit"]);
    updating.signal("TERM");
    let (status, log) = updating.end();
    assert!(status.success(), "{log}");
    assert_eq!(
        fs::read_to_string(scene.usual()).expect("text"),
        "[default]\n"
    );
}

#[test]
fn another_certificate() {
    let scene = Scene::new();
    let mut updating = start(&scene, &[]);
    let old = id(&scene.usual(), "default");
    scene.workshop.certificate(
        "hub",
        "root",
        "-sha256 -days 3",
        crate::support::openssl::LEAF,
    );
    updating.signal("HUP");
    until("others", || {
        id(&scene.usual(), "default").filter(|id| Some(id) != old.as_ref())
    });
    updating.signal("TERM");
    let (status, log) = updating.end();
    assert!(status.success(), "{log}");
}

/// A link to nothing yet, in a folder of its own: also a program that is confined gets there.
#[test]
fn a_link_to_nothing_yet() {
    let scene = Scene::new();
    let home = scene.workshop.path(".aws");
    fs::create_dir(&home).expect("a folder");
    fs::create_dir(scene.workshop.path("dotfiles")).expect("a folder");
    std::os::unix::fs::symlink("../dotfiles/aws", home.join("credentials")).expect("a link");
    let mut updating = start(&scene, &[]);
    assert!(id(&scene.workshop.path("dotfiles/aws"), "default").is_some());
    updating.signal("TERM");
    assert!(updating.end().0.success());
}

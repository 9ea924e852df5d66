use super::super::{container_path, is_name};
use super::*;

const AUTHORIZATION: (&str, &str) = ("Authorization", TOKEN);

#[test]
fn websites_are_refused() {
    let mut scene = Scene::new();
    for (listener, path) in [
        (CONTAINER, "/credentials/hub"),
        (CONTAINER, "/metrics"),
        (CONTAINER, "/healthz"),
        (IMDS, "/latest/meta-data/iam/security-credentials/"),
    ] {
        let with = [("Host", "rebound.example:9912"), AUTHORIZATION];
        assert_eq!(scene.get(listener, path, &with).status, 403, "{path}");
        for origin in ["https://rebound.example", "null", ""] {
            let with = [("Origin", origin), AUTHORIZATION];
            assert_eq!(scene.get(listener, path, &with).status, 403, "{path}");
        }
    }
    let twice = [("Host", "127.0.0.1"), ("Host", "127.0.0.1"), AUTHORIZATION];
    assert_eq!(scene.get(CONTAINER, "/credentials/hub", &twice).status, 400);
    assert_eq!(scene.hub.borrow().asked, 0);
}

#[test]
fn where_no_browser_comes_any_host_is_taken() {
    let mut scene = Scene::new();
    scene.site.doors[CONTAINER].hosts = None;
    let with = [("Host", "hub.example"), AUTHORIZATION];
    assert_eq!(scene.get(CONTAINER, "/credentials/hub", &with).status, 200);
    let with = [("Origin", "https://hub.example"), AUTHORIZATION];
    assert_eq!(scene.get(CONTAINER, "/credentials/hub", &with).status, 403);
}

#[test]
fn other_machines_are_told_nothing_without_the_token() {
    let mut scene = Scene::new();
    for path in ["/healthz", "/metrics"] {
        assert_eq!(scene.get(CONTAINER, path, &[]).status, 200, "{path}");
    }
    scene.site.doors[CONTAINER].is_remote = true;
    for path in ["/healthz", "/metrics"] {
        assert_eq!(scene.get(CONTAINER, path, &[]).status, 401, "{path}");
        assert_eq!(scene.get(CONTAINER, path, &[AUTHORIZATION]).status, 200);
    }
}

#[test]
fn a_door_that_is_not_there() {
    assert_eq!(Scene::new().get(9, "/metrics", &[]).status, 404);
}

#[test]
fn names_that_have_a_path() {
    assert_eq!(container_path("hub-1"), "/credentials/hub-1");
    for name in ["hub", "Hub_1.a-b", "0"] {
        assert!(is_name(name), "{name}");
    }
    for name in [
        "",
        "a b",
        "a/b",
        ".",
        "..",
        "\u{e9}",
        "a%20",
        &"a".repeat(65),
    ] {
        assert!(!is_name(name), "{name}");
    }
}

//! What the images take of flash and RAM.

use firmware_bridge::carry;
use firmware_bridge::limits::{Figure, MAX_CORE, MAX_EXCHANGE, MAX_RAM, figures};

use crate::scene::{Scene, assert_said, image};

/// Runs an image, and gives the limits that are among its figures.
fn limits(name: &str) -> Vec<usize> {
    let (scene, image) = (Scene::new(), image(name));
    let outcome = scene.run(&image, |line| {
        drop(carry::serve(line, |_: &str| scene.transport()));
    });
    assert_said(&outcome, &["time 2", "session until 2", "done"]);
    assert!(outcome.is_done);
    assert_eq!(scene.readings(), usize::from(name != "create-session"));
    let figures = figures(&image, &outcome).unwrap();
    assert!(figures.iter().all(Figure::is_within), "{figures:#?}");
    figures.iter().filter_map(|figure| figure.limit).collect()
}

#[test]
fn of_a_session_alone() {
    assert_eq!(limits("create-session"), [MAX_CORE, MAX_RAM, MAX_EXCHANGE]);
}

#[test]
fn with_a_secure_element() {
    assert_eq!(limits("secure-element"), [MAX_RAM, MAX_EXCHANGE]);
}

#[test]
fn with_a_key_in_flash() {
    assert_eq!(limits("software-key"), [MAX_RAM]);
}

#[test]
fn they_are_those_that_were_promised() {
    assert_eq!((MAX_CORE, MAX_EXCHANGE, MAX_RAM), (24_576, 6_144, 16_384));
}

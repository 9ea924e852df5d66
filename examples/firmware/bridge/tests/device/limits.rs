//! What the images take of flash and RAM.

use std::net::TcpStream;

use firmware_bridge::carry;
use firmware_bridge::limits::{Figure, MAX_CORE, MAX_EXCHANGE, MAX_RAM, figures};

use keystead::sandbox::Scheme;

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
fn tls_ends_on_the_device_and_there_alone() {
    let (scene, image) = (Scene::over(Scheme::Https), image("tls"));
    let url = scene.sandbox.url();
    let server = TcpStream::connect(url.trim_start_matches("https://")).unwrap();
    let outcome = scene.run(&image, |line| drop(carry::pipe(line, &server)));
    assert_said(&outcome, &["session until 2", "done"]);
    let figures = figures(&image, &outcome).unwrap();
    assert!(figures.iter().all(|figure| figure.limit.is_none()));
    assert_eq!(scene.sandbox.session_requests().len(), 1);

    // A server that the device does not know hears of nothing.
    let other = Scene::over(Scheme::Https);
    let url = other.sandbox.url();
    let server = TcpStream::connect(url.trim_start_matches("https://")).unwrap();
    let outcome = scene.run(&image, |line| drop(carry::pipe(line, &server)));
    let unknown = "failed: the server's certificates lead to no trusted root";
    assert_said(&outcome, &[unknown, "gave up"]);
    assert_eq!(other.sandbox.session_requests().len(), 0);
}

#[test]
fn they_are_those_that_were_promised() {
    assert_eq!((MAX_CORE, MAX_EXCHANGE, MAX_RAM), (24_576, 6_144, 16_384));
}

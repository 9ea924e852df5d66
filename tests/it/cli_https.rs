//! `keystead credential-process` against the sandbox, over HTTPS: whom it trusts, and what becomes of
//! a wrong clock.

use std::process::Command;
use std::time::Duration;

use keystead::ca::{Authority, KeyType, Validity, certificate_pem};
use keystead::core::time::Clock as _;
use keystead::host::clock::HostClock;
use keystead::sandbox::{Config, Running, SandboxClock};
use serde_json::Value;

use crate::support::hub::{Hub, command_of};
use crate::support::openssl::Workshop;
use crate::support::program::{Ran, run};

/// A device, and a sandbox that trusts its CA; the sandbox's own CA is in `sandbox.pem`.
struct Scene {
    workshop: Workshop,
    sandbox: Running,
}

impl Scene {
    fn new(clock: SandboxClock) -> Self {
        let Hub { workshop, sandbox } = Hub::with(|root, _| Config {
            clock,
            ..Config::ready_made(root, None).expect("policies")
        });
        workshop.write("sandbox.pem", sandbox.ca_pem().expect("HTTPS"));
        Self { workshop, sandbox }
    }

    fn command(&self, more: &[&str]) -> Command {
        command_of((&self.workshop, &self.sandbox), "credential-process", more)
    }

    fn run(&self, more: &[&str]) -> Ran {
        run(&mut self.command(more))
    }
}

#[track_caller]
fn has_credentials(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert!(document["SessionToken"].is_string());
}

#[test]
fn whom_it_trusts() {
    let scene = Scene::new(SandboxClock::system());
    has_credentials(&scene.run(&["--ca-bundle=sandbox.pem"]));
    let mut command = scene.command(&[]);
    has_credentials(&run(command.env("AWS_CA_BUNDLE", "sandbox.pem")));
    scene.run(&[]).failed(5, "--ca-bundle FILE");
    scene.run(&["--ca-bundle=root.pem"]).failed(5, "TLS");
    scene.run(&["--ca-bundle=none.pem"]).failed(2, "none.pem");
    scene.run(&["--ca-bundle=."]).failed(2, "it is a directory");
    let unverified = scene.run(&["--no-verify-ssl"]);
    has_credentials(&unverified);
    assert!(
        unverified.stderr.contains("IS NOT VERIFIED"),
        "{}",
        unverified.stderr
    );
}

#[test]
fn the_systems_roots_are_those_that_openssl_would_take() {
    let scene = Scene::new(SandboxClock::system());
    let with_roots = |parts: &[&str]| {
        let roots: Vec<u8> = parts
            .iter()
            .flat_map(|part| scene.workshop.read(part))
            .collect();
        let roots = scene.workshop.write("roots.pem", roots);
        run(scene.command(&[]).env("SSL_CERT_FILE", roots))
    };
    has_credentials(&with_roots(&["root.pem", "sandbox.pem"]));
    with_roots(&["root.pem"]).failed(5, "UnknownIssuer");
    // Of the same name, but with another key.
    let name = "CN=keystead sandbox".parse().expect("a name");
    let validity = Validity::starting(HostClock::new(None).now(), Duration::from_secs(3600));
    let impostor = Authority::new_in_memory(name, KeyType::P256, validity).expect("a root");
    let impostor = certificate_pem(impostor.root()).expect("PEM");
    scene.workshop.write("impostor.pem", impostor);
    with_roots(&["impostor.pem"]).failed(5, "TLS");
    has_credentials(&with_roots(&["impostor.pem", "sandbox.pem"]));
}

#[test]
fn a_wrong_clock_is_said_and_can_be_corrected() {
    let clock = SandboxClock::system();
    clock.advance(1800);
    let scene = Scene::new(clock);
    let wrong = scene.run(&["--ca-bundle=sandbox.pem"]);
    wrong.failed(6, "clock is 30 minutes behind the service's");
    // Without verification nobody can move the clock.
    let unverified = scene.run(&["--no-verify-ssl", "--correct-clock"]);
    unverified.failed(6, "30 minutes");
    unverified.failed(6, "only over verified TLS");
    let corrected = scene.run(&["--ca-bundle=sandbox.pem", "--correct-clock", "--debug"]);
    has_credentials(&corrected);
    assert!(
        corrected.stderr.contains("seconds are added"),
        "{}",
        corrected.stderr
    );
}

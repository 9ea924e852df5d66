//! The unit that delivers a spool, run by systemd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use hsm_tests::lab::json;
use hsm_tests::systemd::{Files, Systemd};
use hsm_tests::{Lab, program, run};
use keystead::ca::KeyType;

const UNIT: &str = "keystead-spool.service";

const DROP_IN: &str = "[Service]\n\
    LoadCredential=hub.key:/etc/keystead/hub.key\n\
    StandardError=file:/run/keystead-spool.err\n";

/// A machine with our packaging, and a device that the lab's sandbox knows.
fn machine() -> (Lab, Systemd) {
    let mut lab = Lab::new();
    let device = lab.device("hub-0001", KeyType::P256);
    let files = Files::new();
    let packaging = program::root().join("packaging/systemd");
    for (from, to) in [
        (UNIT, "etc/systemd/system/keystead-spool.service"),
        ("sysusers.d/keystead.conf", "etc/sysusers.d/keystead.conf"),
        ("tmpfiles.d/keystead.conf", "etc/tmpfiles.d/keystead.conf"),
    ] {
        files.copy(&packaging.join(from), to);
    }
    files.write(
        "etc/systemd/system/multi-user.target.d/keystead.conf",
        "[Unit]\nAfter=keystead-spool.service\n",
    );
    files.write(
        "etc/systemd/system/keystead-spool.service.d/test.conf",
        DROP_IN,
    );
    files.copy(&device.certificate, "etc/keystead/hub.pem");
    files.copy(&device.intermediates, "etc/keystead/chain.pem");
    files.copy(&device.key, "etc/keystead/hub.key");
    files.copy(&lab.ca_bundle(), "etc/keystead/ca.pem");
    let account = lab.account();
    let settings = format!(
        "[push]\nidentity = \"hub\"\nto = \"s3://sensor-logs/sensors/{{name}}\"\ns3-endpoint = {0:?}\n\n\
         [spool]\nmax-size = \"64 MiB\"\n\n\
         [identity.hub]\ncertificate = \"hub.pem\"\nintermediates = \"chain.pem\"\n\
         key = \"/run/credentials/keystead-spool.service/hub.key\"\nendpoint = {0:?}\nca-bundle = \"ca.pem\"\n\
         trust-anchor-arn = {1:?}\nprofile-arn = {2:?}\nrole-arn = {3:?}\n",
        lab.sandbox.url(),
        account.trust_anchor_arn("devices"),
        account.profile_arn("sensor-hub"),
        account.role_arn("SensorWriter"),
    );
    files.write("etc/keystead/keystead.toml", &settings);
    let system = files.boot();
    run(system
        .command("systemd-tmpfiles")
        .args(["--create", "keystead.conf"]))
    .success();
    (lab, system)
}

fn said(system: &Systemd) -> String {
    fs::read_to_string(system.path("run/keystead-spool.err")).unwrap_or_default()
}

#[track_caller]
fn start(system: &Systemd) {
    let started = system.systemctl(&["start", UNIT]);
    let status = system.systemctl(&["status", "--no-pager", UNIT]).stdout;
    assert_eq!(started.code, Some(0), "{status}\n{}", said(system));
}

/// Runs a command as a sensor program does, whose user is in that group alone.
fn sensor(system: &Systemd, group: &str, command: &str) -> program::Finished {
    let mut setpriv = system.command("setpriv");
    setpriv.args([
        "--reuid=nobody",
        "--regid=nogroup",
        &format!("--groups={group}"),
    ]);
    run(setpriv.args(["sh", "-c", command]))
}

fn report(system: &Systemd) -> serde_json::Value {
    json(&sensor(system, "keystead", "keystead spool status --json").success())
}

#[test]
fn sensors_add_and_the_service_delivers() {
    let (_lab, mut system) = machine();
    // Also before the service runs.
    let add = "date | keystead spool add - --name";
    sensor(&system, "keystead", &format!("{add} early")).success();
    assert_eq!(report(&system)["running"], false);
    start(&system);
    sensor(&system, "keystead", &format!("{add} late")).success();
    sensor(&system, "nogroup", &format!("{add} foreign")).failure();
    system.until("both are delivered", |system| {
        report(system)["delivery"]["delivered"] == 2
    });
    let said = said(&system);
    assert!(said.contains("onfined"), "{said}");
    let spool = fs::metadata(system.path("var/lib/keystead/spool")).unwrap();
    assert_eq!(spool.permissions().mode() & 0o7777, 0o2770);
    let status = system.property(UNIT, "StatusText");
    assert!(status.contains("waiting"), "{status}");
    let pid = system.property(UNIT, "MainPID");
    system.systemctl(&["reload", UNIT]).success();
    assert_eq!(system.property(UNIT, "MainPID"), pid);
    sensor(&system, "keystead", &format!("{add} later")).success();
    system.until("it goes on", |system| {
        report(system)["delivery"]["delivered"] == 3
    });
    system.systemctl(&["stop", UNIT]).success();
    assert_eq!(system.property(UNIT, "Result"), "success");
    assert_eq!(system.property(UNIT, "ExecMainStatus"), "0");
    assert_eq!(report(&system)["running"], false);
}

#[test]
fn one_that_hangs_is_started_again_and_one_that_is_killed_loses_nothing() {
    let (_lab, mut system) = machine();
    let folder = system.path("etc/systemd/system/keystead-spool.service.d");
    fs::write(
        folder.join("watchdog.conf"),
        "[Service]\nWatchdogSec=1s\nRestartSec=0\n",
    )
    .unwrap();
    system.systemctl(&["daemon-reload"]).success();
    start(&system);
    for signal in ["-STOP", "-KILL"] {
        let pid = system.property(UNIT, "MainPID");
        run(system.command("kill").args([signal, &pid])).success();
        sensor(
            &system,
            "keystead",
            &format!("date | keystead spool add - --name after{signal}"),
        )
        .success();
        system.until("another one is ready", |system| {
            system.property(UNIT, "MainPID") != pid
                && system.property(UNIT, "ActiveState") == "active"
        });
        system.until("it delivers", |system| {
            report(system)["delivery"]["delivered"] == 1
        });
    }
}

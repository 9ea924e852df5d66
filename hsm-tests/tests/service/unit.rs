//! The unit as it is shipped, run by systemd.

use std::fs;
use std::net::TcpListener;

use hsm_tests::lab::json;
use hsm_tests::systemd::{Files, Systemd};
use hsm_tests::{Lab, SoftHsm, program, run};
use keystead::ca::KeyType;

const UNIT: &str = "keystead.service";

/// What systemd gives the daemon beside the unit that is shipped.
const DROP_IN: &str = "[Service]\n\
    LoadCredential=hub.key:/etc/keystead/hub.key\n\
    LoadCredential=hub-pin:/etc/keystead/hub-pin\n\
    StandardOutput=file:/run/keystead.out\n\
    StandardError=file:/run/keystead.err\n";

/// A machine with our packaging, and a device that the lab's sandbox knows.
struct Machine {
    lab: Lab,
    files: Files,
}

impl Machine {
    /// `key` is where the configuration says that the key is.
    fn new(key: &str, more: &str) -> Self {
        let mut lab = Lab::new();
        let device = lab.device("hub-0001", KeyType::P256);
        let files = Files::new();
        let packaging = program::root().join("packaging/systemd");
        for (from, to) in [
            ("keystead.service", "etc/systemd/system/keystead.service"),
            ("keystead.socket", "etc/systemd/system/keystead.socket"),
            ("sysusers.d/keystead.conf", "etc/sysusers.d/keystead.conf"),
        ] {
            files.copy(&packaging.join(from), to);
        }
        // systemd remembers how a unit ended as long as another one speaks of it.
        files.write(
            "etc/systemd/system/multi-user.target.d/keystead.conf",
            "[Unit]\nAfter=keystead.service\n",
        );
        files.write("etc/systemd/system/keystead.service.d/test.conf", DROP_IN);
        files.copy(&device.certificate, "etc/keystead/hub.pem");
        files.copy(&device.intermediates, "etc/keystead/chain.pem");
        files.copy(&device.key, "etc/keystead/hub.key");
        files.copy(&lab.ca_bundle(), "etc/keystead/ca.pem");
        files.write("etc/keystead/hub-pin", "1234\n");
        let account = lab.account();
        let settings = format!(
            "[serve]\nidentities = [\"hub\"]\nlisten = \"127.0.0.1:0\"\n\
             token-group = \"keystead\"\n\n\
             [identity.hub]\ncertificate = \"hub.pem\"\nintermediates = \"chain.pem\"\nkey = {key:?}\n{more}\
             endpoint = {:?}\nca-bundle = \"ca.pem\"\ntrust-anchor-arn = {:?}\nprofile-arn = {:?}\n\
             role-arn = {:?}\n",
            lab.sandbox.url(),
            account.trust_anchor_arn("devices"),
            account.profile_arn("sensor-hub"),
            account.role_arn("SensorWriter"),
        );
        files.write("etc/keystead/keystead.toml", &settings);
        Self { lab, files }
    }

    fn boot(self) -> (Lab, Systemd) {
        (self.lab, self.files.boot())
    }
}

/// The key's file as a credential, which root alone can read.
const KEY_FILE: &str = "/run/credentials/keystead.service/hub.key";

#[track_caller]
fn start(system: &Systemd, unit: &str) {
    let started = system.systemctl(&["start", unit]);
    let status = system.systemctl(&["status", "--no-pager", unit]).stdout;
    assert_eq!(started.code, Some(0), "{status}\n{}", said(system));
}

fn said(system: &Systemd) -> String {
    fs::read_to_string(system.path("run/keystead.err")).unwrap_or_default()
}

/// A value that the daemon has told programs to put into their environment.
fn export(system: &Systemd, name: &str) -> String {
    let exports = fs::read_to_string(system.path("run/keystead.out")).unwrap();
    let line = format!("export {name}=");
    let mut values = exports.lines().filter_map(|text| text.strip_prefix(&line));
    values
        .next()
        .unwrap_or_else(|| panic!("{exports}"))
        .to_owned()
}

/// Gets credentials as a program does that is a member of the token's group.
#[track_caller]
fn credentials(system: &Systemd) {
    let uri = export(system, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let token = export(system, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    assert_eq!(token, "/run/keystead/serve.token");
    let get = format!("curl -sS --fail -H \"Authorization: $(cat {token})\" {uri}");
    let as_client = |group: &str, command: &str| {
        let mut setpriv = system.command("setpriv");
        setpriv.args([
            "--reuid=nobody",
            "--regid=nogroup",
            &format!("--groups={group}"),
        ]);
        run(setpriv.args(["sh", "-c", command]))
    };
    let answer = as_client("keystead", &get).success();
    assert!(json(&answer)["SecretAccessKey"].is_string());
    as_client("nogroup", &format!("cat {token}")).failure();
}

/// A line of `/proc/PID/status` of the daemon.
fn status(system: &Systemd, field: &str) -> String {
    let pid = system.property(UNIT, "MainPID");
    let status = fs::read_to_string(system.path(&format!("proc/{pid}/status"))).unwrap();
    let mut values = status
        .lines()
        .filter_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    values.next().unwrap().trim().to_owned()
}

#[test]
fn the_daemon_is_ready_confined_watched_reloaded_and_drained() {
    let (_lab, mut system) = Machine::new(KEY_FILE, "").boot();
    start(&system, UNIT);
    credentials(&system);
    system.until("the status tells of the credentials", |system| {
        let status = system.property(UNIT, "StatusText");
        status.starts_with("hub: credentials until 20")
    });
    let said = said(&system);
    assert!(said.contains("onfined"), "{said}");
    assert_eq!(status(&system, "NoNewPrivs"), "1");
    assert_eq!(status(&system, "CapEff"), "0000000000000000");
    assert_eq!(status(&system, "Seccomp"), "2");
    assert_ne!(system.property(UNIT, "WatchdogTimestampMonotonic"), "0");
    let pid = system.property(UNIT, "MainPID");
    system.systemctl(&["reload", UNIT]).success();
    credentials(&system);
    assert_eq!(system.property(UNIT, "MainPID"), pid);
    system.systemctl(&["stop", UNIT]).success();
    assert_eq!(system.property(UNIT, "Result"), "success");
    assert_eq!(system.property(UNIT, "ExecMainStatus"), "0");
    assert_eq!(system.property(UNIT, "ExecMainCode"), "1");
}

#[test]
fn a_daemon_that_hangs_is_started_again() {
    let machine = Machine::new(KEY_FILE, "");
    let soon = "[Service]\nWatchdogSec=1s\nRestartSec=0\n";
    let place = "etc/systemd/system/keystead.service.d/watchdog.conf";
    machine.files.write(place, soon);
    let (_lab, mut system) = machine.boot();
    start(&system, UNIT);
    let token = fs::read(system.path("run/keystead/serve.token")).unwrap();
    let pid = system.property(UNIT, "MainPID");
    let mut stop = system.command("kill");
    run(stop.args(["-STOP", &pid])).success();
    system.until("another daemon is ready", |system| {
        system.property(UNIT, "MainPID") != pid && system.property(UNIT, "ActiveState") == "active"
    });
    assert_eq!(system.property(UNIT, "NRestarts"), "1");
    // Programs that have read the token go on.
    assert_eq!(
        fs::read(system.path("run/keystead/serve.token")).unwrap(),
        token
    );
    credentials(&system);
}

#[test]
fn a_token_is_opened_with_a_pin_that_systemd_hands_over() {
    let more = format!(
        "pkcs11-lib = {:?}\npassword-source = \"cred:hub-pin\"\n",
        hsm_tests::softhsm::MODULE
    );
    let machine = Machine::new("pkcs11:token=hub;id=%11", &more);
    // In the daemon's own folder, which systemd gives to it.
    let folder = machine.files.folder("var/lib/keystead");
    let hsm = SoftHsm::at(&folder, "hub");
    hsm.import(&machine.lab.folder().join("hub-0001.key"), 0x11, "hub-0001");
    let configuration = "directories.tokendir = /var/lib/keystead/tokens\n\
        objectstore.backend = file\nlog.level = ERROR\n";
    machine
        .files
        .write("etc/keystead/softhsm2.conf", configuration);
    machine.files.write(
        "etc/systemd/system/keystead.service.d/softhsm.conf",
        "[Service]\nEnvironment=SOFTHSM2_CONF=/etc/keystead/softhsm2.conf\n",
    );
    let (_lab, system) = machine.boot();
    start(&system, UNIT);
    credentials(&system);
    let said = said(&system);
    assert!(said.contains("onfined"), "{said}");
    system.systemctl(&["reload", UNIT]).success();
    credentials(&system);
    system.systemctl(&["stop", UNIT]).success();
    assert_eq!(system.property(UNIT, "Result"), "success");
}

#[test]
fn the_socket_starts_the_daemon() {
    let machine = Machine::new(KEY_FILE, "");
    // One that is free, since tests share the machine's addresses.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = address.unwrap();
    machine.files.write(
        "etc/systemd/system/keystead.socket.d/test.conf",
        &format!("[Socket]\nListenStream=\nListenStream={address}\n"),
    );
    let (_lab, mut system) = machine.boot();
    start(&system, "keystead.socket");
    assert_eq!(system.property(UNIT, "ActiveState"), "inactive");
    let health = format!("http://{address}/healthz");
    // Whoever comes first waits until the daemon is up.
    run(system.command("curl").args(["-sS", &health])).success();
    assert_eq!(system.property(UNIT, "ActiveState"), "active");
    let uri = export(&system, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    assert_eq!(uri, format!("http://{address}/credentials/hub"));
    credentials(&system);
    // Nobody is refused while it is started again.
    let pid = system.property(UNIT, "MainPID");
    run(system.command("kill").args(["-KILL", &pid])).success();
    run(system.command("curl").args(["-sS", &health])).success();
    system.until("another daemon is ready", |system| {
        system.property(UNIT, "ActiveState") == "active"
    });
    assert_ne!(system.property(UNIT, "MainPID"), pid);
    credentials(&system);
}

//! `serve`, at both of its endpoints.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{Answer, ask};
use crate::daemon::Daemon;
use crate::ledger::{Got, Ledger, Witness};
use crate::scene::{Scene, await_recovery};

/// How long sessions live.
const LIFE: Duration = Duration::from_secs(30);

#[test]
fn what_serve_hands_out_is_whole_and_alive() {
    let mut scene = Scene::new(LIFE, "");
    let token_file = scene.hub.lab.folder().join("serve.token");
    let mut command = scene.keystead(&["serve", "--identity", "hub", "--listen", "127.0.0.1:0"]);
    command
        .arg("--imds=127.0.0.1:0")
        .arg("--token-file")
        .arg(&token_file);
    let mut daemon = Daemon::start(command, scene.hub.lab.folder().join("serve.log"));
    let mut exports = HashMap::new();
    while exports.len() < 3 {
        let line = daemon.line();
        let export = line
            .strip_prefix("export ")
            .and_then(|line| line.trim_end().split_once('='));
        exports.extend(export.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let container = &exports["AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    let imds = exports["AWS_EC2_METADATA_SERVICE_ENDPOINT"].trim_end_matches('/');
    let token = std::fs::read_to_string(&token_file).expect("a token");
    let of_container = || ask("GET", container, &[("Authorization", &token)]);
    let of_imds = || of_imds(imds);
    let sources: [&(dyn Fn() -> Result<Answer, String> + Sync); 2] = [&of_container, &of_imds];

    let ledger = Ledger::default();
    let is_over = AtomicBool::new(false);
    let clock = scene.clock_is_wrong();
    // What there is at first is not to be lost.
    let got_one = || of_container().is_ok_and(|answer| answer.status == 200);
    await_recovery("", got_one);
    let account = thread::scope(|scope| {
        for source in sources {
            for _ in 0..2 {
                let (ledger, is_over, clock) = (&ledger, &is_over, &clock);
                scope.spawn(move || {
                    let mut witness = Witness::new(ledger, clock);
                    while !is_over.load(Ordering::Relaxed) {
                        look(&mut witness, source);
                        // The program under test has the same two cores.
                        thread::sleep(Duration::from_millis(2));
                    }
                });
            }
        }
        let account = scene.play();
        is_over.store(true, Ordering::Relaxed);
        account
    });
    let account = format!("{account}{}", daemon.log());
    let before = ledger.sessions();
    await_recovery(&account, || {
        let mut witness = Witness::new(&ledger, &clock);
        for source in sources {
            look(&mut witness, source);
        }
        // A new session, after the last trouble.
        ledger.sessions() > before
    });
    assert!(daemon.runs(), "{account}");
    scene.verdict(&ledger, &account);
}

/// As SDKs do it: a token, the role, its credentials.
fn of_imds(imds: &str) -> Result<Answer, String> {
    let ttl = [("X-aws-ec2-metadata-token-ttl-seconds", "60")];
    let token = ask("PUT", &format!("{imds}/latest/api/token"), &ttl)?.body;
    let header = [("X-aws-ec2-metadata-token", token.as_str())];
    let roles = format!("{imds}/latest/meta-data/iam/security-credentials/");
    let role = ask("GET", &roles, &header)?;
    if role.status != 200 {
        return Err(format!("the role: {} {}", role.status, role.body));
    }
    ask("GET", &format!("{roles}{}", role.body.trim()), &header)
}

fn look(witness: &mut Witness<'_>, source: impl Fn() -> Result<Answer, String>) {
    witness.look(|| {
        let answer = source()?;
        match answer.status {
            200 => Got::from_json(&answer.body, "Token").map(Some),
            // It says why, in JSON or as IMDS does.
            503 | 500 if !answer.body.contains("ASIA") => Ok(None),
            other => Err(format!("{other}: {}", answer.body)),
        }
    });
}

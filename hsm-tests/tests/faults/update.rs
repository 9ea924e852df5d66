//! `update`: two of them on one file, for two profiles, and whoever reads it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::ledger::{Got, Ledger};
use crate::scene::{Scene, await_recovery};

/// How long sessions live.
const LIFE: Duration = Duration::from_secs(30);

/// How much longer a machine that has much to do may take to remove what has expired.
const LATE: Duration = Duration::from_secs(3);

const PROFILES: [&str; 2] = ["default", "second"];

/// Something of a person's, which nobody touches.
const OTHERS: &str = "# mine\n[other]\naws_access_key_id=AKIAOTHER\n";

#[test]
fn what_update_writes_is_whole_and_alive() {
    let mut scene = Scene::new(LIFE, "");
    let folder = scene.hub.lab.folder().join(".aws");
    let file = folder.join("credentials");
    fs::create_dir(&folder).expect("a folder");
    fs::write(&file, OTHERS).expect("a file");
    let mut daemons = PROFILES.map(|profile| {
        let command = scene.keystead(&["update", "--identity", "hub", "--profile", profile]);
        Daemon::start(command, scene.hub.lab.folder().join(profile))
    });
    let ledger = Ledger::default();
    let is_over = AtomicBool::new(false);
    let is_there = || {
        PROFILES
            .iter()
            .all(|profile| matches!(read(&file, profile), Ok(Some(_))))
    };
    await_recovery("", is_there);
    let account = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut since = HashMap::new();
                while !is_over.load(Ordering::Relaxed) {
                    look(&file, &ledger, &mut since);
                    // The programs under test have the same two cores.
                    thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let account = scene.play();
        is_over.store(true, Ordering::Relaxed);
        account
    });
    let logs = daemons.each_ref().map(Daemon::log).join("\n");
    let account = format!("{account}{logs}");
    let before = ledger.sessions();
    let mut since = HashMap::new();
    await_recovery(&account, || {
        look(&file, &ledger, &mut since);
        // New ones in both profiles, after the last trouble.
        ledger.sessions() >= before + PROFILES.len() && is_there()
    });
    assert!(daemons.iter_mut().all(Daemon::runs), "{account}");
    scene.verdict_of(&ledger, &account, PROFILES.len());
}

/// Looks at the file; `since` has when each session was seen first.
fn look(file: &Path, ledger: &Ledger, since: &mut HashMap<String, Instant>) {
    for profile in PROFILES {
        match read(file, profile) {
            Err(why) => ledger.wrong(why),
            Ok(None) => ledger.denied(),
            Ok(Some(got)) => {
                let first = since.entry(got.id.clone()).or_insert_with(Instant::now);
                // When it ends the file does not say; it was begun before it was seen.
                if first.elapsed() > LIFE + LATE {
                    let said = format!(
                        "{} is in the file {:?} after it was begun",
                        got.id,
                        first.elapsed()
                    );
                    ledger.wrong(said);
                }
                ledger.handed_out(got, hsm_tests::lab::now());
            }
        }
    }
}

/// The credentials of a profile: all of them, or nothing.
fn read(file: &Path, profile: &str) -> Result<Option<Got>, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    if !text.contains(OTHERS) {
        return Err(format!("what was there is gone: {text}"));
    }
    let head = format!("[{profile}]");
    let mut lines = text.lines().skip_while(|line| *line != head).skip(1);
    let values: HashMap<&str, &str> = lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let names = [
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
    ];
    match names.map(|name| values.get(name).filter(|value| !value.is_empty())) {
        [None, None, None] => Ok(None),
        [Some(id), Some(secret), Some(token)] => Ok(Some(Got {
            id: (*id).to_owned(),
            secret: (*secret).to_owned(),
            token: (*token).to_owned(),
            expiration: None,
        })),
        _ => Err(format!("half of the credentials: {text}")),
    }
}

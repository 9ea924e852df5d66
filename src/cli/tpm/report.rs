//! What `tpm status` shows.

use core::fmt::Write as _;
use core::time::Duration;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use serde_json::{Value, json};

use crate::backend::tpm::{Lockout, PersistentObject, Status};
use crate::core::text::{Hex, Printable};

/// How many algorithms are on a line.
const ALGORITHMS: usize = 6;

/// For people.
pub fn text(status: &Status, tcti: &str) -> String {
    let mut text = String::new();
    let maker = [&status.manufacturer, &status.model];
    let maker: Vec<_> = maker
        .into_iter()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
        .collect();
    line(&mut text, "TPM", &maker.join(" "));
    line(
        &mut text,
        "firmware",
        &format!(
            "{}, TPM 2.0 revision {}",
            status.firmware,
            revision(status.revision)
        ),
    );
    let manager = if status.resource_manager {
        ""
    } else {
        ", no resource manager"
    };
    line(&mut text, "reached by", &format!("{tcti}{manager}"));
    for (index, names) in status.algorithms.chunks(ALGORITHMS).enumerate() {
        let name = if index == 0 { "algorithms" } else { "" };
        line(&mut text, name, &names.join(", "));
    }
    line(&mut text, "lockout", &lockout_text(&status.lockout));
    if status.persistent.is_empty() {
        line(&mut text, "handles", "nothing is at a persistent handle");
    }
    for (index, object) in status.persistent.iter().enumerate() {
        let name = if index == 0 { "handles" } else { "" };
        let what = object.problem.as_ref().unwrap_or(&object.what);
        line(&mut text, name, &format!("{:#010x}  {what}", object.handle));
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing into a string does not fail.
    let _ = writeln!(text, "{name:<12} {}", Printable(value));
}

/// In hundredths, as the TPM has it.
fn revision(hundredths: u32) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn lockout_text(lockout: &Lockout) -> String {
    let Lockout {
        locked,
        failures,
        most,
        recovery,
        ..
    } = lockout;
    let state = if *locked { "LOCKED: " } else { "" };
    let forgotten = if recovery.is_zero() {
        "none is ever forgotten".into()
    } else {
        format!("one is forgotten every {}", duration(*recovery))
    };
    let auth = if lockout.has_auth {
        "a lockout password is set"
    } else {
        "no lockout password is set"
    };
    let unlocks = match (*locked, recovery.is_zero()) {
        (true, false) => format!("; takes auth values again within {}", duration(*recovery)),
        _ => String::new(),
    };
    format!("{state}{failures} of {most} failures, {forgotten}{unlocks}; {auth}")
}

/// Rounded up: nobody comes too early.
fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

/// For programs: the schema is in docs/commands.md.
pub fn json(status: &Status, tcti: &str) -> Value {
    let lockout = &status.lockout;
    json!({
        "tcti": tcti,
        "resourceManager": status.resource_manager,
        "manufacturer": status.manufacturer,
        "model": status.model,
        "firmware": status.firmware,
        "revision": revision(status.revision),
        "algorithms": status.algorithms,
        "lockout": {
            "locked": lockout.locked,
            "failures": lockout.failures,
            "most": lockout.most,
            "recoverySeconds": lockout.recovery.as_secs(),
            "lockoutRecoverySeconds": lockout.lockout_recovery.as_secs(),
            "hasPassword": lockout.has_auth,
        },
        "persistent": status.persistent.iter().map(object_json).collect::<Vec<_>>(),
    })
}

fn object_json(object: &PersistentObject) -> Value {
    json!({
        "handle": format!("{:#010x}", object.handle),
        "what": object.what,
        "name": Hex(&object.name).to_string(),
        "problem": object.problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lockout(locked: bool, recovery: u64) -> Lockout {
        Lockout {
            locked,
            failures: 3,
            most: 3,
            recovery: Duration::from_secs(recovery),
            lockout_recovery: Duration::from_secs(1000),
            has_auth: false,
        }
    }

    #[test]
    fn lockouts_say_when_they_end() {
        for (lockout, says) in [
            (
                lockout(true, 7200),
                "LOCKED: 3 of 3 failures, one is forgotten every 2 h; takes auth values again within \
                 2 h; no lockout password is set",
            ),
            (
                lockout(true, 0),
                "LOCKED: 3 of 3 failures, none is ever forgotten; no lockout password is set",
            ),
            (
                lockout(false, 1000),
                "3 of 3 failures, one is forgotten every 17 min; no lockout password is set",
            ),
        ] {
            assert_eq!(lockout_text(&lockout), says);
        }
    }
}

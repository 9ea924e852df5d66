//! Clients that go on while a session ends and a new one begins, and through an outage of `CreateSession` in
//! between. None may notice: no upload may fail, and S3 may refuse nothing.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::output::Output;
use crate::party::Party;
use crate::rig::Rig;

/// Between two rounds of those clients that go on all the time.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(240);

fn endures(output: Output) {
    let rig = Rig::new();
    rig.sessions_of(output.life());
    let outlet = output.open(&rig);
    let mut party = Party::new(&rig, &outlet);
    party.round();
    let before = party.access_keys();

    rig.begin_outage();
    party.round();
    go_on_until(&mut party, "an attempt that fails", || {
        rig.sessions(503) > 0
    });
    party.quick_round();

    let begun = rig.sessions(201);
    rig.sessions_of(output.life());
    go_on_until(&mut party, "a new session", || rig.sessions(201) > begun);
    // The session has begun, and is handed out in a moment. The SDK for JavaScript asks in the background, and
    // uses what it has meanwhile.
    let deadline = Instant::now() + PATIENCE;
    while !renewed(&before, &party.access_keys()) {
        let uploads = party.access_keys();
        assert!(Instant::now() < deadline, "no new session: {uploads:?}");
        party.round();
    }
    party.finish();
    rig.assert_nothing_refused();
}

/// Whether each client has uploaded with another access key than before.
fn renewed(before: &[(Client, usize)], after: &[(Client, usize)]) -> bool {
    let mut both = before.iter().zip(after);
    both.all(|((_, before), (_, after))| before < after)
}

/// Uploads and uploads until something is so.
#[track_caller]
fn go_on_until(party: &mut Party<'_>, what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        party.quick_round();
        thread::sleep(PAUSE);
    }
}

/// Nearly all of the time nothing happens: sessions live. So all ways out that renew them in the background
/// are tested at once, each with a sandbox of its own.
#[test]
fn in_the_background() {
    let outputs = [
        Output::Library,
        Output::Container,
        Output::Imds,
        Output::CredentialsFile,
        Output::ExecServe,
    ];
    thread::scope(|scope| {
        for output in outputs {
            scope.spawn(move || endures(output));
        }
    });
}

#[test]
fn credential_process() {
    endures(Output::CredentialProcess);
}

//! What goes wrong, and when.

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use keystead::sandbox::Fault;

use crate::scene::Scene;
use hsm_tests::chance::Chance;

/// What can go wrong.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// The service, or the way there.
    Service(Fault),
    /// The clock of the program under test, in seconds.
    Clock(i64),
    /// The token is pulled out.
    Token,
    /// Its module fails.
    Module,
    /// Its module takes its process with it.
    Crash,
    /// The folder that SoftHSM keeps it in is gone.
    Store,
    /// The certificate's file holds another key's.
    Pair,
    /// It holds half a certificate.
    Half,
}

/// Longer than any client under test waits.
const HANG: Duration = Duration::from_secs(60);

/// Two hours.
const HOURS: i64 = 7200;

/// Everything that can go wrong.
fn all() -> Vec<Trouble> {
    let fields = [
        "accessKeyId",
        "secretAccessKey",
        "sessionToken",
        "expiration",
    ];
    let missing = fields.map(|field| Fault::MissingField(field.into()));
    let service = [
        Fault::Status(500),
        Fault::Status(503),
        // The service refuses with 403 what is signed so far from its own time.
        Fault::Skew(HOURS),
        Fault::Skew(-HOURS),
        Fault::Throttle,
        Fault::Drop,
        Fault::Lose,
        Fault::Garbage,
        Fault::Slow(Duration::from_millis(700)),
        Fault::Slow(HANG),
    ];
    let service = service.into_iter().chain(missing).map(Trouble::Service);
    let others = [
        Trouble::Clock(HOURS),
        Trouble::Clock(-HOURS),
        Trouble::Token,
        Trouble::Module,
        Trouble::Crash,
        Trouble::Store,
        Trouble::Pair,
        Trouble::Half,
    ];
    service.chain(others).collect()
}

/// Lets things go wrong for so long, and gives an account of it.
pub fn play(scene: &mut Scene, chance: &mut Chance, length: Duration) -> String {
    let mut account = format!("KEYSTEAD_FAULTS_SEED={}\n", chance.seed);
    let start = Instant::now();
    let mut next = Vec::new();
    while start.elapsed() < length {
        // Each has its turn before any has another.
        let trouble = next.pop().unwrap_or_else(|| {
            next = chance.shuffled(all());
            next.pop().expect("there is trouble")
        });
        let (lasts, pause) = (chance.time(150, 900), chance.time(0, 500));
        let _ = writeln!(account, "{:?}: {trouble:?} for {lasts:?}", start.elapsed());
        scene.begin(&trouble);
        thread::sleep(lasts);
        scene.end(&trouble);
        thread::sleep(pause);
    }
    let _ = writeln!(account, "{:?}: all is well again", start.elapsed());
    account
}

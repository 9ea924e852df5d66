//! A hub whose key is in a token, everything that it depends on, and the hands that break it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hsm_tests::fault::{Effect, Fault, FaultModule, Stage, When, sys};
use hsm_tests::softhsm::{MODULE, PIN};
use hsm_tests::{Hub, lab, program};
use keystead::ca::KeyType;
use keystead::sandbox::Fault as Service;

use crate::ledger::Ledger;
use crate::script::{self, Trouble};
use hsm_tests::chance::Chance;

/// The interposer of the package `faketime`: it lets a program see another time.
const FAKETIME: &str = "faketime/libfaketime.so.1";

/// How long a program under test tries.
const TIMEOUT: Duration = Duration::from_secs(4);

/// How long the script is unless somebody says otherwise.
const USUAL: Duration = Duration::from_secs(20);

pub struct Scene {
    pub hub: Hub,
    module: FaultModule,
    /// The whole certificate, and one of another key.
    whole: Vec<u8>,
    other: Vec<u8>,
    /// How long sessions live.
    life: Duration,
    clock_is_wrong: Arc<AtomicBool>,
    /// When the certificate's file was replaced: for the cache it is another identity then.
    replaced: Vec<Instant>,
}

impl Scene {
    /// `settings` are further lines of `[identity.hub]`.
    pub fn new(life: Duration, settings: &str) -> Self {
        let mut hub = Hub::new();
        let module = FaultModule::new(hub.lab.folder(), "module", MODULE);
        let other = hub.lab.device("other", KeyType::P256).certificate;
        let [whole, other] =
            [&hub.device.certificate, &other].map(|path| fs::read(path).expect("a certificate"));
        let scene = Self {
            hub,
            module,
            whole,
            other,
            life,
            clock_is_wrong: Arc::default(),
            replaced: Vec::new(),
        };
        scene.configure(settings);
        scene.set_clock(0);
        scene.usual();
        scene
    }

    fn configure(&self, settings: &str) {
        let Self { hub, module, .. } = self;
        let account = hub.lab.account();
        let pin = hub.lab.write("pin", PIN);
        lab::restrict(&pin);
        let text = format!(
            "[identity.hub]\ncertificate = {:?}\nintermediates = {:?}\nkey = {:?}\npkcs11-lib = {:?}\n\
             isolate = true\npassword-source = \"file:{}\"\nendpoint = {:?}\ntrust-anchor-arn = {:?}\n\
             profile-arn = {:?}\nrole-arn = {:?}\ntimeout = \"{}s\"\n{settings}\n",
            self.certificate(),
            hub.device.intermediates,
            hub.uri("object=hub-0001"),
            module.path(),
            pin.display(),
            hub.lab.sandbox.url(),
            account.trust_anchor_arn("devices"),
            account.profile_arn("sensor-hub"),
            account.role_arn("SensorWriter"),
            TIMEOUT.as_secs(),
        );
        fs::create_dir_all(hub.lab.folder().join(".config/keystead")).expect("a folder");
        hub.lab.write(".config/keystead/keystead.toml", &text);
    }

    /// The program under test, whose clock can be set.
    pub fn keystead(&self, arguments: &[&str]) -> Command {
        let mut command = self.hub.lab.keystead(arguments);
        self.hub.hsm.configure(&mut command);
        command
            .env("LD_PRELOAD", program::library(FAKETIME))
            .env("FAKETIME_TIMESTAMP_FILE", self.clock())
            .env("FAKETIME_NO_CACHE", "1")
            // What nobody can set stays as it is.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }

    fn certificate(&self) -> &Path {
        &self.hub.device.certificate
    }

    /// Beside the certificate: a program that has confined itself can still read it.
    fn clock(&self) -> PathBuf {
        self.hub.lab.folder().join("clock")
    }

    /// Whether the program's clock is wrong at the moment.
    pub fn clock_is_wrong(&self) -> Arc<AtomicBool> {
        self.clock_is_wrong.clone()
    }

    fn set_clock(&self, offset: i64) {
        if offset != 0 {
            self.clock_is_wrong.store(true, Ordering::Relaxed);
        }
        self.replace(&self.clock(), format!("{offset:+}\n").as_bytes());
        self.clock_is_wrong.store(offset != 0, Ordering::Relaxed);
    }

    /// As people should replace files.
    fn replace(&self, path: &Path, contents: &[u8]) {
        let new = path.with_extension("new");
        fs::write(&new, contents).expect("a new file");
        fs::rename(new, path).expect("it takes the old one's place");
    }

    /// The service as it is while nothing is wrong. Answers take some time, so that requests which are
    /// under way together can be seen.
    fn usual(&self) {
        let faults = &self.hub.lab.sandbox.config().faults;
        faults.clear();
        faults.add(Service::Expire(self.life).always());
        faults.add(Service::Slow(Duration::from_millis(30)).always());
    }

    fn tokens(&self) -> [PathBuf; 2] {
        ["tokens", "away"].map(|name| self.hub.hsm.folder().join(name))
    }

    /// Something goes wrong.
    pub fn begin(&mut self, trouble: &Trouble) {
        self.note(trouble);
        match trouble {
            Trouble::Service(fault) => {
                let faults = &self.hub.lab.sandbox.config().faults;
                faults.add(fault.clone().always());
            }
            Trouble::Clock(offset) => self.set_clock(*offset),
            Trouble::Token => self.module.remove_token(sys::CKR_TOKEN_NOT_PRESENT),
            Trouble::Module => self.fail_to_sign(Effect::Return(sys::CKR_DEVICE_ERROR)),
            Trouble::Crash => self.fail_to_sign(Effect::Abort),
            Trouble::Store => {
                let [here, away] = self.tokens();
                fs::rename(here, away).expect("the token's folder");
            }
            Trouble::Pair => self.replace(self.certificate(), &self.other),
            Trouble::Half => {
                let half = &self.whole[..self.whole.len() / 2];
                // As people do write files.
                fs::write(self.certificate(), half).expect("a file");
            }
        }
    }

    fn note(&mut self, trouble: &Trouble) {
        if matches!(trouble, Trouble::Pair | Trouble::Half) {
            self.replaced.push(Instant::now());
        }
    }

    fn fail_to_sign(&mut self, effect: Effect) {
        self.module.fail(Fault {
            function: "C_Sign".into(),
            when: When::Always,
            stage: Stage::Before,
            effect,
        });
    }

    /// It is put right again.
    pub fn end(&mut self, trouble: &Trouble) {
        self.note(trouble);
        match trouble {
            Trouble::Service(_) => self.usual(),
            Trouble::Clock(_) => self.set_clock(0),
            Trouble::Token => self.module.insert_token(0),
            Trouble::Module | Trouble::Crash => self.module.heal(),
            Trouble::Store => {
                let [here, away] = self.tokens();
                fs::rename(away, here).expect("the token's folder");
            }
            Trouble::Pair | Trouble::Half => self.replace(self.certificate(), &self.whole),
        }
    }

    /// Plays the script, and gives what is to be said if something was wrong.
    pub fn play(&mut self) -> String {
        let seconds = env::var("KEYSTEAD_FAULTS_SECONDS").ok();
        let seconds =
            seconds.map(|text| text.parse().expect("KEYSTEAD_FAULTS_SECONDS is a number"));
        let length = seconds.map_or(USUAL, Duration::from_secs);
        script::play(self, &mut Chance::new(), length)
    }

    /// Whether two who asked may have seen different certificates.
    fn was_replaced(&self, earlier: Instant, later: Instant) -> bool {
        // From the look at the file to the request there are a process with a module, and a busy machine.
        let span = earlier.checked_sub(TIMEOUT).unwrap_or(earlier)..=later;
        self.replaced.iter().any(|when| span.contains(when))
    }

    /// Asserts that nothing was wrong, and that sessions were asked for one at a time.
    #[track_caller]
    pub fn verdict(&self, ledger: &Ledger, account: &str) {
        self.verdict_of(ledger, account, 1);
    }

    /// The same of several programs, of which each asks for one at a time.
    #[track_caller]
    pub fn verdict_of(&self, ledger: &Ledger, account: &str, programs: usize) {
        let mut wrong = ledger.all_wrong();
        let mut requests = self.hub.lab.sandbox.session_requests();
        // What nobody waited for any more was given up before the next one was begun.
        requests.retain(|request| request.status.is_some());
        requests.sort_by_key(|request| request.began);
        for (number, later) in requests.iter().enumerate() {
            let earlier = requests[..number].iter();
            let under_way = earlier.filter(|earlier| {
                later.began < earlier.answered && !self.was_replaced(earlier.began, later.began)
            });
            let under_way: Vec<_> = under_way.collect();
            if under_way.len() >= programs {
                wrong.push(format!(
                    "{later:?} was under way together with {under_way:?}"
                ));
            }
        }
        let (handed_out, denied) = ledger.counts();
        let sessions = ledger.sessions();
        let counts = format!("{handed_out} answers from {sessions} sessions, {denied} refusals");
        assert!(wrong.is_empty(), "{account}{counts}\n{}", wrong.join("\n"));
        assert!(handed_out > 0 && sessions > 1, "{account}{counts}");
        println!("{account}{counts}, {} requests", requests.len());
    }
}

/// The longest pause that a program under test makes after a failure, and some more.
const RECOVERY: Duration = Duration::from_secs(90);

/// Waits until all is well again, which nobody helps with.
#[track_caller]
pub fn await_recovery(account: &str, mut is_well: impl FnMut() -> bool) {
    let deadline = Instant::now() + RECOVERY;
    while !is_well() {
        assert!(Instant::now() < deadline, "{account}it does not recover");
        thread::sleep(Duration::from_millis(50));
    }
}

//! A virtual YubiKey for each test: the card program of this crate in pcscd's virtual reader, both in
//! namespaces of their own, so that tests run in parallel and nothing of them is left.

mod finger;
mod pcsc;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::alone::{Surroundings, alone};
use crate::program::{self, run};

pub use finger::{Finger, Waiting};
use pcsc::Pcscd;

/// Yubico's module, and OpenSC's: the dynamic linker finds both.
pub const YKCS11: &str = "libykcs11.so";
pub const OPENSC: &str = "opensc-pkcs11.so";

/// The PIN, the PUK and the management key of a new card.
pub const PIN: &str = "123456";
pub const PUK: &str = "12345678";
pub const MANAGEMENT_KEY: &str = "010203040506070801020304050607080102030405060708";

/// The variable by which clients find pcscd.
const SOCKET: &str = "PCSCLITE_CSOCK_NAME";

/// What starts in the namespaces.
const READER: &str = include_str!("piv/reader.sh");

/// The virtual reader, with a name by which Yubico's tools know one of theirs.
const READER_CONF: &str = "FRIENDLYNAME \"Yubico YubiKey CCID\"\n\
    DEVICENAME /dev/null:0x8C7B\n\
    LIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so\n\
    CHANNELID 0x8C7B\n";

/// A card in a reader.
pub struct Card {
    folder: PathBuf,
    namespaces: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Removes the folder, if it is ours.
    _owned: Option<TempDir>,
}

/// A card that lies somewhere else.
pub struct TakenAway(Vec<u8>);

impl Card {
    /// A new card, inserted, for programs that are told where it is ([`Self::command`],
    /// [`Self::configure`]).
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut card = Self::at(folder.path());
        card._owned = Some(folder);
        card
    }

    /// Runs a test that loads a module itself: in a process of its own, which is born with the place of
    /// the card's pcscd. The closure has to be written in the test function.
    #[track_caller]
    pub fn in_process(test: impl FnOnce(Self)) {
        alone(Self::surroundings, |folder| test(Self::at(folder)));
    }

    /// What is around a process that loads a module for the card of a folder.
    pub fn surroundings(folder: &Path) -> Surroundings {
        vec![(SOCKET, socket(folder).into())].into()
    }

    /// A new card, inserted, in a folder that is there.
    pub fn at(folder: &Path) -> Self {
        for name in ["run", "conf", "card"] {
            fs::create_dir(folder.join(name)).expect("the test's folder can be written to");
        }
        fs::write(folder.join("conf/reader"), READER_CONF).expect("the folder was just made");
        let log =
            fs::File::create(folder.join("log")).expect("the test's folder can be written to");
        let mut namespaces = program::command("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--mount-proc"])
            .args(["--propagation", "private", "--kill-child=KILL"])
            .args(["bash", "-c", READER, "reader"])
            .args([folder, &program::card()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("unshare is part of every Linux system");
        let mut card = Self {
            folder: folder.to_owned(),
            commands: namespaces.stdin.take().expect("it is a pipe"),
            answers: BufReader::new(namespaces.stdout.take().expect("it is a pipe")),
            namespaces,
            _owned: None,
        };
        let ready = card.answer();
        assert!(
            ready,
            "a virtual card needs mount, network and PID namespaces of its own, which only root may \
             make: run this test as root\n{}",
            card.log()
        );
        card.start_pcscd();
        card.insert();
        card
    }

    /// The folder, also for the test's own files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts pcscd, with an empty reader.
    pub fn start_pcscd(&mut self) {
        self.tell("pcscd");
        self.pcscd();
    }

    /// Ends pcscd, and with it the reader: the card falls out.
    pub fn stop_pcscd(&mut self) {
        self.tell("no-pcscd");
        self.tell("no-card");
    }

    /// Puts the card into the reader. It is the same card each time.
    pub fn insert(&mut self) {
        self.tell("card");
        self.wait_for_card(true);
    }

    /// Takes the card out.
    pub fn remove(&mut self) {
        self.tell("no-card");
        self.wait_for_card(false);
    }

    /// Takes the card out, and away: the next one inserted is another one.
    pub fn take_away(&mut self) -> TakenAway {
        self.remove();
        let state = self.state();
        let taken = TakenAway(fs::read(&state).expect("the card has a state"));
        fs::remove_file(state).expect("it was just read");
        taken
    }

    /// The next card inserted is that one again.
    pub fn bring_back(&self, card: TakenAway) {
        fs::write(self.state(), card.0).expect("the card's folder can be written to");
    }

    fn state(&self) -> PathBuf {
        self.folder.join("card/card.json")
    }

    /// From now on this finger is asked for touches; without one nobody touches the card.
    pub fn finger(&self) -> Finger {
        Finger::new(&self.folder.join("card/touch"))
    }

    fn tell(&mut self, command: &str) {
        let said = writeln!(self.commands, "{command}");
        assert!(said.is_ok() && self.answer(), "{command}:\n{}", self.log());
    }

    /// Whether the last command was carried out.
    fn answer(&mut self) -> bool {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        read.is_ok() && line == "done\n"
    }

    fn pcscd(&self) -> Pcscd {
        Pcscd::connect(&socket(&self.folder))
            .unwrap_or_else(|error| panic!("pcscd: {error}\n{}", self.log()))
    }

    fn wait_for_card(&self, present: bool) {
        let waited = self.pcscd().wait_for_card(present);
        waited.unwrap_or_else(|error| panic!("pcscd: {error}\n{}", self.log()));
    }

    /// What pcscd and the card said.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Tells a program where the card is.
    pub fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(SOCKET, socket(&self.folder))
    }

    /// A program that sees the card, started in the card's folder.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = program::command(program);
        self.configure(&mut command)
            .current_dir(&self.folder)
            .env("HOME", &self.folder);
        command
    }

    /// `yubico-piv-tool`. Gives what it prints.
    #[track_caller]
    pub fn tool(&self, arguments: &[&str]) -> String {
        run(self.command("yubico-piv-tool").args(arguments)).success()
    }

    /// `ykman`. The virtual reader has a second slot, always empty, which it takes for another YubiKey.
    pub fn ykman(&self) -> Command {
        let mut ykman = self.command("ykman");
        ykman.args(["--reader", "Yubico YubiKey CCID 00 00"]);
        ykman
    }

    /// Makes a key in a slot (`9a`), and gives its public key, PEM. The algorithm and policies are those
    /// of `yubico-piv-tool`: `ECCP256`; `--touch-policy=always`.
    #[track_caller]
    pub fn generate(&self, slot: &str, algorithm: &str, policies: &[&str]) -> PathBuf {
        let file = format!("{slot}.pub.pem");
        let mut arguments = vec!["-a", "generate", "-s", slot, "-A", algorithm, "-o", &file];
        arguments.extend(policies);
        self.tool(&arguments);
        self.folder.join(file)
    }

    /// Puts a certificate into a slot.
    #[track_caller]
    pub fn import_certificate(&self, slot: &str, pem: &Path) {
        let pem = pem.to_str().expect("the test's paths are UTF-8");
        self.tool(&["-a", "import-certificate", "-s", slot, "-i", pem]);
    }

    /// Gives the card the identifiers that a new YubiKey lacks and OpenSC derives its serial from.
    #[track_caller]
    pub fn identify(&self) {
        self.tool(&["-a", "set-chuid", "-a", "set-ccc"]);
    }

    /// The serial number, as Yubico's module and tools show it.
    #[track_caller]
    pub fn serial(&self) -> String {
        self.status("Serial Number:")
    }

    /// How many tries the PIN has left.
    #[track_caller]
    pub fn tries_left(&self) -> u8 {
        let tries = self.status("PIN tries left:");
        tries.parse().expect("tries are a number")
    }

    #[track_caller]
    fn status(&self, what: &str) -> String {
        let status = self.tool(&["-a", "status"]);
        let value = status.lines().find_map(|line| line.strip_prefix(what));
        value
            .unwrap_or_else(|| panic!("no {what} {status}"))
            .trim()
            .to_owned()
    }
}

impl Default for Card {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        // It takes all that it started with it: they are in its PID namespace.
        let _ = self.namespaces.kill();
        let _ = self.namespaces.wait();
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("run/pcscd.comm")
}

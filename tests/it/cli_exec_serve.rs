//! `keystead exec --serve`: the endpoint that a command has for itself, and what becomes of signals.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::hub::Hub;
use crate::support::program::run;

impl Hub {
    fn serve(&self, words: &[&str]) -> Command {
        let mut arguments = vec!["exec", "--serve", "--"];
        arguments.extend(words);
        self.command(&arguments)
    }
}

/// A command with its endpoint. It is killed if the test fails.
struct Running {
    keystead: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a command, whose input is open, and waits until it says `ready`. Gives what it said before.
    fn start(hub: &Hub, words: &[&str]) -> (Self, Vec<String>) {
        let mut command = hub.serve(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keystead = command.spawn().expect("it starts");
        let lines = BufReader::new(keystead.stdout.take().expect("a pipe"));
        let mut running = Self { keystead, lines };
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            running.lines.read_line(&mut line).expect("text");
            assert_ne!(line, "", "it ended: {said:?}");
            if line == "ready\n" {
                return (running, said);
            }
            said.push(line.trim_end().to_owned());
        }
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.keystead), signal).expect("it runs");
    }

    /// What the command says until its end, and how keystead ends.
    fn end(mut self) -> (String, ExitStatus) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("text");
        (rest, self.keystead.wait().expect("it ends"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.keystead.kill();
        let _ = self.keystead.wait();
    }
}

fn variables(lines: &[String]) -> BTreeMap<&str, &str> {
    let pairs = lines.iter().filter_map(|line| line.split_once('='));
    pairs.collect()
}

/// Status and body of a GET with this header.
fn get(url: &str, header: &str) -> Option<(u16, String)> {
    let rest = url.strip_prefix("http://").expect("http");
    let (authority, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(authority).ok()?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{header}\r\n"
    )
    .expect("a listener");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    assert!(text.contains("\r\nServer: keystead\r\n"));
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    Some((head[9..12].parse().expect("a status"), body.to_owned()))
}

#[test]
fn the_endpoint_is_the_commands_alone_and_ends_with_it() {
    let hub = Hub::new();
    let (running, said) = Running::start(&hub, &["sh", "-c", "env; echo ready; read line; exit 7"]);
    let found = variables(&said);
    let url = found["AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    let file = Path::new(found["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]);
    let token = fs::read_to_string(file).expect("a token");
    assert_eq!(token, found["AWS_CONTAINER_AUTHORIZATION_TOKEN"]);
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    let folder = file.parent().expect("a folder");
    assert_eq!((mode(folder), mode(file)), (0o700, 0o600));
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        assert!(!found.contains_key(name), "{name}");
    }

    let (status, body) = get(url, &format!("Authorization: {token}\r\n")).expect("an answer");
    assert_eq!(status, 200);
    let document: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    for name in ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"] {
        assert!(document[name].is_string(), "{name}");
    }
    assert_eq!(get(url, "").expect("an answer").0, 401);
    assert_eq!(get(url, "Authorization: x\r\n").expect("an answer").0, 403);
    assert_eq!(hub.sessions(), 1);

    let mut running = running;
    drop(running.keystead.stdin.take());
    let (_, status) = running.end();
    assert_eq!(status.code(), Some(7));
    assert!(get(url, "").is_none());
    assert!(!folder.exists());
}

#[test]
fn signals_reach_the_command_and_keystead_ends_as_it_does() {
    let hub = Hub::new();
    for (signal, name) in [
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::HUP, "SIGHUP"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::WINCH, "SIGWINCH"),
    ] {
        let (running, _) = Running::start(&hub, &["python3", "-c", WAITS, name]);
        running.send(signal);
        let (said, status) = running.end();
        assert_eq!(
            (said.as_str(), status.code()),
            (&*format!("got {name}\n"), Some(9))
        );
    }
    // What has no handler ends the command, and keystead in the same way.
    let (running, said) = Running::start(&hub, &["sh", "-c", "env; echo ready; read line"]);
    running.send(Signal::TERM);
    let (_, status) = running.end();
    assert_eq!(status.signal(), Some(Signal::TERM.as_raw()));
    let file = variables(&said)["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
    assert!(!Path::new(file).exists());
    for signal in ["KILL", "SEGV", "USR2"] {
        let mut command = hub.serve(&["bash", "-c", &format!("kill -{signal} $$")]);
        let status = command.status().expect("it runs");
        let number = run(Command::new("bash").args(["-c", &format!("kill -l {signal}")])).stdout;
        assert_eq!(status.signal(), number.trim().parse().ok(), "{signal}");
    }
}

/// A command that waits for a signal, and then, if it is told to, looks whether the signal came twice.
const WAITS: &str = r#"
import signal, sys
wanted = {signal.Signals[sys.argv[1]]}
signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
print("ready", flush=True)
signal.sigwait(wanted)
print("got", sys.argv[1], flush=True)
if sys.argv[2:] == ["once"]:
    sys.stdin.readline()
    sys.exit(5 if signal.sigpending() & wanted else 4)
sys.exit(9)
"#;

/// A person at a terminal: waits for what the command says, presses Ctrl-C, and says how it ended.
const PERSON: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""
def read():
    global shown
    try:
        piece = os.read(terminal, 1024)
    except OSError:
        piece = b""
    shown += piece
    return piece
def until(text):
    while text not in shown:
        assert read(), shown
until(b"ready")
os.write(terminal, b"\x03")
until(b"got SIGINT")
os.write(terminal, b"go on\n")
while read():
    pass
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status))
"#;

#[test]
fn what_the_terminal_sends_to_both_comes_once() {
    let hub = Hub::new();
    let mut command = Command::new("python3");
    command
        .args(["-c", PERSON, env!("CARGO_BIN_EXE_keystead")])
        .args(["exec", "--serve", "--"])
        .args(["python3", "-c", WAITS, "SIGINT", "once"])
        .envs(hub.settings());
    let ran = run(&mut command);
    assert_eq!(
        (ran.stdout.as_str(), ran.code),
        ("4\n", 0),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_command_does_not_outlive_keystead() {
    let hub = Hub::new();
    let (running, _) = Running::start(&hub, &["python3", "-c", WAITS, "SIGTERM"]);
    running.send(Signal::KILL);
    let (said, status) = running.end();
    assert_eq!((said.as_str(), status.signal()), ("got SIGTERM\n", Some(9)));
}

#[test]
fn what_was_ignored_stays_ignored() {
    let hub = Hub::new();
    let script = "trap '' HUP; exec \"$0\" exec --serve -- cat /proc/self/status";
    let mut command = Command::new("bash");
    command
        .args(["-c", script, env!("CARGO_BIN_EXE_keystead")])
        .envs(hub.settings());
    let ran = run(&mut command);
    let mask = ran
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(mask.expect("a line").trim(), 16).expect("a mask");
    assert_eq!(mask & 0x7fff_ffff, 1, "{}", ran.stderr);
}

#[test]
fn a_default_profile_does_not_go_first() {
    let hub = Hub::new();
    let aws = hub.workshop.path(".aws");
    fs::create_dir(&aws).expect("a folder");
    let keys = "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = x\n";
    fs::write(aws.join("credentials"), keys).expect("a file");
    let ran = run(&mut hub.serve(&["env"]));
    assert_eq!(ran.stderr, "");
    assert!(
        ran.stdout
            .contains("AWS_SHARED_CREDENTIALS_FILE=/dev/null\n")
    );
    fs::write(
        aws.join("config"),
        "[default]\nregion = x\ncredential_process = y\n",
    )
    .expect("a file");
    let ran = run(&mut hub.serve(&["env"]));
    assert!(
        ran.stderr
            .contains("credential_process of the default profile"),
        "{}",
        ran.stderr
    );
}

#[test]
fn keystead_takes_its_own_endpoint_for_nobodys_role() {
    let hub = Hub::new();
    let keystead = env!("CARGO_BIN_EXE_keystead");
    let inner = [
        keystead,
        "credential-process",
        "--unless-on-aws",
        "--no-cache",
        "--debug",
    ];
    let mut command = hub.serve(&inner);
    let ran = run(command.env("AWS_EC2_METADATA_DISABLED", "true"));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("the endpoint in the environment is keystead's own"),
        "{}",
        ran.stderr
    );
    assert_eq!(hub.sessions(), 2);
}

#[test]
fn without_credentials_nothing_is_run() {
    let hub = Hub::new();
    let touch = |more: &[&str]| {
        let mut arguments = vec!["exec", "--serve"];
        arguments.extend(more);
        arguments.extend(["--", "touch", "ran"]);
        run(&mut hub.command(&arguments))
    };
    touch(&["--role-session-name=me"]).failed(6, "Not authorized to set roleSessionName");
    touch(&["--key=none.key"]).failed(3, "none.key");
    touch(&["--endpoint=http://127.0.0.1:9"]).failed(5, "127.0.0.1:9");
    assert!(!hub.workshop.path("ran").exists());
    run(&mut hub.serve(&["no-such-command"])).failed(127, "there is no such command");
    hub.workshop.write("data", "text");
    let ran = run(&mut hub.serve(&["./data"]));
    assert_eq!(ran.code, 126, "{}", ran.stderr);
}

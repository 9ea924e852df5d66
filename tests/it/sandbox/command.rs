//! `keystead sandbox` as a program.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const KEYSTEAD: &str = env!("CARGO_BIN_EXE_keystead");

/// The program with a directory of its own for temporary files.
fn keystead(temporary: &TempDir) -> Command {
    let mut command = Command::new(KEYSTEAD);
    command
        .env("TMPDIR", temporary.path())
        .env("AWS_PROFILE", "production")
        .env("AWS_ACCESS_KEY_ID", "AKIA")
        .env("AWS_PAGER", "less")
        .env(
            "KEYSTEAD_ROLE_ARN",
            "arn:aws:iam::999999999999:role/Production",
        );
    command
}

/// Runs `sandbox FLAGS -- sh -c SCRIPT`; the script has the program as `$0`, and a standard input that
/// stays open.
fn run(flags: &[&str], script: &str) -> Output {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = keystead(&temporary)
        .arg("sandbox")
        .args(flags)
        .args(["--", "sh", "-c", script, KEYSTEAD])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    let left: Vec<_> = temporary.path().read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_command_runs_with_everything_set() {
    let output = run(
        &[],
        r#"echo "profile=$AWS_PROFILE key=$AWS_ACCESS_KEY_ID pager=$AWS_PAGER role=$KEYSTEAD_ROLE_ARN"
           case $NO_PROXY in *127.0.0.1*) echo "$AWS_ENDPOINT_URL";; esac
           grep -c credential_process "$AWS_CONFIG_FILE"
           exec "$0" credential-process --identity sensor-hub"#,
    );
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(lines[0], "profile= key= pager=less role=");
    assert!(lines[1].starts_with("https://127.0.0.1:"), "{text}");
    assert_eq!(lines[2], "3");
    assert!(lines[3].contains(r#""AccessKeyId":"ASIA"#), "{text}");
}

#[test]
fn its_exit_code_is_the_commands() {
    assert_eq!(run(&[], "exit 7").status.code(), Some(7));
    assert_eq!(run(&["--http"], "kill -9 $$").status.code(), Some(137));
    let signalled = run(
        &["--http"],
        "trap 'exit 3' TERM; kill -TERM $PPID; read line",
    );
    assert_eq!(signalled.status.code(), Some(3), "the signal is passed on");
}

#[test]
fn faults_and_the_log() {
    let flags = ["--http", "--log", "--fault", "throttle:1"];
    let output = run(
        &flags,
        r#"exec "$0" credential-process --identity developer"#,
    );
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr);
    let expected = [
        "rolesanywhere POST /sessions 400: fault: Throttle",
        "rolesanywhere POST /sessions 201",
    ];
    assert_eq!(log.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn it_serves_until_it_is_stopped() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = keystead(&temporary)
        .args(["sandbox", "--http"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    while !text.contains("role/Developer") {
        assert_ne!(stdout.read_line(&mut text).unwrap(), 0, "{text}");
    }
    assert!(
        text.contains("export AWS_ENDPOINT_URL='http://127.0.0.1:"),
        "{text}"
    );
    assert!(text.contains("unset AWS_PROFILE"), "{text}");
    // The shell's own: a machine need not have a program for it.
    let killed = Command::new("sh")
        .args(["-c", "kill $0", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    assert!(child.wait().unwrap().success());
    assert_eq!(temporary.path().read_dir().unwrap().count(), 0);
}

#[test]
fn an_authority_of_its_users() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca");
    let made = |arguments: &[&str]| {
        let output = Command::new(KEYSTEAD)
            .current_dir(directory.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    made(&["ca", "init"]);
    made(&["ca", "issue", "--subject", "CN=hub-17", "--out", "hub"]);
    let file = |name: &str| {
        directory
            .path()
            .join("hub")
            .join(name)
            .display()
            .to_string()
    };
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    assert!(
        Path::new(&key).exists(),
        "{:?}",
        directory
            .path()
            .join("hub")
            .read_dir()
            .unwrap()
            .collect::<Vec<_>>()
    );
    let flags = [
        "--ca",
        &ca.display().to_string(),
        "--certificate",
        &certificate,
        "--key",
        &key,
    ];
    let ask = r#"exec "$0" credential-process --identity sensor-hub"#;
    assert!(run(&flags, ask).status.success());
    made(&["ca", "revoke", &certificate]);
    made(&["ca", "crl"]);
    let refused = run(&flags, ask);
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("Certificate revoked"), "{error}");
}

#[test]
fn a_directory_is_kept_and_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state").display().to_string();
    let flags = ["--http", "--state", &state];
    let show = r#"cat "$SANDBOX_CERTIFICATE""#;
    let first = stdout(&run(&flags, show));
    assert!(first.starts_with("-----BEGIN CERTIFICATE-----"), "{first}");
    assert_eq!(stdout(&run(&flags, show)), first);
}

#[test]
fn what_does_not_start() {
    let temporary = tempfile::tempdir().unwrap();
    let config = temporary.path().join("sandbox.toml");
    std::fs::write(&config, "[role.R]\npolcy = '{}'\n").unwrap();
    let config = config.display().to_string();
    let missing = temporary.path().join("none").display().to_string();
    for (flags, code, expected) in [
        (
            vec!["--listen", "0.0.0.0:0"],
            2,
            "0.0.0.0:0 is not a loopback address",
        ),
        (vec!["--fault", "trottle"], 2, "did you mean `throttle`?"),
        (vec!["--config", &config], 2, "a role needs a `policy`"),
        (vec!["--config", &missing], 2, "cannot be read"),
        (
            vec!["--certificate", "a", "--key", "b"],
            2,
            "--config <FILE>|--ca <DIR>",
        ),
        (
            vec!["--ca", &missing, "--config", &config],
            2,
            "cannot be used with",
        ),
        (vec!["--ca", &missing], 3, "none"),
        (
            vec!["--", "/no/such/command"],
            2,
            "/no/such/command cannot be run",
        ),
    ] {
        let output = keystead(&temporary)
            .arg("sandbox")
            .args(&flags)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{flags:?} {error}");
        assert!(error.contains(expected), "{flags:?} {error}");
    }
}

//! `keystead env`, read by the shells and programs that it is for.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::hub::Hub;
use crate::support::program::run;

const SECRETS: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

type Variables = BTreeMap<String, String>;

/// The credentials as `--shell json` has them. They are in the cache from then on.
fn json(hub: &Hub) -> Variables {
    let ran = run(&mut hub.command(&["env", "--shell", "json"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let variables: Variables = serde_json::from_str(&ran.stdout).expect("one object of texts");
    let names: Vec<_> = variables.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "AWS_ACCESS_KEY_ID",
            "AWS_CREDENTIAL_EXPIRATION",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ]
    );
    variables
}

/// The hub's environment, to run a shell in.
fn shell(hub: &Hub, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .current_dir(hub.workshop.path(""))
        .env("HOME", hub.workshop.path(""))
        .env("PATH", std::env::var_os("PATH").expect("a path"))
        .env("KEYSTEAD", env!("CARGO_BIN_EXE_keystead"))
        .envs(hub.settings());
    command
}

/// The variables of AWS's programs, of the lines that `env` printed.
fn of_aws(text: &str) -> Variables {
    let variables = text.lines().filter(|line| line.starts_with("AWS_"));
    variables
        .map(|line| line.split_once('=').expect("NAME=VALUE"))
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

#[test]
fn shells_and_programs_read_the_same() {
    let hub = Hub::new();
    let expected = json(&hub);
    for (program, arguments) in [
        (
            "bash",
            &["-c", r#"eval "$("$KEYSTEAD" env --shell bash)" && env"#][..],
        ),
        ("sh", &["-c", r#"eval "$("$KEYSTEAD" env)" && env"#]),
        (
            "fish",
            &[
                "--no-config",
                "-c",
                "$KEYSTEAD env --shell fish | source; env",
            ],
        ),
        (
            "sh",
            &[
                "-c",
                r#""$KEYSTEAD" env --shell dotenv >.env && set -a && . ./.env && env"#,
            ],
        ),
        ("cat", &[".env"]),
        (
            "python3",
            &[
                "-c",
                "import json, os, subprocess; \
                 text = subprocess.check_output([os.environ['KEYSTEAD'], 'env', '--shell', 'json']); \
                 [print(f'{name}={value}') for name, value in json.loads(text).items()]",
            ],
        ),
    ] {
        let ran = run(&mut shell(&hub, program, arguments));
        assert_eq!(ran.code, 0, "{program}: {}", ran.stderr);
        assert_eq!(of_aws(&ran.stdout), expected, "{program} {arguments:?}");
    }
    assert_eq!(hub.sessions(), 1);
}

#[test]
fn the_syntax_is_that_of_the_users_shell() {
    let hub = Hub::new();
    for (shell, begins) in [
        ("/bin/zsh", "export AWS_ACCESS_KEY_ID='"),
        ("/usr/bin/fish", "set -gx AWS_ACCESS_KEY_ID '"),
        ("/opt/pwsh", "$Env:AWS_ACCESS_KEY_ID = '"),
        ("", "export "),
    ] {
        let ran = run(hub.command(&["env"]).env("SHELL", shell));
        assert!(ran.stdout.starts_with(begins), "{shell}: {}", ran.stderr);
    }
    run(&mut hub.command(&["env", "--shell", "tcsh"])).failed(2, "invalid value 'tcsh'");
}

#[test]
fn what_programs_would_go_by_instead_is_removed() {
    let hub = Hub::new();
    let expected = json(&hub);
    for (program, arguments) in [
        ("bash", &["-c", r#"eval "$("$KEYSTEAD" env)" && env"#][..]),
        (
            "fish",
            &[
                "--no-config",
                "-c",
                "$KEYSTEAD env --shell fish | source; env",
            ],
        ),
    ] {
        let mut shell = shell(&hub, program, arguments);
        let stale = ["AWS_PROFILE", "AWS_SECURITY_TOKEN", "AWS_ACCOUNT_ID"];
        let ran = run(shell.envs(stale.map(|name| (name, "stale"))));
        assert_eq!(of_aws(&ran.stdout), expected, "{program}: {}", ran.stderr);
    }
    let ran = run(hub
        .command(&["env", "--shell=powershell"])
        .env("AWS_PROFILE", ""));
    assert!(ran.stdout.starts_with("Remove-Item Env:AWS_PROFILE\n"));
}

#[test]
fn a_step_of_github_masks_and_appends() {
    let hub = Hub::new();
    let file = hub.workshop.write("github-env", "BEFORE=1");
    let expected = json(&hub);
    let step = || {
        let mut command = hub.command(&["env", "--shell=github"]);
        command.env("GITHUB_ENV", &file);
        command
    };
    let ran = run(&mut step());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    // Standard output is masks alone, and all of them.
    let masked: Vec<_> = ran
        .stdout
        .lines()
        .map(|line| line.strip_prefix("::add-mask::").expect("a mask"))
        .collect();
    for name in SECRETS {
        assert!(masked.contains(&expected[name].as_str()), "{name}");
    }
    let text = fs::read_to_string(&file).expect("a file");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("BEFORE=1"));
    let mut read = Variables::new();
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").expect("NAME<<END");
        read.insert(name.into(), lines.next().expect("a value").into());
        assert_eq!(lines.next(), Some(end));
    }
    assert_eq!(read, expected);

    let warned = run(step().env("AWS_PROFILE", "other"));
    assert!(warned.stderr.contains("AWS_PROFILE"), "{}", warned.stderr);
}

#[test]
fn no_file_for_github_is_said_before_a_session_is_begun() {
    let hub = Hub::new();
    let mut command = hub.command(&["env", "--shell=github"]);
    run(&mut command).failed(2, "GITHUB_ENV is not set");
    run(command.env("GITHUB_ENV", hub.workshop.path("missing"))).failed(1, "missing: No such file");
    run(command.env("GITHUB_ENV", hub.workshop.path(""))).failed(1, "directory");
    run(command.env("GITHUB_ENV", "/dev/null")).failed(1, "it is not a regular file");
    symlink(hub.workshop.path("hub.pem"), hub.workshop.path("link")).expect("a link");
    run(command.env("GITHUB_ENV", hub.workshop.path("link"))).failed(1, "link: ");
    assert_eq!(hub.sessions(), 0);
}

#[test]
fn a_failure_prints_nothing() {
    let hub = Hub::new();
    for shell in ["bash", "fish", "powershell", "json", "dotenv"] {
        let mut command = hub.command(&["env", "--shell", shell, "--role-session-name=me"]);
        run(&mut command).failed(6, "Not authorized to set roleSessionName");
    }
}

//! Flags, variables and `keystead.toml`: which one counts, and what is said of what cannot be used.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::program::{Ran, command, run};

const ANCHOR: &str = "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a-1";
const PROFILE: &str = "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p-1";
const ROLE: &str = "arn:aws:iam::111122223333:role/SensorWriter";

const FILE: &str = r#"
[identity.hub]
certificate = "hub.pem"
trust-anchor-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a-1"
profile-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p-1"
role-arn = "arn:aws:iam::111122223333:role/SensorWriter"
session-duration = "30m"

[push]
identity = "hub"
"#;

fn home() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// `credential-process` with a complete command line, to which `more` is added.
fn complete(more: &[&str]) -> Ran {
    let home = home();
    let mut arguments = vec![
        "credential-process",
        "--certificate=none.pem",
        "--trust-anchor-arn",
        ANCHOR,
        "--profile-arn",
        PROFILE,
        "--role-arn",
        ROLE,
    ];
    arguments.extend(more);
    run(&mut command(home.path(), &arguments))
}

#[test]
fn each_wrong_value_is_named_by_its_flag() {
    for (flag, value, says) in [
        (
            "--session-duration",
            "10",
            "--session-duration: `10`: sessions last from 900",
        ),
        (
            "--session-duration",
            "soon",
            "a duration is a number of seconds",
        ),
        ("--role-session-name", "a b", "2 to 64 letters"),
        (
            "--region",
            "Europe",
            "--region: `Europe`: this is no region",
        ),
        (
            "--region",
            "cn-north-1",
            "in partition aws-cn, the ARNs are in aws",
        ),
        (
            "--endpoint",
            "ftp://x",
            "--endpoint: `ftp://x`: an endpoint starts with https://",
        ),
        (
            "--endpoint",
            "http://10.0.0.1",
            "would cross the network in clear",
        ),
        (
            "--trust-anchor-arn",
            "x",
            "the trust anchor ARN `x` is wrong",
        ),
        (
            "--role-arn",
            "arn:aws:iam::999922223333:role/R",
            "the role in account 999922223333",
        ),
        (
            "--password-source",
            "post-it",
            "--password-source: `…`: a secret's source is one of",
        ),
        (
            "--key",
            "pkcs11:object=x;object=y",
            "--key: `pkcs11:…`: `object` is given twice",
        ),
        (
            "--cert-selector",
            "Key=x509subject,Value=CN=hub",
            "did you mean x509Subject?",
        ),
        (
            "--cert-selector",
            "Key=x509Subject,Value=CN=hub",
            "not built yet: certificate stores of the operating system",
        ),
        (
            "--intermediates",
            "pkcs11:object=x",
            "--intermediates has to be a file, and not pkcs11:…",
        ),
        ("--token-timeout", "0", "longer than nothing"),
        ("--notify-cmd", "say 'it", "a quote is not closed"),
        ("--notify-cmd", " ", "this names no program"),
        (
            "--key",
            "pkcs11:?pin-source=1234",
            "--key: `pkcs11:?pin-source=…`: a pin-source is one of file:PATH",
        ),
        (
            "--key",
            "pkcs11:?module-name=none-such",
            "no module is called none-such in ",
        ),
        (
            "--key",
            "pkcs11:?module-path=/",
            "module-path is the module's file, and / is a folder",
        ),
        ("--max-attempts", "0", "from 1 to 100"),
        ("--timeout", "0", "longer than nothing"),
        (
            "--fips=maybe",
            "",
            "--fips: `maybe`: this is neither true nor false",
        ),
        ("--error-format", "xml", "invalid value 'xml'"),
        ("--no-such-flag", "", "unexpected argument '--no-such-flag'"),
        ("stray", "", "an argument belongs to no flag"),
    ] {
        let more: Vec<&str> = [flag, value]
            .into_iter()
            .filter(|s| !s.is_empty())
            .collect();
        complete(&more).failed(2, says);
    }
    complete(&["--fips", "--endpoint=https://x"]).failed(2, "neither fips nor dual-stack");
}

#[test]
fn flags_count_before_variables_before_the_file() {
    let home = home();
    write(home.path(), ".config/keystead/keystead.toml", FILE);
    let check = |variables: &[(&str, &str)], flags: &[&str]| {
        let mut arguments = vec!["config", "check"];
        arguments.extend(flags);
        let ran = run(command(home.path(), &arguments).envs(variables.iter().copied()));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let line = ran
            .stdout
            .lines()
            .find(|line| line.contains("session-duration"));
        line.expect("a line")
            .split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()[1..]
            .join(" ")
    };
    let file = home.path().join(".config/keystead/keystead.toml");
    assert_eq!(check(&[], &[]), format!("30m {}, line 7", file.display()));
    let variable = [("KEYSTEAD_SESSION_DURATION", "45m")];
    assert_eq!(check(&variable, &[]), "45m KEYSTEAD_SESSION_DURATION");
    let flag = ["--session-duration", "20m", "--session-duration=900"];
    assert_eq!(check(&variable, &flag), "900 --session-duration");
    let empty = [("KEYSTEAD_SESSION_DURATION", "")];
    assert_eq!(check(&empty, &["--session-duration="]), check(&[], &[]));
}

#[test]
fn a_path_in_the_file_is_relative_to_the_file() {
    let home = home();
    write(home.path(), "etc/k.toml", FILE);
    let ran = run(&mut command(
        home.path(),
        &["credential-process", "--config", "etc/k.toml"],
    ));
    ran.failed(3, "etc/hub.pem");
}

#[test]
fn the_file_is_not_read_when_nothing_is_missing() {
    let home = home();
    write(
        home.path(),
        ".config/keystead/keystead.toml",
        "this is not TOML",
    );
    let arguments = [
        "credential-process",
        "--certificate=none.pem",
        "--role-arn",
        ROLE,
        "--profile-arn",
        PROFILE,
    ];
    let anchor = ("KEYSTEAD_TRUST_ANCHOR_ARN", ANCHOR);
    run(command(home.path(), &arguments).envs([anchor])).failed(3, "none.pem");
    run(&mut command(home.path(), &arguments)).failed(2, "keystead.toml, line 1");
}

#[test]
fn of_several_identities_none_is_used_when_nothing_is_missing() {
    let home = home();
    let several = format!("{FILE}\n[identity.lab]\nskip-certificate-rules = true");
    write(home.path(), "keystead.toml", &several);
    let complete = [
        "credential-process",
        "--config=keystead.toml",
        "--certificate=none.pem",
        "--trust-anchor-arn",
        ANCHOR,
        "--profile-arn",
        PROFILE,
        "--role-arn",
        ROLE,
    ];
    run(&mut command(home.path(), &complete)).failed(3, "none.pem");
    run(&mut command(home.path(), &complete[..7])).failed(2, "several identities: hub, lab");
}

#[test]
fn what_is_wrong_with_the_file_is_named_with_its_line() {
    let home = home();
    let folder = home.path();
    let with = |text: &str, arguments: &[&str]| {
        write(folder, "k.toml", text);
        let mut all = vec!["credential-process", "--config=k.toml"];
        all.extend(arguments);
        run(&mut command(folder, &all))
    };
    with("[identity.hub]\nrole = 'x'", &[])
        .failed(2, "k.toml, line 2: unknown key `identity.hub.role`");
    with(&FILE.replace("30m", "1m"), &[]).failed(2, "k.toml, line 7: `1m`");
    with(FILE, &["--identity", "hib"]).failed(2, "did you mean `hub`?");
    with(&format!("{FILE}\n[identity.lab]"), &[]).failed(2, "several identities: hub, lab");
    with("[identity.hub]", &[]).failed(2, "not given: certificate, trust-anchor-arn");
    let missing = run(&mut command(
        folder,
        &["credential-process", "--config=none.toml"],
    ));
    missing.failed(2, "none.toml: there is no such file");
    let folder_as_file = run(&mut command(folder, &["credential-process", "--config=."]));
    folder_as_file.failed(2, ".: it is a directory");
    let device = run(&mut command(
        folder,
        &["credential-process", "--config=/dev/zero"],
    ));
    device.failed(2, "/dev/zero: it is not a regular file");
    fs::write(folder.join("k.toml"), [0xff, 0xfe]).expect("a file");
    let binary = run(&mut command(
        folder,
        &["credential-process", "--config=k.toml"],
    ));
    binary.failed(2, "k.toml: this is not UTF-8");
    let lonely = run(&mut command(folder, &["credential-process", "-i", "hub"]));
    lonely.failed(2, "no keystead.toml to find identity `hub` in");
}

#[test]
fn the_files_that_are_missing_or_wrong_are_named() {
    let home = home();
    let folder = home.path();
    write(folder, "empty.pem", "");
    write(
        folder,
        "junk.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    for (certificate, says) in [
        ("none.pem", "none.pem: "),
        ("empty.pem", "empty.pem: "),
        ("junk.pem", "junk.pem: "),
        (".", ".: "),
    ] {
        let arguments = [
            "credential-process",
            "--certificate",
            certificate,
            "--trust-anchor-arn",
            ANCHOR,
            "--profile-arn",
            PROFILE,
            "--role-arn",
            ROLE,
        ];
        run(&mut command(folder, &arguments)).failed(3, says);
    }
}

#[test]
fn errors_as_json() {
    let ran = complete(&["--region=Europe", "--error-format=json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("one JSON object");
    assert_eq!(error["code"], 2);
    assert_eq!(error["kind"], "usage");
    assert_eq!(
        error["message"],
        "--region: `Europe`: this is no region such as eu-west-1"
    );
    // Also where clap itself refuses.
    let ran = complete(&["--error-format", "json", "--no-such-flag"]);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("one JSON object");
    assert_eq!(
        error["message"],
        "unexpected argument '--no-such-flag' found"
    );
}

#[test]
fn commands_and_help() {
    let home = home();
    let ran = |arguments: &[&str]| run(&mut command(home.path(), arguments));
    for arguments in [&[][..], &["--help"], &["help"]] {
        let help = ran(arguments);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""));
        assert!(
            help.stdout.contains("credential-process"),
            "{}",
            help.stdout
        );
    }
    for arguments in [
        &["help", "credential-process"][..],
        &["credential-process", "-h"],
    ] {
        let help = ran(arguments);
        assert_eq!((help.code, help.stderr.as_str()), (0, ""));
        for heading in [
            "Identity:",
            "AWS:",
            "Network:",
            "Output:",
            "For compatibility",
        ] {
            assert!(help.stdout.contains(heading), "{heading}");
        }
    }
    let version = format!("{}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(ran(&["version"]).stdout, version);
    assert_eq!(ran(&["--version"]).stdout, version);
    ran(&["credental-process"]).failed(2, "did you mean `credential-process`?");
}

#[test]
fn passwords_on_the_command_line() {
    let warned = complete(&["--pkcs8-password", "hunter2"]);
    warned.failed(3, "warning: --pkcs8-password shows the password");
    assert!(!warned.stderr.contains("hunter2"));
    complete(&["--pkcs8-password", "hunter2", "--strict"]).failed(2, "which --strict refuses");
    complete(&["--pkcs8-password=x", "--password-source=prompt"]).failed(2, "both given");
}

#[test]
fn config_check_shows_no_secret() {
    let home = home();
    let arguments = [
        "config",
        "check",
        "--proxy=http://user:hunter2@proxy:3128",
        "--password-source=hunter2",
        "--key=pkcs11:token=hub?pin-value=hunter2",
    ];
    let ran = run(&mut command(home.path(), &arguments));
    assert_eq!(ran.code, 2);
    assert!(ran.stdout.contains("…@proxy:3128"), "{}", ran.stdout);
    let key = "pkcs11:token=hub?pin-value=…";
    assert!(ran.stdout.contains(key), "{}", ran.stdout);
    assert!(!(ran.stdout + &ran.stderr).contains("hunter2"));
}

#[test]
fn config_check_finds_mistyped_variables() {
    let home = home();
    let mut command = command(home.path(), &["config", "check"]);
    let ran = run(command.env("KEYSTEAD_ROLE_ARM", ROLE));
    assert!(
        ran.stderr.contains("did you mean KEYSTEAD_ROLE_ARN?"),
        "{}",
        ran.stderr
    );
}

#[test]
fn config_check_shows_what_follows() {
    let home = home();
    write(home.path(), "k.toml", FILE);
    let check = |more: &[&str]| {
        let mut arguments = vec!["config", "check", "--config=k.toml"];
        arguments.extend(more);
        let ran = run(&mut command(home.path(), &arguments));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    let plain = check(&[]);
    assert!(plain.starts_with("identity hub of k.toml\n"), "{plain}");
    assert!(
        plain.contains("https://rolesanywhere.eu-west-1.amazonaws.com/sessions"),
        "{plain}"
    );
    let fips = check(&["--fips", "--dual-stack", "--region=us-east-2"]);
    assert!(
        fips.contains("https://rolesanywhere-fips.us-east-2.api.aws/sessions"),
        "{fips}"
    );
}

#[test]
fn config_check_goes_through_all_identities() {
    let home = home();
    write(
        home.path(),
        "k.toml",
        &format!("{FILE}\n[identity.lab]\n[identity.old]"),
    );
    let ran = run(&mut command(
        home.path(),
        &["config", "check", "--config=k.toml"],
    ));
    assert_eq!(ran.code, 2);
    for says in [
        "identity hub of",
        "identity lab of",
        "PROBLEM: not given: certificate",
    ] {
        assert!(ran.stdout.contains(says), "{says}: {}", ran.stdout);
    }
    assert!(
        ran.stderr.contains("2 of 3 identities cannot be used"),
        "{}",
        ran.stderr
    );
    let hub = ["config", "check", "--config=k.toml", "--identity=hub"];
    assert_eq!(run(&mut command(home.path(), &hub)).code, 0);
}

//! The files in `packaging/systemd`, as the programs judge them that read them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hsm_tests::program::{self, run, run_with_input};

fn packaging() -> PathBuf {
    program::root().join("packaging/systemd")
}

/// A file of the Debian package.
fn debian(name: &str) -> String {
    let file = program::root().join("packaging/debian").join(name);
    fs::read_to_string(file).unwrap()
}

/// A folder with our units, whose programs are where those under test are.
fn units() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let keystead = program::keystead().display().to_string();
    for name in [
        "keystead.service",
        "keystead.socket",
        "keystead-spool.service",
        "user/keystead-update@.service",
    ] {
        let text = fs::read_to_string(packaging().join(name)).unwrap();
        let name = Path::new(name).file_name().unwrap();
        let text = text.replace("/usr/bin/keystead", &keystead);
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn systemd_finds_nothing_wrong() {
    let units = units();
    for (manager, unit) in [
        ("--system", "keystead.service"),
        ("--system", "keystead.socket"),
        ("--system", "keystead-spool.service"),
        ("--user", "keystead-update@hub.service"),
    ] {
        let name = unit.replace("@hub", "@");
        let from = units.path().join(name);
        let place = units.path().join(unit);
        if from != place {
            fs::copy(from, &place).unwrap();
        }
        let mut verify = program::command("systemd-analyze");
        verify
            .args([manager, "--man=no", "verify"])
            .arg(&place)
            .env("SYSTEMD_LOG_LEVEL", "notice")
            .env("XDG_RUNTIME_DIR", units.path());
        let verified = run(&mut verify);
        let about_us = verified.stderr.lines();
        let about_us: Vec<_> = about_us.filter(|line| line.contains("keystead")).collect();
        assert_eq!((verified.code, about_us), (Some(0), vec![]), "{unit}");
    }
}

#[test]
fn systemd_rates_the_sandbox() {
    let units = units();
    // In tenths.
    let rated = |unit: &str, threshold: &str| {
        let mut rate = program::command("systemd-analyze");
        rate.args(["security", "--offline=true", "--no-pager"])
            .arg(format!("--threshold={threshold}"))
            .arg(units.path().join(unit));
        run(&mut rate).success()
    };
    rated("keystead.service", "13");
    rated("keystead-spool.service", "13");
    let drop_ins = units.path().join("keystead.service.d");
    fs::create_dir(&drop_ins).unwrap();
    for name in ["tpm.conf", "pcscd.conf"] {
        fs::copy(packaging().join("drop-ins").join(name), drop_ins.join(name)).unwrap();
    }
    let report = rated("keystead.service", "15");
    assert!(report.contains("/dev/tpmrm0"), "{report}");
}

#[test]
fn polkit_lets_the_service_use_cards_and_nobody_else() {
    let rule = fs::read_to_string(packaging().join("50-keystead-pcscd.rules")).unwrap();
    let script = format!(
        "let rule; const polkit = {{ addRule: (f) => rule = f, Result: {{ YES: 'yes' }} }};\n{rule}\n\
         const ask = (id, user) => console.log(String(rule({{ id }}, {{ user }})));\n\
         ask('org.debian.pcsc-lite.access_pcsc', 'keystead');\n\
         ask('org.debian.pcsc-lite.access_card', 'keystead');\n\
         ask('org.debian.pcsc-lite.access_card', 'www-data');\n\
         ask('org.freedesktop.systemd1.manage-units', 'keystead');\n"
    );
    let said = run_with_input(&mut program::command("node"), &script).success();
    assert_eq!(said, "yes\nyes\nundefined\nundefined\n");
}

#[test]
fn users_and_folders_are_made() {
    let root = tempfile::tempdir().unwrap();
    let root_option = format!("--root={}", root.path().display());
    fs::create_dir(root.path().join("etc")).unwrap();
    for (program, file) in [
        ("systemd-sysusers", "sysusers.d/keystead.conf"),
        ("systemd-tmpfiles", "tmpfiles.d/keystead.conf"),
    ] {
        let mut make = program::command(program);
        make.arg(&root_option);
        if program == "systemd-tmpfiles" {
            make.arg("--create");
        }
        run(make.arg(packaging().join(file))).success();
    }
    let etc = |name: &str| fs::read_to_string(root.path().join("etc").join(name)).unwrap();
    let users = etc("passwd");
    let user = users.lines().find(|line| line.starts_with("keystead:"));
    assert!(
        user.unwrap()
            .ends_with(":/var/lib/keystead:/usr/sbin/nologin")
    );
    let groups = etc("group");
    assert!(groups.lines().any(|line| line.starts_with("keystead:")));
    assert!(root.path().join("etc/keystead").is_dir());
    assert!(root.path().join("var/lib/keystead").is_dir());
    for folder in ["", "tmp", "entries", "aside", "journal", "records"] {
        let folder = root.path().join("var/lib/keystead/spool").join(folder);
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o2770, "{}", folder.display());
    }
}

#[test]
fn the_manual_page_has_every_command_and_exit_code() {
    let page = debian("keystead.1");
    let bold: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".B "))
        .collect();
    let help = run(program::command(program::keystead()).arg("--help")).success();
    let commands = help.split("Commands:\n").nth(1).unwrap();
    let commands = commands.lines().map_while(|line| line.strip_prefix("  "));
    let mut known = 0;
    for command in commands.filter_map(|line| line.split(' ').next()) {
        // Of the profile that is packaged.
        if ["ca", "sandbox"].contains(&command) {
            continue;
        }
        known += 1;
        let named = command.replace('-', "\\-");
        assert!(bold.contains(&&*named), "{command}");
    }
    assert!(known > 10, "{help}");
    let document = fs::read_to_string(program::root().join("docs/commands.md")).unwrap();
    let codes = document.split("## Exit codes").nth(1).unwrap();
    let rows = codes.lines().filter_map(|line| line.strip_prefix("| "));
    let first = rows.filter_map(|row| row.split(" |").next());
    let codes = first.filter(|first| first.starts_with(|c: char| c.is_ascii_digit()));
    let codes: Vec<_> = codes.flat_map(|codes| codes.split(", ")).collect();
    assert!(codes.len() > 8, "{codes:?}");
    for code in codes {
        let is_named = |line: &&str| line.split("\\fR, \\fB").any(|word| word == code);
        assert!(bold.iter().any(is_named), "{code}");
    }
}

#[test]
fn the_package_has_the_version_of_the_program() {
    let version = run(program::command(program::keystead()).arg("version")).success();
    let changelog = debian("changelog");
    let expected = format!("keystead ({}-1) ", version.trim());
    assert!(changelog.starts_with(&expected), "{changelog}");
}

#[test]
fn the_example_of_a_configuration_is_right() {
    let file = program::root().join("packaging/debian/keystead.toml");
    let mut check = program::command(program::keystead());
    check.args(["config", "check", "--identity", "hub", "--config"]);
    let said = run(check.arg(file)).success();
    for section in ["keystead serve", "keystead push", "keystead spool"] {
        assert!(said.contains(section), "{said}");
    }
}

//! What README.md and docs/ show is run: the commands of each file's `console` blocks, in order, in
//! one shell in an empty folder, on a machine with a new TPM of its own. Output that is shown has to come; `…` stands for any text. A `toml`
//! block whose first line is `# file NAME` is written to that file first.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use hsm_tests::terminal::watch;
use hsm_tests::{Card, Swtpm, piv, program};
use keystead::host::config::Setting;
use keystead::host::push_config::{PushSetting, SpoolSetting};
use keystead::host::section::SectionSetting as _;
use keystead::host::serve_config::ServeSetting;

/// Commands that are run elsewhere: they build, install, or run this very test.
const ELSEWHERE: [(&str, &str); 17] = [
    ("scripts/demo", ".ci/run"),
    ("scripts/test", ".ci/run"),
    (".ci/run", ".ci/run"),
    ("scripts/bench", "by hand"),
    ("scripts/cross", "scripts/test-targets"),
    ("scripts/fuzz", "by night"),
    ("cargo build --release", "scripts/bench"),
    ("cross build", "by hand"),
    (
        "cargo run -p hsm-tests --example",
        "tests/clients/library.rs",
    ),
    ("scripts/deb", ".ci/run"),
    ("apt-get install", "scripts/test-deb"),
    ("chown keystead", "scripts/test-deb"),
    ("install -D", "hsm-tests/tests/service"),
    ("install -d", "by hand"),
    ("systemctl", "hsm-tests/tests/service"),
    ("systemd-ask-password", "by hand"),
    ("systemd-sysusers", "hsm-tests/tests/service"),
];

/// One step of a document.
#[derive(Debug, PartialEq)]
enum Step {
    File(String, String),
    Command {
        line: usize,
        text: String,
        output: String,
    },
}

fn steps(document: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<_> = lines
            .by_ref()
            .take_while(|(_, line)| *line != "```")
            .collect();
        match kind {
            "console" => commands(&block, &mut steps),
            "sh" | "bash" | "shell" => {
                panic!("commands are shown in console blocks, which are run")
            }
            "toml" => {
                let named = block
                    .first()
                    .and_then(|(_, line)| line.strip_prefix("# file "));
                if let Some(name) = named {
                    let text: String = block.iter().map(|(_, line)| format!("{line}\n")).collect();
                    steps.push(Step::File(name.to_owned(), text));
                }
            }
            _ => {}
        }
    }
    steps
}

fn commands(block: &[(usize, &str)], steps: &mut Vec<Step>) {
    let mut continued = false;
    for (index, content) in block {
        match (content.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step::Command {
                line: index + 1,
                text: command.to_owned(),
                output: String::new(),
            }),
            (None, Some(Step::Command { text, .. })) if continued => {
                text.push('\n');
                text.push_str(content);
            }
            (None, Some(Step::Command { output, .. })) => {
                output.push_str(content);
                output.push('\n');
            }
            _ => panic!("line {}: a console block starts with a command", index + 1),
        }
        continued = content.ends_with('\\');
    }
}

/// Whether the output is the one that is shown.
fn fits(shown: &str, actual: &str) -> bool {
    let mut pieces = shown.trim_end().split('…');
    let Some(mut rest) = pieces
        .next()
        .and_then(|first| actual.trim_end().strip_prefix(first))
    else {
        return false;
    };
    let mut last = None;
    for piece in pieces {
        if let Some(previous) = last.replace(piece) {
            let Some((_, after)) = rest.split_once(previous) else {
                return false;
            };
            rest = after;
        }
    }
    match last {
        Some(last) => rest.ends_with(last),
        None => rest.is_empty(),
    }
}

fn is_run_elsewhere(command: &str) -> bool {
    ELSEWHERE
        .iter()
        .any(|(prefix, _)| command.starts_with(prefix))
}

/// Runs a document.
fn check(path: &Path) {
    check_by(path, |shell, script| {
        program::run_with_input(shell.arg("-s"), script).stdout
    });
}

/// The same with a YubiKey in its reader, and on a terminal with a person who knows its PIN and
/// management key, and who touches it.
fn check_with_yubikey(path: &Path) {
    let card = Card::new();
    let finger = card.finger();
    let ours = |name: &str, text: &str| {
        let file = card.folder().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    // The virtual reader has a second slot, which ykman takes for another YubiKey. What it asks for it
    // says on standard error.
    let ykman = "#!/bin/sh\n\
        exec /usr/bin/ykman --reader 'Yubico YubiKey CCID 00 00' \"$@\" 2>/dev/tty\n";
    let ykman = ours("ykman", ykman);
    fs::set_permissions(ykman, fs::Permissions::from_mode(0o700)).unwrap();
    let mut last = "";
    let answer = |shown: &str| {
        if shown.contains("touch your token") {
            finger.wait().touch();
            return Some(String::new());
        }
        // What is typed before a program is ready for it is thrown away.
        if !shown.ends_with(": ") {
            return None;
        }
        let known = [
            ("SO PIN of", piv::MANAGEMENT_KEY),
            ("PIN of", piv::PIN),
            ("[blank to use default key]", ""),
            (" PIN", piv::PIN),
            (" PUK", piv::PUK),
            ("confirmation", last),
        ];
        let asked = known.iter().find(|(prompt, _)| shown.contains(prompt));
        last = asked?.1;
        Some(format!("{last}\n"))
    };
    check_by(path, |shell, script| {
        let inherited = shell.get_envs().find(|(name, _)| *name == "PATH");
        let inherited = inherited.and_then(|(_, path)| path).unwrap().to_owned();
        let mut path = card.folder().as_os_str().to_owned();
        path.push(":");
        path.push(inherited);
        card.configure(shell).env("PATH", path);
        let (screen, finished) = watch(shell.arg(ours("script", script)), answer);
        finished.stdout + &screen
    });
}

/// The same on a hub with a TPM that its maker certified, whose certificates are in `makers.pem`.
fn check_with_certified_tpm(path: &Path) {
    let tpm = Swtpm::certified();
    check_on(path, &tpm, |shell, script| {
        let makers = [tpm.ek_root(), tpm.ek_issuer()].map(|file| fs::read(file).unwrap());
        let folder = shell.get_current_dir().unwrap();
        fs::write(folder.join("makers.pem"), makers.concat()).unwrap();
        program::run_with_input(shell.arg("-s"), script).stdout
    });
}

/// Runs a document with `run`, on a machine with a new TPM.
fn check_by(path: &Path, run: impl FnOnce(&mut Command, &str) -> String) {
    check_on(path, &Swtpm::new(), run);
}

/// Runs a document with `run`, which gives the standard output of a shell with a script. Each command's
/// output is told from the next one's by a line of its own.
fn check_on(path: &Path, tpm: &Swtpm, run: impl FnOnce(&mut Command, &str) -> String) {
    let name = path.display();
    let document = fs::read_to_string(path).unwrap();
    let lab = tempfile::tempdir().unwrap();
    // What a document starts beside its commands ends with them.
    let mut script = String::from("exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n");
    let mut shown = Vec::new();
    for step in steps(&document) {
        match step {
            Step::File(file, text) => {
                let file = lab.path().join(file);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, text).unwrap();
            }
            Step::Command { text, .. } if is_run_elsewhere(&text) => {}
            Step::Command { line, text, output } => {
                script += &format!("{text}\nprintf '\\n@@ %d\\n' $?\n");
                shown.push((line, text, output));
            }
        }
    }
    let mut shell = program::command("bash");
    shell
        .current_dir(lab.path())
        .env("HOME", lab.path())
        .env("LC_ALL", "C.UTF-8");
    // Where there is a real one, it is not meant.
    tpm.configure(&mut shell).env("KEYSTEAD_TCTI", tpm.tcti());
    let output = run(&mut shell, &script);
    let mut outputs = output.split("\n@@ ");
    let mut output = outputs.next().unwrap_or_default();
    for (line, command, expected) in shown {
        let next = outputs
            .next()
            .unwrap_or_else(|| panic!("{name}:{line}: `{command}` ended the shell:\n{output}"));
        let (code, after) = next.split_once('\n').unwrap_or((next, ""));
        assert_eq!(code, "0", "{name}:{line}: `{command}` failed:\n{output}");
        assert!(
            expected.is_empty() || fits(&expected, output),
            "{name}:{line}: `{command}` shows\n{expected}but prints\n{output}"
        );
        output = after;
    }
}

fn document(name: &str) -> PathBuf {
    program::root().join(name)
}

#[test]
fn readme() {
    check_with_yubikey(&document("README.md"));
}

macro_rules! documents {
    ($($test:ident $file:literal)*) => {
        $(
            #[test]
            fn $test() {
                check(&document($file));
            }
        )*

        #[test]
        fn every_document_is_checked() {
            let known = [$($file,)* ATTESTATION, YUBIKEY];
            for entry in fs::read_dir(document("docs")).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let file = format!("docs/{name}");
                assert!(known.contains(&&*file), "{file} is not in the list of this test");
            }
        }
    };
}

documents! {
    ca "docs/ca.md"
    cache "docs/cache.md"
    clients "docs/clients.md"
    commands_ "docs/commands.md"
    compatibility "docs/compatibility.md"
    configuration "docs/configuration.md"
    cross "docs/cross.md"
    design "docs/DESIGN.md"
    device "docs/device.md"
    errors "docs/errors.md"
    exec "docs/exec.md"
    hub "docs/hub.md"
    isolation "docs/isolation.md"
    library "docs/library.md"
    pkcs11 "docs/pkcs11.md"
    profiles "docs/profiles.md"
    push "docs/push.md"
    records "docs/records.md"
    refresh "docs/refresh.md"
    sandbox "docs/sandbox.md"
    serve "docs/serve.md"
    service "docs/service.md"
    spool "docs/spool.md"
    tpm "docs/tpm.md"
    update "docs/update.md"
    watch_ "docs/watch.md"
    yocto "docs/yocto.md"
}

const ATTESTATION: &str = "docs/attestation.md";

#[test]
fn attestation() {
    check_with_certified_tpm(&document(ATTESTATION));
}

const YUBIKEY: &str = "docs/yubikey.md";

#[test]
fn yubikey() {
    check_with_yubikey(&document(YUBIKEY));
}

#[test]
fn every_setting_is_in_the_table() {
    let document = fs::read_to_string(document("docs/configuration.md")).unwrap();
    let rows: Vec<_> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .collect();
    for setting in Setting::ALL {
        let known = rows.iter().any(|row| {
            let names = row.split('|').next().unwrap_or_default();
            names.split('`').any(|word| word == setting.name())
        });
        assert!(known, "{}", setting.name());
    }
}

#[test]
fn every_setting_of_serve_is_in_its_table() {
    let document = fs::read_to_string(document("docs/serve.md")).unwrap();
    let rows: Vec<_> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .collect();
    for setting in ServeSetting::ALL {
        let known = rows.iter().any(|row| {
            let names = row.split('|').next().unwrap_or_default();
            names.split('`').any(|word| word == setting.name())
        });
        assert!(known, "{}", setting.name());
    }
}

#[test]
fn every_setting_of_uploads_is_in_its_table() {
    let rows = |name| {
        let text = fs::read_to_string(document(name)).unwrap();
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let names = rows.filter_map(|row| row.split('|').next());
        let words = names.flat_map(|names| names.split('`'));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let push = rows("docs/push.md");
    for setting in PushSetting::ALL {
        assert!(
            push.iter().any(|word| word == setting.key()),
            "{}",
            setting.key()
        );
    }
    let spool = rows("docs/configuration.md");
    for setting in SpoolSetting::ALL {
        assert!(
            spool.iter().any(|word| word == setting.key()),
            "{}",
            setting.key()
        );
    }
}

#[test]
fn links_lead_somewhere() {
    let folder = document("docs");
    let documents = fs::read_dir(&folder).unwrap();
    let documents = documents.map(|entry| entry.unwrap().path());
    for path in documents.chain([document("README.md")]) {
        let text = fs::read_to_string(&path).unwrap();
        let links = text.split("](").skip(1);
        for link in links.filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("https:") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let target = fs::read_to_string(&target)
                .unwrap_or_else(|_| panic!("{}: {link} leads nowhere", path.display()));
            assert!(
                heading.is_empty() || headings(&target).any(|found| found == heading),
                "{}: {link} has no such heading",
                path.display()
            );
        }
    }
}

/// The anchors of a document's headings.
fn headings(document: &str) -> impl Iterator<Item = String> {
    let headings = document.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|c| c.is_alphanumeric() || " -".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[test]
fn what_fits() {
    for (shown, actual, expected) in [
        ("a\n", "a\n", true),
        ("a\n", "ab\n", false),
        ("a…c\n", "abc\n", true),
        ("a…c…e", "abcde", true),
        ("a…e…c", "abcde", false),
        ("…\nlast", "first\nmiddle\nlast", true),
        ("…", "", true),
        ("first\n…", "first", false),
    ] {
        assert_eq!(fits(shown, actual), expected, "{shown:?} {actual:?}");
    }
}

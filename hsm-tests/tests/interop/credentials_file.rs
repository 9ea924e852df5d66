//! AWS's Python programs, the strictest readers of the shared credentials file, find in it what
//! `keystead update` has written, and everything else as it was.

use std::fs;

use hsm_tests::lab::{json, restrict};
use hsm_tests::{Lab, run};
use keystead::ca::KeyType;

/// Files that boto3 reads before or after, each in its own way.
const FILES: [(&str, &str); 14] = [
    ("empty", ""),
    (
        "other",
        "# top\n[own]\naws_access_key_id = AKIA\naws_secret_access_key = s\n",
    ),
    ("no-end", "[own]\nregion = r"),
    (
        "old",
        "[hub]\naws_access_key_id=AKIA\naws_secret_access_key=s\n[own]\nx=1\n",
    ),
    (
        "crlf",
        "[own]\r\nx = 1\r\n\r\n[hub]\r\naws_access_key_id = AKIA\r\nregion = r",
    ),
    (
        "carriage-returns",
        "[hub]\raws_access_key_id = AKIA\rregion = r\r",
    ),
    (
        "old-name",
        "[hub]\naws_access_key_id = A\naws_secret_access_key = s\naws_security_token = old\n",
    ),
    (
        "comments",
        "[hub] # c\naws_access_key_id = A ; mine\n# c\naws_session_token = x # y\nregion = r\n",
    ),
    (
        "colons",
        "[hub]\naws_access_key_id : A\nAWS_SECRET_ACCESS_KEY: s\n",
    ),
    (
        "nested",
        "[hub]\ns3 =\n  max_queue_size = 9\n  # c\n\n  addressing_style = path\n[own]\nx = 1\n",
    ),
    (
        "indented",
        "[hub]\n  region = r\n  aws_access_key_id = A\n  output = json\n\n[own]\nx = 1\n",
    ),
    ("blanks", "[ hub ]\nregion = r\n"),
    ("brackets", "[hub] # see [own]\nregion = r\n[own]\nx = 1\n"),
    (
        "doubles",
        "[hub]\naws_access_key_id = A\naws_access_key_id = B\nregion = r\n",
    ),
];

#[test]
fn python_finds_what_was_written() {
    let mut lab = Lab::new();
    let device = lab.device("hub-0001", KeyType::P256);
    lab.configure(&device);
    let mut python = lab.python("credentials_file.py");
    python.arg("hub").env("AWS_CONFIG_FILE", "/dev/null");
    for (name, contents) in FILES {
        lab.write(&format!("{name}.before"), contents);
        let path = lab.write(name, contents);
        restrict(&path);
        let mut update = lab.keystead(&["update", "--once", "--identity=hub", "--profile=hub"]);
        update
            .env("AWS_SHARED_CREDENTIALS_FILE", name)
            .env("KEYSTEAD_CACHE_DIR", lab.folder().join("cache"));
        run(&mut update).success();
        python.arg(&path);
    }
    assert_eq!(lab.sandbox.session_requests().len(), 1);
    run(&mut python).success();
}

#[test]
fn the_command_line_finds_it_where_it_looks() {
    let mut lab = Lab::new();
    let device = lab.device("hub-0001", KeyType::P256);
    lab.configure(&device);
    // The profile of ~/.aws/config would have a credential_process; the credentials file goes before it.
    run(&mut lab.keystead(&["update", "--once", "--identity=hub", "--profile=hub"])).success();
    let sessions = lab.sandbox.session_requests().len();
    let identity = run(lab.aws("hub").args(["sts", "get-caller-identity"])).success();
    let arn = json(&identity)["Arn"].as_str().unwrap().to_owned();
    assert!(arn.contains(":assumed-role/SensorWriter/"), "{arn}");
    assert_eq!(lab.sandbox.session_requests().len(), sessions);
    let id = run(lab
        .aws("hub")
        .args(["configure", "get", "aws_access_key_id"]))
    .success();
    let file = fs::read_to_string(lab.folder().join(".aws/credentials")).unwrap();
    assert!(
        file.contains(&format!("aws_access_key_id = {}\n", id.trim())),
        "{file}"
    );
    // What the command line writes by itself, keystead finds.
    run(lab
        .aws("hub")
        .args(["configure", "set", "aws_session_token", "other"]))
    .success();
    run(&mut lab.keystead(&["update", "--once", "--identity=hub", "--profile=hub"])).success();
    run(lab.aws("hub").args(["sts", "get-caller-identity"])).success();
}

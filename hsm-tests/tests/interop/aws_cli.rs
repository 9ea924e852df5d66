//! The AWS command line gets its credentials from `keystead credential-process`.

use hsm_tests::lab::json;
use hsm_tests::{Lab, run};
use keystead::ca::KeyType;

fn hub() -> Lab {
    let mut lab = Lab::new();
    let device = lab.device("hub-0001", KeyType::P256);
    lab.configure(&device);
    lab
}

#[test]
fn who_am_i() {
    let lab = hub();
    let identity = run(lab.aws("hub").args(["sts", "get-caller-identity"])).success();
    let identity = json(&identity);
    assert_eq!(identity["Account"], lab.account().id.as_str());
    let arn = identity["Arn"].as_str().unwrap();
    assert!(arn.contains(":assumed-role/SensorWriter/"), "{arn}");
}

#[test]
fn a_hub_writes_below_its_prefix_and_nowhere_else() {
    let lab = hub();
    lab.write("reading.json", "{\"celsius\": 21.5}");
    let copy = |to: &str| run(lab.aws("hub").args(["s3", "cp", "reading.json", to]));

    copy("s3://sensor-logs/sensors/hub-0001/reading.json").success();
    assert_eq!(
        lab.object("sensors/hub-0001/reading.json").as_deref(),
        Some(&b"{\"celsius\": 21.5}"[..])
    );

    let refusal = copy("s3://sensor-logs/other/reading.json").failure();
    assert!(refusal.contains("AccessDenied"), "{refusal}");
    assert_eq!(lab.object("other/reading.json"), None);

    let back = run(lab.aws("hub").args([
        "s3",
        "cp",
        "s3://sensor-logs/sensors/hub-0001/reading.json",
        "back.json",
    ]));
    let refusal = back.failure();
    assert!(refusal.contains("403"), "{refusal}");
}

#[test]
fn a_developer_reads_what_was_written_in_parts() {
    let lab = hub();
    // Above 8 MiB the command line uploads in parts.
    let large = "0123456789abcdef".repeat(600 * 1024);
    lab.write("large", &large);
    let there = "s3://sensor-logs/large";
    run(lab.aws("developer").args(["s3", "cp", "large", there])).success();
    run(lab.aws("developer").args(["s3", "cp", there, "back"])).success();
    let back = std::fs::read(lab.folder().join("back")).unwrap();
    assert!(back == large.as_bytes());
    let listed = run(lab.aws("developer").args(["s3", "ls", "s3://sensor-logs"])).success();
    assert!(listed.contains("9830400 large"), "{listed}");
}

#[test]
fn a_refusal_reaches_the_user() {
    let mut lab = hub();
    let other = lab.device("hub-0002", KeyType::P256);
    let mismatched = hsm_tests::Device {
        key: lab.folder().join("hub-0001.key"),
        ..other
    };
    lab.configure(&mismatched);
    let error = run(lab.aws("hub").args(["sts", "get-caller-identity"])).failure();
    assert!(error.contains("hub-0002.pem"), "{error}");
}

#[test]
fn commands_share_a_session() {
    let lab = hub();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let who = || {
        let mut aws = lab.aws("hub");
        aws.env("XDG_RUNTIME_DIR", memory.path());
        let identity = run(aws.args(["sts", "get-caller-identity"])).success();
        json(&identity)["Arn"].to_string()
    };
    assert_eq!(who(), who());
    assert_eq!(lab.sandbox.session_requests().len(), 1);
}

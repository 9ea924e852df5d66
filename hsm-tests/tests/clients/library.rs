//! The program that shows how the library is used.

use hsm_tests::program::{self, Finished, run_with_input};

use crate::rig::{BUCKET, Rig};

fn example(rig: &Rig) -> Finished {
    let [certificate, key, intermediates, endpoint, arns @ ..] = rig.identity();
    let pem = |path: &str| std::fs::read_to_string(path).expect("the rig's file");
    let chain = pem(&certificate) + &pem(&intermediates);
    let mut command = program::command(program::example("aws_sdk"));
    rig.surround(&mut command);
    command
        .env("KEYSTEAD_ENDPOINT", endpoint)
        .arg(rig.lab.write("chain.pem", &chain))
        .arg(key)
        .args(arns)
        .arg(format!("s3://{BUCKET}/example/reading"));
    run_with_input(&mut command, "21.5")
}

#[test]
fn the_example_uploads_and_lists() {
    let rig = Rig::new();
    assert_eq!(example(&rig).success(), "example/reading\n");
    assert_eq!(
        rig.lab.object("example/reading").as_deref(),
        Some(&b"21.5"[..])
    );
}

#[test]
fn the_sdk_says_why_there_are_no_credentials() {
    let rig = Rig::new();
    rig.begin_outage();
    let error = example(&rig).failure();
    assert!(error.contains("HTTP 503"), "{error}");
}

//! The arguments with which AWS's helper was recorded, given to keystead as they are.

use std::borrow::Cow;

use keystead::sandbox::SandboxClock;
use serde_json::Value;

use crate::sandbox::vectors::sandbox_at;
use crate::support::program::{command, run};
use crate::support::vectors::{cases, folder, text};

/// The three ARNs, from the query of the recorded request.
fn arns(case: &Value) -> Vec<String> {
    let (_, query) = text(case, "/target").split_once('?').expect("a query");
    let decoded = query.replace("%3A", ":").replace("%2F", "/");
    decoded
        .split('&')
        .map(|pair| {
            let (name, arn) = pair.split_once('=').expect("a value");
            let flag = match name {
                "profileArn" => "--profile-arn",
                "roleArn" => "--role-arn",
                "trustAnchorArn" => "--trust-anchor-arn",
                other => panic!("{other}"),
            };
            format!("{flag}={arn}")
        })
        .collect()
}

#[test]
fn the_arguments_of_the_reference_give_credentials() {
    for case in cases("createsession.json") {
        let name = text(&case, "/name");
        let sandbox = sandbox_at(SandboxClock::system(), &case);
        let mut arguments: Vec<Cow<'_, str>> = vec!["credential-process".into()];
        let recorded = case["arguments"].as_array().expect("a list").iter();
        arguments.extend(recorded.map(|word| Cow::Borrowed(word.as_str().expect("text"))));
        arguments.extend(arns(&case).into_iter().map(Cow::Owned));
        arguments.push(format!("--endpoint={}", sandbox.url()).into());
        if name == "mldsa44" {
            arguments.push("--skip-certificate-rules".into());
        }
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let home = tempfile::tempdir().expect("a folder");
        let ran = run(command(home.path(), &arguments).current_dir(folder().join("keys")));
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        assert_eq!(document["Version"], 1, "{name}");
        for member in [
            "AccessKeyId",
            "SecretAccessKey",
            "SessionToken",
            "Expiration",
        ] {
            assert!(document[member].is_string(), "{name}: {member}");
        }
    }
}

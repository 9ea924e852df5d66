//! What `keystead push` uploads is there, byte by byte and with all that is kept with it, as AWS's command line
//! reads it.

use hsm_tests::program::{run, run_with_input};
use hsm_tests::s3::{S3s, Seaweed, Server};
use serde_json::json;

use crate::rig::{Rig, noise};

const MIB: usize = 1 << 20;

/// Keys that are hard to sign, or to write into a URL, and that both servers keep.
const ODD_KEYS: [&str; 5] = [
    "odd/blank and + and %2B",
    "odd/grüße/温度-🌡.json",
    "odd/?query=1&more#fragment",
    "odd/(all) the 'quotes\" ~*!$,;:@=",
    "odd/back\\slash|pipe^{{braces}}",
];

/// Of every size and both checksums, in one request and in parts, with credentials that may s3:PutObject and
/// nothing else.
fn bytes_arrive(server: &dyn Server) {
    let rig = Rig::new();
    let mut sent = Vec::new();
    for (size, checksum) in [
        (0, "crc64nvme"),
        (1, "sha256"),
        (4096, "crc64nvme"),
        (5 * MIB, "crc64nvme"),
        (11 * MIB + 17, "crc64nvme"),
        (10 * MIB + 1, "sha256"),
    ] {
        let key = format!("sizes/{size}-{checksum}");
        let bytes = noise(size as u64, size);
        rig.write("content", &bytes);
        let options = ["--part-size", "5MiB", "--checksum", checksum, "content"];
        run(&mut rig.push(server, server.writer(), &options, &key)).success();
        sent.push((key, bytes));
    }
    let mut stdin = rig.push(server, server.writer(), &["-"], "sizes/stdin");
    run_with_input(&mut stdin, "21.5").success();
    sent.push(("sizes/stdin".into(), b"21.5".to_vec()));
    for key in ODD_KEYS {
        rig.write("content", key.as_bytes());
        run(&mut rig.push(server, server.writer(), &["content"], key)).success();
        // Braces are doubled in templates.
        let key = key.replace("{{", "{").replace("}}", "}");
        let bytes = key.replace('{', "{{").replace('}', "}}").into_bytes();
        sent.push((key, bytes));
    }

    let mut aws = server.aws();
    for (key, bytes) in sent {
        assert!(aws.object(&key).bytes == bytes, "{key}");
    }
}

/// A folder, every file under its own key.
fn folders_arrive(server: &dyn Server) {
    let rig = Rig::new();
    for number in 0..40 {
        let name = format!("readings/{}/{number}.json", number % 4);
        rig.write(&name, &noise(number, 100 * number as usize));
    }
    let options = ["--recursive", "readings"];
    run(&mut rig.push(server, server.writer(), &options, "folder/")).success();
    let found = server.aws().objects("folder/");
    assert_eq!(found.len(), 40, "{:?}", found.keys());
    for (key, bytes) in found {
        let number: u64 = key
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .replace(".json", "")
            .parse()
            .expect("a number");
        assert!(bytes == noise(number, 100 * number as usize), "{key}");
    }
}

/// What is kept with an object, however it was sent.
fn attributes_arrive(server: &dyn Server, has_tags: bool, encrypts: bool) {
    let rig = Rig::new();
    rig.write("small.json", b"{}");
    rig.write("large.json", &noise(5, 6 * MIB));
    let mut options = vec![
        "--part-size",
        "5MiB",
        "--metadata",
        "unit=celsius",
        "--metadata",
        "site=north 3",
        "--content-encoding",
        "identity",
    ];
    if has_tags {
        options.extend(["--tag", "site=north 3", "--tag", "a+b=c/d:e@f_g.h-i"]);
    }
    if encrypts {
        options.extend(["--sse", "s3"]);
    }
    let mut aws = server.aws();
    for name in ["small.json", "large.json"] {
        let key = format!("attributes/{name}");
        let options = [&options[..], &[name]].concat();
        run(&mut rig.push(server, server.owner(), &options, &key)).success();
        let object = aws.object(&key);
        let fields = &object.fields;
        assert_eq!(
            fields["Metadata"],
            json!({ "unit": "celsius", "site": "north 3" }),
            "{fields}"
        );
        assert_eq!(fields["ContentType"], "application/json", "{fields}");
        assert_eq!(fields["ContentEncoding"], "identity", "{fields}");
        if encrypts {
            assert_eq!(fields["ServerSideEncryption"], "AES256", "{fields}");
        }
        if has_tags {
            let tags = aws.tags(&key);
            assert_eq!(tags["site"], "north 3");
            assert_eq!(tags["a+b"], "c/d:e@f_g.h-i");
        }
        let sent = std::fs::read(rig.path(name)).expect("the file is ours");
        assert!(object.bytes == sent, "{key}");
    }
}

/// An object that is there is left as it is, and only who has the same is told that all is well.
fn nothing_is_replaced(server: &dyn Server) {
    let rig = Rig::new();
    let options = ["--if-none-match", "reading"];
    let push = || run(&mut rig.push(server, server.owner(), &options, "kept/reading"));
    rig.write("reading", b"21.5");
    push().success();
    push().success();
    rig.write("reading", b"22.0");
    push().failure();
    assert_eq!(server.aws().object("kept/reading").bytes, b"21.5");
}

/// Whoever may not write is told so, and what S3 has said.
fn refusals_are_told(server: &dyn Server) {
    let rig = Rig::new();
    rig.write("reading", b"21.5");
    let mut stranger = server.owner().clone();
    stranger.secret_key.push('x');
    let told = run(&mut rig.push(server, &stranger, &["reading"], "refused")).failure();
    assert!(told.contains("SignatureDoesNotMatch"), "{told}");
    assert!(!told.contains(&stranger.secret_key), "{told}");
    assert!(server.aws().list("refused").is_empty());
}

#[test]
fn seaweedfs_keeps_what_is_pushed() {
    let server = Seaweed::start();
    bytes_arrive(&server);
    folders_arrive(&server);
    attributes_arrive(&server, true, true);
    nothing_is_replaced(&server);
    refusals_are_told(&server);
}

#[test]
fn s3s_keeps_what_is_pushed() {
    let server = S3s::start();
    bytes_arrive(&server);
    folders_arrive(&server);
    // It has neither tags nor keys of its own, and `If-None-Match` only where it answers.
    attributes_arrive(&server, false, false);
    nothing_is_replaced(&server);
    refusals_are_told(&server);
}

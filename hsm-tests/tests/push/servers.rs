//! The servers themselves: what these tests rely on.

use hsm_tests::s3::{Aws, BUCKET, S3s, Seaweed, Server};

/// Temporary credentials write, and do nothing else; nor does anybody write with a token that is another's.
fn temporary_credentials_write_alone(server: &dyn Server) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("reading");
    std::fs::write(&file, "21.5").expect("a file can be written");
    let body = file.to_str().expect("it is ASCII");
    let put = [
        "s3api",
        "put-object",
        "--bucket",
        BUCKET,
        "--key",
        "a/b",
        "--body",
        body,
    ];
    let get = ["s3api", "head-object", "--bucket", BUCKET, "--key", "a/b"];

    let mut writer = Aws::new(&server.url(), server.writer());
    writer.call(&put);
    writer.try_call(&get).expect_err("it may only write");
    let mut forged = server.writer().clone();
    forged.token = None;
    let refused = Aws::new(&server.url(), &forged).try_call(&put);
    refused.expect_err("there is no token");
    assert_eq!(server.aws().object("a/b").bytes, b"21.5");
}

#[test]
fn seaweedfs_has_temporary_credentials() {
    temporary_credentials_write_alone(&Seaweed::start());
}

#[test]
fn s3s_has_temporary_credentials() {
    temporary_credentials_write_alone(&S3s::start());
}

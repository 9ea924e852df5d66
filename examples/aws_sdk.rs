//! The AWS SDK for Rust with credentials from a certificate: uploads what it reads from standard input, and
//! lists what is there.
//!
//! ```text
//! cargo run -p hsm-tests --example aws_sdk -- CERTIFICATE KEY TRUST_ANCHOR_ARN PROFILE_ARN ROLE_ARN s3://BUCKET/KEY
//! ```
//!
//! `KEYSTEAD_ENDPOINT` and the SDK's own `AWS_ENDPOINT_URL` lead to a sandbox. The SDK's client for HTTPS is
//! left out here, since the sandbox does without; a program for AWS leaves `http_client` out instead.

use std::env;
use std::error::Error;
use std::io::{Read as _, stdin};

use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use keystead::aws_sdk::CredentialsProvider;
use keystead::host::arn::SessionArns;
use keystead::host::endpoint::Endpoint;
use keystead::host::refresh::IdentityFiles;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [certificate, key, trust_anchor, profile, role, to] = &arguments[..] else {
        return Err("six arguments: certificate, key, three ARNs, s3://BUCKET/KEY".into());
    };
    let path = to
        .strip_prefix("s3://")
        .and_then(|path| path.split_once('/'));
    let (bucket, object) = path.ok_or("the last argument has to be s3://BUCKET/KEY")?;

    let arns = SessionArns::new(trust_anchor, profile, role)?;
    let region = Region::new(arns.region().to_owned());
    let mut identity = IdentityFiles::new(certificate, arns).private_key(key);
    if let Ok(url) = env::var("KEYSTEAD_ENDPOINT") {
        identity = identity.endpoint(Endpoint::custom(&url)?);
    }
    let settings = aws_config::defaults(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(CredentialsProvider::of_files(identity)?)
        .region(region);
    let s3 = Client::new(&settings.load().await);

    let mut body = Vec::new();
    stdin().read_to_end(&mut body)?;
    let put = s3.put_object().bucket(bucket).key(object);
    put.body(body.into()).send().await?;
    let listed = s3.list_objects_v2().bucket(bucket).send().await?;
    for found in listed.contents() {
        println!("{}", found.key().unwrap_or_default());
    }
    Ok(())
}

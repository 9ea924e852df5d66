//! The AWS SDK for Rust as a program that runs for long: see tests/clients/client.rs for what it reads and
//! prints. Its credentials come from wherever the SDK looks for them; with arguments, from keystead's library:
//! `rust-client CERTIFICATE KEY INTERMEDIATES ENDPOINT TRUST_ANCHOR_ARN PROFILE_ARN ROLE_ARN`

use std::env;
use std::error::Error;
use std::io::{BufRead as _, stdin};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::identity::IdentityCache;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::DisplayErrorContext;
use aws_smithy_http_client::Builder;
use keystead::aws_sdk::CredentialsProvider;
use keystead::host::arn::SessionArns;
use keystead::host::endpoint::Endpoint;
use keystead::host::refresh::IdentityFiles;

const BUCKET: &str = "sensor-logs";

/// The SDK asks for new credentials when the old ones have this long to live. Usually that is 10 seconds;
/// sessions of tests are short, and are to be asked for as often as those of an hour in a day.
const AHEAD: Duration = Duration::from_secs(900);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = aws_config::defaults(BehaviorVersion::latest())
        .http_client(Builder::new().build_http())
        .identity_cache(IdentityCache::lazy().buffer_time(AHEAD).build());
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [
        certificate,
        key,
        intermediates,
        endpoint,
        trust_anchor,
        profile,
        role,
    ] = &arguments[..]
    {
        let arns = SessionArns::new(trust_anchor, profile, role)?;
        let files = IdentityFiles::new(certificate, arns)
            .private_key(key)
            .intermediates(intermediates)
            .endpoint(Endpoint::custom(endpoint)?);
        settings = settings.credentials_provider(CredentialsProvider::of_files(files)?);
    }
    let s3 = Client::new(&settings.load().await);
    for key in stdin().lock().lines() {
        let answer = match round(&s3, &key?).await {
            Ok(answer) => answer.to_owned(),
            Err(error) => format!("{error}").replace('\n', " "),
        };
        println!("{answer}");
    }
    Ok(())
}

async fn round(
    s3: &Client,
    key: &str,
) -> Result<&'static str, DisplayErrorContext<aws_sdk_s3::Error>> {
    let put = s3.put_object().bucket(BUCKET).key(key);
    put.body(b"21.5".to_vec().into())
        .send()
        .await
        .map_err(|error| DisplayErrorContext(error.into()))?;
    let list = s3.list_objects_v2().bucket(BUCKET).prefix(key);
    let listed = list
        .send()
        .await
        .map_err(|error| DisplayErrorContext(error.into()))?;
    let is_there = listed
        .contents()
        .iter()
        .any(|object| object.key() == Some(key));
    Ok(if is_there { "ok" } else { "not listed" })
}

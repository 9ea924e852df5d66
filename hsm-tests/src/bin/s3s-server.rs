//! An S3 server of the crates `s3s` and `s3s-fs`, as a program that can be killed: `s3s-server FOLDER KEYS ADDRESS`.
//! KEYS is a JSON file, a list of `{"access-key", "secret-key", "token", "operations", "has-ended"}`; a pair with a
//! token counts only with that token, and with a list of operations only for these. It is read for each request.
//! Says at which port it listens.

use std::error::Error;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::{env, fs};

use async_trait::async_trait;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{
    AbortMultipartUploadInput, CompleteMultipartUploadInput, CreateMultipartUploadInput,
    ListPartsInput, UploadPartInput,
};
use s3s::host::{S3Host, VirtualHost};
use s3s::service::S3ServiceBuilder;
use s3s::{S3Request, S3Result, s3_error};
use s3s_fs::FileSystem;
use serde::Deserialize;
use tokio::net::TcpListener;

/// What follows a bucket in the name of its host.
const DOMAIN: &str = ".s3.test";

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Key {
    access_key: String,
    secret_key: String,
    token: Option<String>,
    operations: Option<Vec<String>>,
    has_ended: bool,
}

/// The file with the pairs.
#[derive(Clone)]
struct Keys(Arc<PathBuf>);

impl Keys {
    fn get(&self, access_key: &str) -> S3Result<Key> {
        let file = fs::read(&*self.0).map_err(|error| s3_error!(error, InternalError))?;
        let keys: Vec<Key> =
            serde_json::from_slice(&file).map_err(|error| s3_error!(error, InternalError))?;
        let known = keys.into_iter().find(|key| key.access_key == access_key);
        known.ok_or_else(|| s3_error!(InvalidAccessKeyId, "There is no such access key"))
    }
}

#[async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        Ok(SecretKey::from(self.get(access_key)?.secret_key.as_str()))
    }
}

#[async_trait]
impl S3Access for Keys {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let credentials = context
            .credentials()
            .ok_or_else(|| s3_error!(AccessDenied, "Anonymous access is forbidden"))?;
        let key = self.get(&credentials.access_key)?;
        let token = context.headers().get("x-amz-security-token");
        if token.map(http::HeaderValue::as_bytes) != key.token.as_ref().map(String::as_bytes) {
            return Err(s3_error!(InvalidToken, "That is not the key's token"));
        }
        if key.has_ended {
            return Err(s3_error!(ExpiredToken, "The provided token has expired."));
        }
        let operation = context.s3_op().name();
        let is_allowed = |operations: &Vec<String>| operations.iter().any(|may| may == operation);
        if !key.operations.as_ref().is_none_or(is_allowed) {
            return Err(s3_error!(AccessDenied, "The key is not for {operation}"));
        }
        Ok(())
    }

    async fn create_multipart_upload(
        &self,
        request: &mut S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<()> {
        belongs_to_the_bucket(request)
    }

    async fn upload_part(&self, request: &mut S3Request<UploadPartInput>) -> S3Result<()> {
        belongs_to_the_bucket(request)
    }

    async fn list_parts(&self, request: &mut S3Request<ListPartsInput>) -> S3Result<()> {
        belongs_to_the_bucket(request)
    }

    async fn complete_multipart_upload(
        &self,
        request: &mut S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<()> {
        belongs_to_the_bucket(request)
    }

    async fn abort_multipart_upload(
        &self,
        request: &mut S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<()> {
        belongs_to_the_bucket(request)
    }
}

/// A bucket is in the path, or in the host's name.
struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.split(':').next().unwrap_or(host);
        Ok(match name.strip_suffix(DOMAIN) {
            Some(bucket) => VirtualHost::new(host).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

/// `s3s-fs` would keep an upload in parts for the access key that began it; S3 does not.
fn belongs_to_the_bucket<T>(request: &mut S3Request<T>) -> S3Result<()> {
    request.credentials = None;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let mut next = || arguments.next().ok_or("an argument is missing");
    let (folder, keys) = (next()?, Keys(Arc::new(next()?)));
    let address: Ipv4Addr = next()?.to_string_lossy().parse()?;

    let objects = FileSystem::new(folder).map_err(|error| format!("{error:?}"))?;
    let mut builder = S3ServiceBuilder::new(objects);
    builder.set_auth(keys.clone());
    builder.set_access(keys);
    builder.set_host(Hosts);
    let listener = TcpListener::bind((address, 0)).await?;
    let service = builder.build();
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;

    loop {
        let (stream, _) = listener.accept().await?;
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            // Whoever breaks the connection off knows why.
            let _ = connection.await;
        });
    }
}

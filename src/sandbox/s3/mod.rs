//! S3, by `s3s` and `s3s-fs`: their SigV4 check, their storage. What is added here is whose
//! credentials count, and for what.

mod access;
mod actions;
mod gate;

use std::borrow::ToOwned as _;
use std::path::Path;
use std::string::String;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, HttpResponse, S3Error, S3ErrorCode};
use s3s_fs::FileSystem;

use self::access::SessionAccess;
use super::clock::SandboxClock;
use super::sessions::Sessions;

/// The S3 of one account in one region.
#[derive(Debug, Clone)]
pub(super) struct S3 {
    service: S3Service,
}

impl S3 {
    /// Serves the objects below `root`, a directory with one directory for each bucket.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub(super) fn new(
        root: &Path,
        region: &str,
        sessions: Arc<Sessions>,
        clock: SandboxClock,
    ) -> Result<Self, s3s_fs::Error> {
        let access = SessionAccess::new(root, region, sessions, clock);
        let mut builder = S3ServiceBuilder::new(FileSystem::new(root)?);
        // Dates are judged by the sandbox's clock, which may be far from the system's.
        let mut config = S3Config::default();
        config.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(access.clone());
        builder.set_access(access);
        Ok(Self {
            service: builder.build(),
        })
    }

    /// Answers a request.
    ///
    /// # Errors
    /// If the answer cannot be formed: the connection is to be closed.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        skew: i64,
    ) -> Result<HttpResponse, HttpError> {
        match gate::check(&request) {
            Ok(()) => {
                let mut request = request.map(Body::from);
                request.extensions_mut().insert(access::Skew(skew));
                self.service.call(request).await
            }
            Err(error) => respond(error),
        }
    }
}

/// The answer of a service that is overloaded or fails.
pub(super) fn failure(code: S3ErrorCode) -> Result<HttpResponse, HttpError> {
    respond(S3Error::new(code))
}

/// The code in an error's document.
pub(super) fn error_code(body: &Body) -> Option<String> {
    let document = body.bytes()?;
    let document = core::str::from_utf8(&document).ok()?;
    let (_, rest) = document.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code.to_owned())
}

fn respond(error: S3Error) -> Result<HttpResponse, HttpError> {
    error
        .to_http_response()
        .map_err(|error| HttpError::new(error.into()))
}

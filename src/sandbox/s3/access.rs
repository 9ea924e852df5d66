//! Whose credentials count, and for what: sessions that the sandbox issued and that have not ended,
//! within what role and session policy allow.

use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::format;
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use async_trait::async_trait;
use http::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{Credentials, S3Auth, SecretKey};
use s3s::dto::{
    AbortMultipartUploadInput, CompleteMultipartUploadInput, CreateMultipartUploadInput,
    DeleteObjectsInput, ListObjectsInput, ListObjectsV2Input, ListPartsInput, UploadPartCopyInput,
    UploadPartInput,
};
use s3s::path::S3Path;
use s3s::{S3Request, S3Result, s3_error};

use super::actions::{object_arn, required};
use crate::core::time::{Clock as _, UnixTime};
use crate::sandbox::authorization::{Authorization, single};
use crate::sandbox::clock::SandboxClock;
use crate::sandbox::policy::Decision;
use crate::sandbox::sessions::{Found, Session, Sessions};

/// How far a request's date may be off (S3 error responses, `RequestTimeTooSkewed`).
const DATE_WINDOW_SECONDS: u64 = 900;

/// A fault's: by how many seconds the clock is off for this request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skew(pub(super) i64);

/// Judges every request to S3.
#[derive(Debug, Clone)]
pub(super) struct SessionAccess {
    root: PathBuf,
    region: String,
    sessions: Arc<Sessions>,
    clock: SandboxClock,
}

impl SessionAccess {
    pub(super) fn new(
        root: &Path,
        region: &str,
        sessions: Arc<Sessions>,
        clock: SandboxClock,
    ) -> Self {
        Self {
            root: root.to_owned(),
            region: region.to_owned(),
            sessions,
            clock,
        }
    }

    /// The session of a request whose signature is right.
    fn session(
        &self,
        credentials: &Credentials,
        token: Option<&str>,
        now: UnixTime,
    ) -> S3Result<Arc<Session>> {
        match self.sessions.find(&credentials.access_key, token, now) {
            Found::Valid(session) => Ok(session),
            Found::Expired => Err(s3_error!(ExpiredToken, "The provided token has expired.")),
            Found::WrongToken => Err(s3_error!(
                InvalidToken,
                "The provided token is malformed or otherwise invalid."
            )),
            Found::Unknown => Err(unknown_key()),
        }
    }

    /// `s3s-fs` says `AccessDenied` of uploads that have ended.
    fn check_upload(&self, id: &str) -> S3Result<()> {
        let is_id = id
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if is_id && self.root.join(format!(".upload-{id}.json")).is_file() {
            return Ok(());
        }
        Err(s3_error!(
            NoSuchUpload,
            "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart \
             upload might have been aborted or completed."
        ))
    }

    /// `s3s-fs` would make a bucket that is not there, and take a key for a path: what is in such a
    /// key could be the object of another key or bucket.
    fn check_storable(&self, operation: &str, path: &S3Path) -> S3Result<()> {
        if let Some(bucket) = path.get_bucket_name()
            && operation != "CreateBucket"
            && !self.root.join(bucket).is_dir()
        {
            return Err(s3_error!(
                NoSuchBucket,
                "The specified bucket does not exist"
            ));
        }
        match path.get_object_key() {
            Some(key) => check_key(key),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl S3Auth for SessionAccess {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let session = self.sessions.get(access_key).ok_or_else(unknown_key)?;
        Ok(SecretKey::from(session.secret_access_key.as_str()))
    }
}

#[async_trait]
impl S3Access for SessionAccess {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let skew = context
            .extensions_mut()
            .get::<Skew>()
            .map_or(0, |skew| skew.0);
        let now = self.clock.now().offset_by(skew);
        let credentials = context
            .credentials()
            .ok_or_else(|| s3_error!(AccessDenied, "Anonymous access is forbidden"))?;
        let signed = Signed::read(context.headers(), context.uri().query().unwrap_or_default())?;
        signed.check_scope(&self.region, context.headers())?;
        signed.check_date(now)?;
        let session = self.session(credentials, signed.token.as_deref(), now)?;
        let operation = context.s3_op().name();
        for (action, resource) in required(operation, context.s3_path(), context.headers())? {
            authorize(&session, action, &resource)?;
        }
        self.check_storable(operation, context.s3_path())?;
        context.extensions_mut().insert(session);
        Ok(())
    }

    async fn create_multipart_upload(
        &self,
        request: &mut S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<()> {
        belongs_to_the_bucket(request)
    }

    async fn upload_part(&self, request: &mut S3Request<UploadPartInput>) -> S3Result<()> {
        self.check_upload(&request.input.upload_id)?;
        belongs_to_the_bucket(request)
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        self.check_upload(&request.input.upload_id)?;
        belongs_to_the_bucket(request)
    }

    async fn list_parts(&self, request: &mut S3Request<ListPartsInput>) -> S3Result<()> {
        self.check_upload(&request.input.upload_id)?;
        belongs_to_the_bucket(request)
    }

    async fn complete_multipart_upload(
        &self,
        request: &mut S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<()> {
        self.check_upload(&request.input.upload_id)?;
        belongs_to_the_bucket(request)
    }

    async fn abort_multipart_upload(
        &self,
        request: &mut S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<()> {
        self.check_upload(&request.input.upload_id)?;
        belongs_to_the_bucket(request)
    }

    /// S3 itself answers with an error for each key that may not be deleted; here one of them refuses
    /// the whole request.
    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        let session = request.extensions.get::<Arc<Session>>();
        let session = session.ok_or_else(unknown_key)?;
        for object in &request.input.delete.objects {
            let resource = object_arn(&request.input.bucket, &object.key);
            authorize(session, "s3:DeleteObject", &resource)?;
            check_key(&object.key)?;
        }
        Ok(())
    }

    /// `s3s-fs` says that it encodes keys if it is asked to, but does not: clients would decode them.
    async fn list_objects(&self, request: &mut S3Request<ListObjectsInput>) -> S3Result<()> {
        request.input.encoding_type = None;
        Ok(())
    }

    /// As for [`list_objects`](Self::list_objects).
    async fn list_objects_v2(&self, request: &mut S3Request<ListObjectsV2Input>) -> S3Result<()> {
        request.input.encoding_type = None;
        Ok(())
    }
}

/// `s3s-fs` would keep an upload in parts for the access key that began it, but an upload outlives the
/// session that began it: whoever may write the object may go on with it.
fn belongs_to_the_bucket<T>(request: &mut S3Request<T>) -> S3Result<()> {
    request.credentials = None;
    Ok(())
}

fn unknown_key() -> s3s::S3Error {
    s3_error!(
        InvalidAccessKeyId,
        "The AWS Access Key Id you provided does not exist in our records."
    )
}

fn authorize(session: &Session, action: &str, resource: &str) -> S3Result<()> {
    let why = match session.decide(action, resource) {
        Decision::Allowed => return Ok(()),
        Decision::NotAllowed => "no policy of the role or the session allows it",
        Decision::Denied => "of an explicit deny",
    };
    let user = session.arn();
    Err(s3_error!(
        AccessDenied,
        "User: {user} is not authorized to perform: {action} on resource: \"{resource}\" because {why}"
    ))
}

fn check_key(key: &str) -> S3Result<()> {
    let path = key.strip_suffix('/').unwrap_or(key);
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(s3_error!(
            InvalidArgument,
            "The sandbox keeps objects in files: a key with an empty part, `.` or `..` cannot be kept"
        ));
    }
    Ok(())
}

/// What a request says of its signature, in the `Authorization` header or in the query. That it is
/// right was checked before.
struct Signed {
    region: String,
    time: UnixTime,
    /// A presigned URL's: for how many seconds it is good.
    expires: Option<u64>,
    names: Vec<String>,
    token: Option<String>,
}

impl Signed {
    fn read(headers: &HeaderMap, query: &str) -> S3Result<Self> {
        let read = if headers.contains_key("authorization") {
            Self::from_headers(headers)
        } else {
            Self::from_query(query)
        };
        read.ok_or_else(|| {
            s3_error!(
                AuthorizationHeaderMalformed,
                "The signature's fields cannot be read"
            )
        })
    }

    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let authorization = Authorization::of(headers)?;
        Some(Self {
            region: authorization.region.to_owned(),
            time: UnixTime::parse_amz(single(headers, "x-amz-date")?)?,
            expires: None,
            names: authorization.names().map(str::to_owned).collect(),
            token: single(headers, "x-amz-security-token").map(str::to_owned),
        })
    }

    fn from_query(query: &str) -> Option<Self> {
        let parameter = |name: &str| {
            let mut found = form_urlencoded::parse(query.as_bytes())
                .filter(|(given, _)| given == name)
                .map(|(_, value)| value.into_owned());
            let value = found.next();
            value.filter(|_| found.next().is_none())
        };
        let credential = parameter("X-Amz-Credential")?;
        let names = parameter("X-Amz-SignedHeaders")?;
        Some(Self {
            region: credential.rsplit('/').nth(2)?.to_owned(),
            time: UnixTime::parse_amz(&parameter("X-Amz-Date")?)?,
            expires: Some(parameter("X-Amz-Expires")?.parse().ok()?),
            names: names.split(';').map(str::to_owned).collect(),
            token: parameter("X-Amz-Security-Token"),
        })
    }

    fn check_scope(&self, region: &str, headers: &HeaderMap) -> S3Result<()> {
        if self.region != region {
            let given = &self.region;
            return Err(s3_error!(
                AuthorizationHeaderMalformed,
                "The authorization header is malformed; the region '{given}' is wrong; expecting '{region}'"
            ));
        }
        let has_to_be_signed = |name: &str| {
            // botocore presigns no payload hash, and sends one where it knows it.
            let is_payload = self.expires.is_some() && name == "x-amz-content-sha256";
            name == "host" || name.starts_with("x-amz-") && !is_payload
        };
        let unsigned = headers
            .keys()
            .map(http::HeaderName::as_str)
            .find(|name| has_to_be_signed(name) && !self.names.iter().any(|signed| signed == name));
        match unsigned {
            None => Ok(()),
            Some(name) => Err(s3_error!(
                AccessDenied,
                "There were headers present in the request which were not signed: {name}"
            )),
        }
    }

    fn check_date(&self, now: UnixTime) -> S3Result<()> {
        let off = now.since(self.time);
        match self.expires {
            Some(seconds) if off > 0 && off.unsigned_abs() > seconds => {
                Err(s3_error!(AccessDenied, "Request has expired"))
            }
            Some(_) if off >= 0 => Ok(()),
            _ if off.unsigned_abs() > DATE_WINDOW_SECONDS => Err(s3_error!(
                RequestTimeTooSkewed,
                "The difference between the request time and the current time is too large."
            )),
            _ => Ok(()),
        }
    }
}

//! The operations over HTTP.

use core::time::Duration;
use std::format;
use std::io::Read;
use std::string::{String, ToString as _};
use std::sync::Arc;

use super::attributes::Attributes;
use super::bucket::{Bucket, query_value};
use super::classify;
use super::clock::S3Clock;
use super::digest::{Checksum, ChecksumAlgorithm};
use super::documents::{self, CompleteResult, ErrorDocument, PartsPage};
use super::error::{FaultKind, S3Error};
use super::headers::Headers;
use super::reply::Reply;
use super::store::{Body, Completed, ObjectStore, Part, PartList, Stored, UploadId};
use super::wire::Wire;
use crate::core::http;
use crate::core::s3::{self, S3Request, UNSIGNED_PAYLOAD};
use crate::core::sigv4::{Payload, hash_body};
use crate::core::time::{Clock as _, UnixTime};
use crate::host::fault_points;
use crate::host::session::Credentials;
use crate::host::transport::{HttpError, TransportOptions};

const USER_AGENT: &str = concat!("keystead/", env!("CARGO_PKG_VERSION"));

/// Parts on a page of `ListParts`. More would be allowed, and take as much more memory.
const PAGE: usize = 250;

/// The highest number of a part (S3 user guide, "Amazon S3 multipart upload limits").
const MAX_PARTS: usize = 10_000;

/// How many times longer than others the server may take to put an upload's parts together.
const COMPLETION: u32 = 5;

/// What the checksum of an upload in parts is of (S3 user guide, "Checking object integrity").
const FULL_OBJECT: &str = "FULL_OBJECT";
const COMPOSITE: &str = "COMPOSITE";

/// A bucket over HTTP or HTTPS. It keeps its connection from one operation to the next; each thread that uploads has
/// one of its own.
pub struct Client {
    bucket: Bucket,
    clock: Arc<S3Clock>,
    wire: Wire,
}

/// A request that is still without a signature.
struct Operation<'a> {
    /// As S3's documentation names it.
    name: &'static str,
    method: &'static str,
    key: &'a str,
    query: String,
    headers: Headers,
}

impl Client {
    /// A client for `bucket`. Nothing is connected yet. Of the options, the one for a whole exchange does not count:
    /// an exchange may take as long as something moves.
    ///
    /// # Errors
    /// [`HttpError::Proxy`] if the proxy's URL cannot be used.
    pub fn new(
        bucket: Bucket,
        options: &TransportOptions,
        clock: Arc<S3Clock>,
    ) -> Result<Self, HttpError> {
        let wire = Wire::new(bucket.endpoint().clone(), options, clock.host().clone())?;
        Ok(Self {
            bucket,
            clock,
            wire,
        })
    }

    /// The bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Gives a connection up when nothing has moved on it for this long; without it that is a minute.
    pub fn set_idle_timeout(&mut self, idle: Duration) {
        self.wire.set_idle(idle);
    }

    fn send(
        &mut self,
        credentials: &Credentials,
        mut operation: Operation<'_>,
        payload: Payload<'_>,
        body: &mut dyn Read,
        length: u64,
    ) -> Result<Reply, S3Error> {
        if let Some(owner) = &self.bucket.expected_owner {
            operation.headers.add("x-amz-expected-bucket-owner", owner);
        }
        let Operation {
            name, method, key, ..
        } = operation;
        let target = self.bucket.target(key, &operation.query);
        let request = S3Request {
            method,
            host: &self.bucket.endpoint().authority,
            target: &target,
            region: self.bucket.region(),
            headers: [&operation.headers.list(), &[]],
            payload,
            user_agent: USER_AGENT,
        };
        let credentials = s3::Credentials {
            access_key_id: &credentials.access_key_id,
            secret_access_key: &credentials.secret_access_key,
            session_token: &credentials.session_token,
        };
        let wire = &mut self.wire;
        let now = self.clock.now();
        let nothing = http::Body::Bytes(b"");
        fault_points::reach("S3 is asked");
        let sent = request.with_signed(&credentials, now, nothing, |request| {
            wire.exchange(request, body, length)
        });
        // What was uploaded is there, and nobody here knows it yet.
        fault_points::reach("S3 has answered");
        let reply = sent
            .map_err(|error| classify::unsignable(key, &error.to_string()))?
            .map_err(|failure| classify::failure(name, &self.bucket, key, failure))?;
        let date = self.date(&reply);
        if let Some(date) = date {
            self.clock.learn(date);
        }
        let success = (200..300).contains(&reply.status);
        if success && ErrorDocument::read(&reply.body).is_none() {
            return Ok(reply);
        }
        Err(classify::refusal(name, &self.bucket, key, &reply, date))
    }

    /// An operation with nothing in its body.
    fn ask(
        &mut self,
        credentials: &Credentials,
        operation: Operation<'_>,
    ) -> Result<Reply, S3Error> {
        self.send_bytes(credentials, operation, b"")
    }

    fn send_bytes(
        &mut self,
        credentials: &Credentials,
        operation: Operation<'_>,
        mut body: &[u8],
    ) -> Result<Reply, S3Error> {
        let hash = hash_body(&http::Body::Bytes(body))
            .map_err(|_| classify::unsignable(operation.key, "its body cannot be hashed"))?;
        let length = body.len() as u64;
        let payload = Payload::Sha256(hash);
        self.send(credentials, operation, payload, &mut body, length)
    }

    fn send_body(
        &mut self,
        credentials: &Credentials,
        mut operation: Operation<'_>,
        body: Body<'_>,
    ) -> Result<Reply, S3Error> {
        operation.headers.checksum(&body.checksum);
        let payload = match body.sha256 {
            Some(hash) => Payload::Sha256(hash),
            None => Payload::Literal(UNSIGNED_PAYLOAD),
        };
        self.send(credentials, operation, payload, body.reader, body.length)
    }

    fn date(&self, reply: &Reply) -> Option<UnixTime> {
        let date = reply.value("date").and_then(UnixTime::parse_http)?;
        self.wire.verifies_server().then_some(date)
    }

    /// What the headers of an answer say of an object.
    fn stored(&self, reply: &Reply) -> Stored {
        let text = |name| reply.value(name).map(String::from);
        let checksum = |algorithm: ChecksumAlgorithm| {
            Checksum::parse(algorithm, reply.value(algorithm.header())?)
        };
        // A checksum of parts' checksums has their number behind it. Without it, it says nothing.
        let composite = reply.value("x-amz-checksum-type") == Some("COMPOSITE");
        Stored {
            etag: text("etag").unwrap_or_default(),
            checksum: checksum(ChecksumAlgorithm::Crc64Nvme)
                .or_else(|| checksum(ChecksumAlgorithm::Sha256))
                .filter(|checksum| !composite || matches!(checksum, Checksum::Sha256OfParts(..))),
            version: text("x-amz-version-id"),
            encryption: text("x-amz-server-side-encryption"),
            date: self.date(reply),
            length: None,
        }
    }

    /// What a server says that has taken a body. One that names no ETag is none of S3, but a portal, perhaps, that
    /// answers everything with a page.
    fn taken(&self, name: &str, key: &str, reply: &Reply) -> Result<Stored, S3Error> {
        let stored = self.stored(reply);
        if stored.etag.is_empty() {
            return Err(self.unreadable(name, key, reply, "it has no ETag"));
        }
        Ok(stored)
    }

    fn unreadable(&self, name: &str, key: &str, reply: &Reply, why: &str) -> S3Error {
        classify::unreadable(name, &self.bucket, key, reply, why)
    }
}

impl<'a> Operation<'a> {
    fn new(name: &'static str, method: &'static str, key: &'a str, query: String) -> Self {
        Self {
            name,
            method,
            key,
            query,
            headers: Headers::default(),
        }
    }

    fn only_if_absent(&mut self, only_if_absent: bool) {
        if only_if_absent {
            self.headers.add("if-none-match", "*");
        }
    }
}

fn of_upload(upload: &UploadId) -> String {
    format!("uploadId={}", query_value(&upload.0))
}

impl ObjectStore for Client {
    fn put(
        &mut self,
        credentials: &Credentials,
        key: &str,
        attributes: &Attributes,
        body: Body<'_>,
    ) -> Result<Stored, S3Error> {
        const NAME: &str = "PutObject";
        let mut operation = Operation::new(NAME, "PUT", key, String::new());
        operation.headers.attributes(attributes);
        operation.only_if_absent(attributes.only_if_absent);
        let reply = self.send_body(credentials, operation, body)?;
        self.taken(NAME, key, &reply)
    }

    fn create_upload(
        &mut self,
        credentials: &Credentials,
        key: &str,
        attributes: &Attributes,
        checksum: ChecksumAlgorithm,
    ) -> Result<UploadId, S3Error> {
        const NAME: &str = "CreateMultipartUpload";
        let mut operation = Operation::new(NAME, "POST", key, "uploads".into());
        operation.headers.attributes(attributes);
        let headers = &mut operation.headers;
        let (algorithm, kind) = match checksum {
            ChecksumAlgorithm::Crc64Nvme => ("CRC64NVME", FULL_OBJECT),
            ChecksumAlgorithm::Sha256 => ("SHA256", COMPOSITE),
        };
        headers.add("x-amz-checksum-algorithm", algorithm);
        headers.add("x-amz-checksum-type", kind);
        let reply = self.ask(credentials, operation)?;
        documents::upload_id(&reply.body)
            .map(UploadId)
            .map_err(|why| self.unreadable(NAME, key, &reply, why))
    }

    fn put_part(
        &mut self,
        credentials: &Credentials,
        key: &str,
        upload: &UploadId,
        number: u32,
        body: Body<'_>,
    ) -> Result<Part, S3Error> {
        const NAME: &str = "UploadPart";
        let length = body.length;
        let query = format!("partNumber={number}&{}", of_upload(upload));
        let operation = Operation::new(NAME, "PUT", key, query);
        let reply = self.send_body(credentials, operation, body)?;
        let stored = self.taken(NAME, key, &reply)?;
        Ok(Part {
            number,
            etag: stored.etag,
            length,
            checksum: stored.checksum,
        })
    }

    fn complete(
        &mut self,
        credentials: &Credentials,
        key: &str,
        upload: &UploadId,
        completed: &Completed<'_>,
    ) -> Result<Stored, S3Error> {
        const NAME: &str = "CompleteMultipartUpload";
        let mut operation = Operation::new(NAME, "POST", key, of_upload(upload));
        operation.only_if_absent(completed.only_if_absent);
        let headers = &mut operation.headers;
        headers.add("content-type", "application/xml");
        match &completed.checksum {
            // S3 makes this one itself out of the parts' checksums, which the body has.
            Checksum::Sha256OfParts(..) => headers.add("x-amz-checksum-type", COMPOSITE),
            whole => {
                headers.checksum(whole);
                headers.add("x-amz-checksum-type", FULL_OBJECT);
            }
        }
        headers.add("x-amz-mp-object-size", completed.length);
        let body = documents::complete(completed.parts);
        let idle = self.wire.idle();
        self.wire.set_idle(idle * COMPLETION);
        let reply = self.send_bytes(credentials, operation, &body);
        self.wire.set_idle(idle);
        let reply = reply?;
        let result = CompleteResult::read(&reply.body)
            .map_err(|why| self.unreadable(NAME, key, &reply, why))?;
        let stored = self.stored(&reply);
        Ok(Stored {
            etag: result.etag,
            checksum: result.checksum.or(stored.checksum),
            ..stored
        })
    }

    fn abort(
        &mut self,
        credentials: &Credentials,
        key: &str,
        upload: &UploadId,
    ) -> Result<(), S3Error> {
        let query = of_upload(upload);
        let operation = Operation::new("AbortMultipartUpload", "DELETE", key, query);
        match self.ask(credentials, operation) {
            Ok(_) => Ok(()),
            Err(error) if error.code == "NoSuchUpload" => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn parts(
        &mut self,
        credentials: &Credentials,
        key: &str,
        upload: &UploadId,
    ) -> Result<PartList, S3Error> {
        const NAME: &str = "ListParts";
        let mut parts = PartList::new();
        let mut after = 0;
        loop {
            let mut query = format!("max-parts={PAGE}");
            if after > 0 {
                query += &format!("&part-number-marker={after}");
            }
            query += &format!("&{}", of_upload(upload));
            let operation = Operation::new(NAME, "GET", key, query);
            let reply = self.ask(credentials, operation)?;
            let page = PartsPage::read(&reply.body)
                .map_err(|why| self.unreadable(NAME, key, &reply, why))?;
            parts.extend(page.parts);
            match page.next {
                None => {
                    // Not all servers keep to the order.
                    parts.sort_by_key(|part| part.number);
                    return Ok(parts);
                }
                // Numbers only go up, and there are no more than that: a server that says otherwise would be asked
                // for ever.
                Some(next) if next > after && parts.len() <= MAX_PARTS => after = next,
                Some(_) => {
                    let why = "its pages do not come to an end";
                    return Err(self.unreadable(NAME, key, &reply, why));
                }
            }
        }
    }

    fn head(&mut self, credentials: &Credentials, key: &str) -> Result<Option<Stored>, S3Error> {
        let mut operation = Operation::new("HeadObject", "HEAD", key, String::new());
        operation.headers.add("x-amz-checksum-mode", "ENABLED");
        match self.ask(credentials, operation) {
            Ok(reply) => Ok(Some(Stored {
                length: reply
                    .value("content-length")
                    .and_then(|length| length.parse().ok()),
                ..self.stored(&reply)
            })),
            Err(error) if error.status == Some(404) => Ok(None),
            // A HEAD's answer says no more than its status, and there are two with 400 that other credentials cure.
            Err(error) if error.status == Some(400) && error.code.is_empty() => Err(S3Error {
                kind: FaultKind::Credentials,
                ..error
            }),
            Err(error) => Err(error),
        }
    }
}

//! HTTP: which service a request is for, what befalls it, and what it is answered.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::format;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::{Body, HttpError, S3ErrorCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::authorization::Authorization;
use super::config::Config;
use super::create_session::{Call, Refusal, create_session};
use super::faults::Fault;
use super::record::{Record, Recorded, Service};
use super::s3::{self, S3};
use super::sessions::Sessions;
use super::sts::{self, StsError};
use crate::core::time::{Clock as _, UnixTime};

/// Enough for a leaf and five ML-DSA-87 certificates with their signature (PROTOCOL 1.9: about 70 KB).
const MAX_HEAD_LEN: usize = 256 * 1024;

/// No request to IAM Roles Anywhere or STS is anywhere near as long.
const MAX_BODY_LEN: usize = 1024 * 1024;

/// Serves requests.
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) sessions: Arc<Sessions>,
    pub(super) s3: S3,
    pub(super) record: Record,
    pub(super) request_count: AtomicU64,
}

/// The connection is to be closed instead of an answer.
#[derive(Debug)]
struct Closed;

impl core::fmt::Display for Closed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the connection is closed on purpose")
    }
}

impl core::error::Error for Closed {}

impl From<HttpError> for Closed {
    fn from(_: HttpError) -> Self {
        Self
    }
}

/// An answer, and why the request was refused, if it was.
type Answer = (Response<Body>, Option<String>);

impl Server {
    /// Accepts connections until `stop` is sent or dropped.
    pub(super) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        mut stop: oneshot::Receiver<()>,
    ) {
        loop {
            let stream = tokio::select! {
                _ = &mut stop => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    // Too many open files, for instance: those that are open will end.
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                },
            };
            let (server, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => server.serve(stream).await,
                    Some(tls) => {
                        // A client that does not trust the certificate says so itself.
                        if let Ok(stream) = tls.accept(stream).await {
                            server.serve(stream).await;
                        }
                    }
                }
            });
        }
    }

    async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = service_fn(|request| {
            let server = self.clone();
            async move { server.handle(request).await }
        });
        let connection = http1::Builder::new()
            .max_buf_size(MAX_HEAD_LEN)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service);
        // What ends a connection early is the client's business, or a fault that was asked for.
        let _ = connection.await;
    }

    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let service = service_of(&request);
        let faults = self.config.faults.next(service);
        let skew: i64 = faults
            .iter()
            .map(|fault| match fault {
                Fault::Skew(seconds) => *seconds,
                _ => 0,
            })
            .sum();
        for fault in &faults {
            if let Fault::Slow(delay) = fault {
                tokio::time::sleep(*delay).await;
            }
        }
        let now = self.config.clock.now().offset_by(skew);
        let mut recorded = record_head(service, &request);
        let result = self
            .answer(service, request, &faults, now, skew, &mut recorded)
            .await;
        let result = match result {
            Ok(_) if faults.contains(&Fault::Lose) => Err(Closed),
            result => result,
        };
        recorded.status = result
            .as_ref()
            .ok()
            .map(|(response, _)| response.status().as_u16());
        if let Ok((_, reason)) = &result {
            recorded.reason.clone_from(reason);
        }
        self.record.add(recorded);
        let (mut response, _) = result?;
        if let Ok(date) = HeaderValue::try_from(now.http().to_string()) {
            response.headers_mut().insert(DATE, date);
        }
        Ok(response)
    }

    async fn answer(
        &self,
        service: Service,
        request: Request<Incoming>,
        faults: &[Fault],
        now: UnixTime,
        skew: i64,
        recorded: &mut Recorded,
    ) -> Result<Answer, Closed> {
        let request_id = format!(
            "{:032x}",
            self.request_count.fetch_add(1, Ordering::Relaxed)
        );
        if let Some(fault) = faults.iter().find(|fault| fault.is_final()) {
            let response = failure(service, fault, &request_id)?;
            return Ok((response, Some(format!("fault: {fault:?}"))));
        }
        if service == Service::S3 {
            return Ok((self.s3.answer(request, skew).await?, None));
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY_LEN).collect().await else {
            let response = respond(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", String::new());
            return Ok((response, Some("the body is too long or broke off".into())));
        };
        let body = body.to_bytes();
        recorded.body = body.to_vec();
        if service == Service::Sts {
            return Ok(self.sts(&head, &body, now, &request_id));
        }
        Ok(self.roles_anywhere(&head, &body, now, faults, &request_id))
    }

    fn sts(&self, head: &http::request::Parts, body: &Bytes, now: UnixTime, id: &str) -> Answer {
        match sts::answer(&self.config, &self.sessions, head, body, now, id) {
            Ok(document) => (respond(StatusCode::OK, XML, document), None),
            Err(error) => {
                let response = respond(error.status, XML, error.body(id));
                (response, Some(error.message))
            }
        }
    }

    fn roles_anywhere(
        &self,
        head: &http::request::Parts,
        body: &Bytes,
        now: UnixTime,
        faults: &[Fault],
        id: &str,
    ) -> Answer {
        let lifetime = faults.iter().find_map(|fault| match fault {
            Fault::Expire(lifetime) => Some(*lifetime),
            _ => None,
        });
        let call = Call {
            head,
            body,
            now,
            lifetime,
        };
        match create_session(&self.config, &self.sessions, call) {
            Ok(mut body) => {
                for fault in faults {
                    if let Fault::MissingField(field) = fault {
                        remove_field(&mut body, field);
                    }
                }
                let response = respond(StatusCode::CREATED, JSON, body.to_string());
                (with_header(response, REQUEST_ID, id), None)
            }
            Err(refusal) => refuse(refusal, id),
        }
    }
}

const JSON: &str = "application/json";
const XML: &str = "text/xml";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The service that a request is for: by the scope of its signature, and by path and method where it
/// has none.
fn service_of<B>(request: &Request<B>) -> Service {
    let authorization = Authorization::of(request.headers());
    let is_post_to = |path| request.method() == Method::POST && request.uri().path() == path;
    match authorization.map(|authorization| authorization.service) {
        Some("rolesanywhere") => Service::RolesAnywhere,
        Some("sts") => Service::Sts,
        Some("s3") => Service::S3,
        _ if is_post_to("/sessions") => Service::RolesAnywhere,
        _ if is_post_to("/") => Service::Sts,
        _ => Service::S3,
    }
}

fn record_head<B>(service: Service, request: &Request<B>) -> Recorded {
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.to_string(), value.into_owned())
    };
    Recorded {
        service,
        method: request.method().to_string(),
        target: request.uri().to_string(),
        headers: request.headers().iter().map(header).collect(),
        body: Vec::new(),
        status: None,
        reason: None,
    }
}

/// The answer that a fault gives in the service's place.
fn failure(service: Service, fault: &Fault, id: &str) -> Result<Response<Body>, Closed> {
    let (status, code) = match fault {
        Fault::Drop => return Err(Closed),
        Fault::Garbage => {
            let ok = match service {
                Service::RolesAnywhere => StatusCode::CREATED,
                Service::Sts | Service::S3 => StatusCode::OK,
            };
            return Ok(respond(
                ok,
                "text/html",
                "<html>Welcome to the hotel's network".into(),
            ));
        }
        Fault::Status(408) => (StatusCode::REQUEST_TIMEOUT, S3ErrorCode::RequestTimeout),
        Fault::Status(503) => (
            StatusCode::SERVICE_UNAVAILABLE,
            S3ErrorCode::ServiceUnavailable,
        ),
        Fault::Throttle => (StatusCode::BAD_REQUEST, S3ErrorCode::SlowDown),
        _ => (
            StatusCode::INTERNAL_SERVER_ERROR,
            S3ErrorCode::InternalError,
        ),
    };
    Ok(match service {
        Service::S3 => s3::failure(code)?,
        Service::Sts if *fault == Fault::Throttle => {
            let error = StsError::throttling();
            respond(error.status, XML, error.body(id))
        }
        Service::RolesAnywhere if *fault == Fault::Throttle => refuse(Refusal::throttling(), id).0,
        Service::Sts | Service::RolesAnywhere => respond(status, "text/plain", String::new()),
    })
}

fn refuse(refusal: Refusal, id: &str) -> Answer {
    let body = serde_json::json!({ "message": refusal.message });
    let response = respond(refusal.status, JSON, body.to_string());
    let response = with_header(response, ERROR_TYPE, refusal.error_type);
    (with_header(response, REQUEST_ID, id), Some(refusal.reason))
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

fn with_header(mut response: Response<Body>, name: HeaderName, value: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Removes a member wherever it is.
fn remove_field(value: &mut serde_json::Value, name: &str) {
    match value {
        serde_json::Value::Object(members) => {
            members.remove(name);
            members
                .values_mut()
                .for_each(|member| remove_field(member, name));
        }
        serde_json::Value::Array(items) => {
            items.iter_mut().for_each(|item| remove_field(item, name));
        }
        _ => {}
    }
}

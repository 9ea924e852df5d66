//! One request and its answer: which service it is for, what befalls it, what is recorded.

use core::sync::atomic::Ordering;
use std::format;
use std::string::{String, ToString as _};
use std::time::Instant;
use std::vec::Vec;

use bytes::Bytes;
use http::header::DATE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use s3s::Body;

use super::answer::{self, Answer, Closed};
use super::authorization::Authorization;
use super::create_session::{Call, create_session};
use super::faults::Fault;
use super::record::{Recorded, Service};
use super::server::Server;
use super::sts;
use crate::core::time::{Clock as _, UnixTime};

/// No request to IAM Roles Anywhere or STS is anywhere near as long.
const MAX_BODY_LEN: usize = 1024 * 1024;

/// Answers a request.
///
/// # Errors
/// [`Closed`] if the connection is to be closed instead.
pub(super) async fn answer(
    server: &Server,
    request: Request<Incoming>,
) -> Result<Response<Body>, Closed> {
    let exchange = Exchange::new(server, &request);
    exchange.wait().await;
    let mut recorded = exchange.record(&request);
    let result = match exchange.answer(request, &mut recorded).await {
        Ok(_) if exchange.faults.contains(&Fault::Lose) => Err(Closed),
        result => result,
    };
    if let Ok(answer) = &result {
        recorded.status = Some(answer.response.status().as_u16());
        recorded.reason.clone_from(&answer.reason);
    }
    recorded.answered = Instant::now();
    server.record.add(recorded);
    let mut response = result?.response;
    if let Ok(date) = HeaderValue::try_from(exchange.now.http().to_string()) {
        response.headers_mut().insert(DATE, date);
    }
    Ok(response)
}

/// The circumstances of a request.
struct Exchange<'a> {
    server: &'a Server,
    service: Service,
    began: Instant,
    /// What befalls it.
    faults: Vec<Fault>,
    /// How far its clock is off, in seconds.
    skew: i64,
    /// The time on that clock.
    now: UnixTime,
    request_id: String,
}

impl<'a> Exchange<'a> {
    fn new(server: &'a Server, request: &Request<Incoming>) -> Self {
        let service = service_of(request);
        let faults = server.config.faults.next(service);
        let skew = faults.iter().map(|fault| match fault {
            Fault::Skew(seconds) => *seconds,
            _ => 0,
        });
        let skew = skew.sum();
        let number = server.request_count.fetch_add(1, Ordering::Relaxed);
        Self {
            server,
            service,
            began: Instant::now(),
            faults,
            skew,
            now: server.config.clock.now().offset_by(skew),
            request_id: format!("{number:032x}"),
        }
    }

    async fn wait(&self) {
        for fault in &self.faults {
            if let Fault::Slow(delay) = fault {
                tokio::time::sleep(*delay).await;
            }
        }
    }

    fn record(&self, request: &Request<Incoming>) -> Recorded {
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        };
        Recorded {
            service: self.service,
            began: self.began,
            answered: self.began,
            method: request.method().to_string(),
            target: request.uri().to_string(),
            headers: request.headers().iter().map(header).collect(),
            body: Vec::new(),
            status: None,
            reason: None,
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        recorded: &mut Recorded,
    ) -> Result<Answer, Closed> {
        if let Some(fault) = self.faults.iter().find(|fault| fault.is_final()) {
            return answer::failure(self.service, fault, &self.request_id);
        }
        if self.service == Service::S3 {
            let response = self.server.s3.answer(request, self.skew).await?;
            return Ok(Answer::of_s3(response));
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY_LEN).collect().await else {
            let reason = "the body is longer than 1 MiB, or broke off";
            return Ok(Answer::empty(StatusCode::PAYLOAD_TOO_LARGE, reason));
        };
        let body = body.to_bytes();
        recorded.body = body.to_vec();
        Ok(match self.service {
            Service::Sts => self.sts(&head, &body),
            _ => self.create_session(&head, &body),
        })
    }

    fn sts(&self, head: &Parts, body: &Bytes) -> Answer {
        let Server {
            config, sessions, ..
        } = self.server;
        match sts::answer(config, sessions, head, body, self.now, &self.request_id) {
            Ok(document) => Answer::xml(StatusCode::OK, document),
            Err(error) => Answer::of_sts_error(error, &self.request_id),
        }
    }

    fn create_session(&self, head: &Parts, body: &Bytes) -> Answer {
        let lifetime = self.faults.iter().find_map(|fault| match fault {
            Fault::Expire(lifetime) => Some(*lifetime),
            _ => None,
        });
        let call = Call {
            head,
            body,
            now: self.now,
            lifetime,
        };
        match create_session(&self.server.config, &self.server.sessions, call) {
            Ok(mut body) => {
                for fault in &self.faults {
                    if let Fault::MissingField(field) = fault {
                        remove_field(&mut body, field);
                    }
                }
                Answer::json(StatusCode::CREATED, &body, &self.request_id)
            }
            Err(refusal) => Answer::of_refusal(refusal, &self.request_id),
        }
    }
}

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

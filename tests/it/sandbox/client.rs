//! A client without any cleverness: what is given to it goes on the wire.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use keystead::core::http::Header;
use keystead::core::sigv4::hmac::{self, SigningKey};
use keystead::core::sigv4::{
    Authorization, CanonicalRequest, Encoded, PathRule, Payload, Scope, StringToSign, hash_body,
};
use keystead::core::time::{Clock as _, UnixTime};
use keystead::core::{http::Body, text::Hex};
use keystead::sandbox::Running;
use serde_json::Value;

pub type Headers = Vec<(String, String)>;

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub body: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The text of an XML element.
    pub fn element(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
    }
}

/// One request; `body` goes out as one chunk if there is a `Transfer-Encoding`. `None` if the
/// connection is closed without an answer.
pub fn send(
    sandbox: &Running,
    method: &str,
    target: &str,
    headers: &Headers,
    body: &[u8],
) -> Option<Response> {
    let address = sandbox.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n").into_bytes();
    let has = |wanted: &str| {
        headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    for (name, value) in headers {
        request.extend(format!("{name}: {value}\r\n").bytes());
    }
    if has("transfer-encoding") {
        request.extend(format!("\r\n{:x}\r\n", body.len()).bytes());
        request.extend(body);
        request.extend(b"\r\n0\r\n\r\n");
    } else {
        if !has("content-length") {
            request.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
        }
        request.extend(b"\r\n");
        request.extend(body);
    }
    // A server that has refused the request already may have closed the connection.
    let _ = stream.write_all(&request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    read(&String::from_utf8_lossy(&answer))
}

fn read(answer: &str) -> Option<Response> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    Some(Response {
        status,
        headers,
        body: body.to_owned(),
    })
}

/// The credentials of a session, and how they sign.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub region: String,
}

impl Credentials {
    /// Those in a `CreateSession` answer.
    pub fn of(answer: &Response, region: &str) -> Self {
        assert_eq!(answer.status, 201, "{answer:?}");
        let json = answer.json();
        let credentials = &json["credentialSet"][0]["credentials"];
        let text = |name: &str| credentials[name].as_str().unwrap().to_owned();
        Self {
            access_key_id: text("accessKeyId"),
            secret_access_key: text("secretAccessKey"),
            session_token: text("sessionToken"),
            region: region.to_owned(),
        }
    }

    /// Sends a request that is signed now; `extra` headers are signed as well.
    pub fn send(
        &self,
        sandbox: &Running,
        service: &str,
        target: (&str, &str),
        extra: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
        self.send_at(
            sandbox,
            sandbox.config().clock.now(),
            service,
            target,
            extra,
            body,
        )
    }

    /// Sends a request that is signed for `time`.
    pub fn send_at(
        &self,
        sandbox: &Running,
        time: UnixTime,
        service: &str,
        (method, target): (&str, &str),
        extra: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
        let headers = self.sign(time, service, (method, target), extra, body);
        send(sandbox, method, target, &headers, body)
    }

    /// The headers of a request, with its signature.
    pub fn sign(
        &self,
        time: UnixTime,
        service: &str,
        (method, target): (&str, &str),
        extra: &[(&str, &str)],
        body: &[u8],
    ) -> Headers {
        let hash = hash_body(&Body::Bytes(body)).unwrap();
        let mut headers: Headers = vec![
            ("Host".into(), "127.0.0.1".into()),
            ("X-Amz-Date".into(), time.amz().to_string()),
            ("X-Amz-Security-Token".into(), self.session_token.clone()),
            ("x-amz-content-sha256".into(), Hex(&hash).to_string()),
        ];
        headers.extend(
            extra
                .iter()
                .map(|&(name, value)| (name.into(), value.into())),
        );
        let signed: Vec<Header<'_>> = headers
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect();
        let canonical = CanonicalRequest {
            method,
            target,
            path: match service {
                "s3" => PathRule::S3,
                _ => PathRule::STANDARD,
            },
            headers: &[&signed],
            payload: Payload::Sha256(hash),
        };
        let scope = self.scope(time, service);
        let hash = canonical.hash().unwrap();
        let string = StringToSign::new(hmac::ALGORITHM, &scope, &hash).unwrap();
        let authorization = Authorization {
            algorithm: hmac::ALGORITHM,
            credential: &self.access_key_id,
            scope: &scope,
            headers: &[&signed],
            signature: &SigningKey::derive(&self.secret_access_key, &scope).sign(&string),
        };
        let authorization = authorization.to_string();
        headers.push(("Authorization".into(), authorization));
        headers
    }

    /// The target of a presigned URL to GET an object.
    pub fn presign(&self, path: &str, time: UnixTime, seconds: u32) -> String {
        let scope = self.scope(time, "s3");
        let credential = format!("{}/{scope}", self.access_key_id);
        let target = format!(
            "{path}?X-Amz-Algorithm={}&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires={seconds}\
             &X-Amz-Security-Token={}&X-Amz-SignedHeaders=host",
            hmac::ALGORITHM,
            Encoded::plain(&credential),
            time.amz(),
            Encoded::plain(&self.session_token),
        );
        let canonical = CanonicalRequest {
            method: "GET",
            target: &target,
            path: PathRule::S3,
            headers: &[&[Header {
                name: "host",
                value: &"127.0.0.1",
            }]],
            payload: Payload::Literal("UNSIGNED-PAYLOAD"),
        };
        let hash = canonical.hash().unwrap();
        let string = StringToSign::new(hmac::ALGORITHM, &scope, &hash).unwrap();
        let signature = SigningKey::derive(&self.secret_access_key, &scope).sign(&string);
        format!("{target}&X-Amz-Signature={}", Hex(&signature))
    }

    fn scope<'a>(&'a self, time: UnixTime, service: &'a str) -> Scope<'a> {
        Scope {
            time,
            region: &self.region,
            service,
        }
    }
}

//! Requests to S3: what is signed of them, a single `PutObject`, and what the answers say.
//!
//! A device sends with [`Put`] over its [`Transport`](super::http::Transport); a host signs its operations with the same
//! [`S3Request`].

mod answer;
mod put;
mod xml;

use core::fmt;

pub use answer::{Refusal, Stored};
pub use put::{Buffers, Put, PutError};
pub use xml::{Token, XmlError, XmlReader};

use super::http::{Body, Header, Headers, Request};
use super::sigv4::hmac::{self, SigningKey};
use super::sigv4::{
    Authorization, CanonicalRequest, Encoded, PathRule, Payload, Scope, StringToSign,
};
use super::text::Hex;
use super::time::UnixTime;

/// The signing name of S3.
pub const SERVICE: &str = "s3";

/// What stands for the hash of a body that is not signed. For TLS alone.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The longest key of an object in bytes (S3 user guide, "Naming Amazon S3 objects").
pub const MAX_KEY: usize = 1024;

/// What a request is signed with.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The access key's id.
    pub access_key_id: &'a str,
    /// The secret access key.
    pub secret_access_key: &'a str,
    /// The session token; empty for credentials of a user.
    pub session_token: &'a str,
}

impl<'a> From<super::create_session::Credentials<'a>> for Credentials<'a> {
    fn from(session: super::create_session::Credentials<'a>) -> Self {
        Self {
            access_key_id: session.access_key_id,
            secret_access_key: session.secret_access_key,
            session_token: session.session_token,
        }
    }
}

/// Without the secrets.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// A request to S3 that is still to be signed.
#[derive(Clone, Copy)]
pub struct S3Request<'a> {
    /// `PUT`, `POST`, `GET`, `HEAD`, `DELETE`.
    pub method: &'a str,
    /// The value of the `Host` header: with the bucket's name, or without it.
    pub host: &'a str,
    /// Path and query, encoded: see [`ObjectPath`].
    pub target: &'a str,
    /// The region to sign for.
    pub region: &'a str,
    /// The headers of the operation, in two lists; all of them are signed.
    pub headers: [&'a [Header<'a>]; 2],
    /// SHA-256 of the body, or [`UNSIGNED_PAYLOAD`].
    pub payload: Payload<'a>,
    /// The value of the `User-Agent` header, which is not signed.
    pub user_agent: &'a str,
}

impl S3Request<'_> {
    /// Signs the request at `now`, and shows it to `visit`, with `body`. Its headers hold the session token.
    ///
    /// # Errors
    /// [`Unsignable`].
    pub fn with_signed<R>(
        &self,
        credentials: &Credentials<'_>,
        now: UnixTime,
        body: Body<'_>,
        visit: impl FnOnce(&Request<'_>) -> R,
    ) -> Result<R, Unsignable> {
        let header = |name, value| Header { name, value };
        let date = now.amz();
        let payload_text = PayloadText(self.payload);
        let own = [
            header("host", &self.host),
            header("x-amz-date", &date),
            header("x-amz-content-sha256", &payload_text),
            header("x-amz-security-token", &credentials.session_token),
        ];
        let own = if credentials.session_token.is_empty() {
            &own[..3]
        } else {
            &own
        };
        let [first, second] = self.headers;
        let signed: Headers<'_> = &[own, first, second];
        let scope = Scope {
            time: now,
            region: self.region,
            service: SERVICE,
        };
        let canonical = CanonicalRequest {
            method: self.method,
            target: self.target,
            path: PathRule::S3,
            headers: signed,
            payload: self.payload,
        };
        let hash = canonical.hash().map_err(|_| Unsignable)?;
        let mut to_sign = StringToSign::empty();
        let formed = to_sign.form(hmac::ALGORITHM, &scope, &hash);
        formed.map_err(|_| Unsignable)?;
        let signature = SigningKey::derive(credentials.secret_access_key, &scope).sign(&to_sign);
        let authorization = Authorization {
            algorithm: hmac::ALGORITHM,
            credential: &credentials.access_key_id,
            scope: &scope,
            headers: signed,
            signature: &signature,
        };
        let unsigned = [
            header("authorization", &authorization),
            header("user-agent", &self.user_agent),
        ];
        Ok(visit(&Request {
            method: self.method,
            target: self.target,
            headers: &[own, first, second, &unsigned],
            body,
        }))
    }
}

/// The region is not what it should be, but far too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsignable;

impl fmt::Display for Unsignable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request cannot be signed: its region is too long")
    }
}

impl core::error::Error for Unsignable {}

/// The value of `x-amz-content-sha256`.
struct PayloadText<'a>(Payload<'a>);

impl fmt::Display for PayloadText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Payload::Sha256(hash) => Hex(hash).fmt(f),
            Payload::Literal(text) => f.write_str(text),
        }
    }
}

/// The path of an object, encoded: each byte but RFC 3986's unreserved ones and the slash. Nothing is
/// normalised: `//`, `.` and `..` are parts of keys like any other.
#[derive(Debug, Clone, Copy)]
pub struct ObjectPath<'a> {
    /// The bucket, if it is not a part of the host's name.
    pub bucket: Option<&'a str>,
    /// The key, not encoded.
    pub key: &'a str,
}

impl fmt::Display for ObjectPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(bucket) = self.bucket {
            write!(f, "/{}", Encoded::plain(bucket))?;
        }
        let mut parts = self.key.split('/');
        parts.try_for_each(|part| write!(f, "/{}", Encoded::plain(part)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn keys_are_encoded_once_and_not_normalised() {
        for (key, path) in [
            ("a/b.json", "/a/b.json"),
            ("a+b c", "/a%2Bb%20c"),
            ("~/%41", "/~/%2541"),
            ("//a//", "///a//"),
            ("../.", "/../."),
            ("\u{e9}\u{1f980}", "/%C3%A9%F0%9F%A6%80"),
            ("a?b&c=d#e", "/a%3Fb%26c%3Dd%23e"),
            ("a\nb", "/a%0Ab"),
        ] {
            let bucket = None;
            assert_eq!(ObjectPath { bucket, key }.to_string(), path);
            let bucket = Some("bucket");
            let with_bucket = ObjectPath { bucket, key }.to_string();
            assert_eq!(with_bucket, std::format!("/bucket{path}"));
        }
    }
}

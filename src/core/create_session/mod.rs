//! The `CreateSession` exchange with IAM Roles Anywhere.
//!
//! The ARNs go into the JSON body, not into the query: with a query and an empty body the service
//! leaves standard SigV4, and the encoding of `=` in a query is a matter of dispute.

mod answer;
mod error;
mod json;

use core::fmt;

pub use answer::{Credentials, parse_answer};
pub use error::{AnswerError, Field, ServiceError, SessionError};

use super::http::{Body, Collected, Header, Headers, Request, Transport};
use super::identity::{CertificateChain, Identity, Intermediates};
use super::key::Signer;
use super::sigv4::{
    Authorization, CanonicalRequest, PathRule, Payload, Scope, StringToSign, hash_body, x509,
};
use super::text::{Base64Text, Decimal, JsonString};
use super::time::UnixTime;
use super::x509::Certificate;

/// The path that `CreateSession` is posted to.
pub const PATH: &str = "/sessions";

/// The signing name of IAM Roles Anywhere.
pub const SERVICE: &str = "rolesanywhere";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct CreateSession<'a> {
    /// The value of the `Host` header: a name, and a port unless it is the scheme's own.
    pub host: &'a str,
    /// The region to sign for.
    pub region: &'a str,
    /// The trust anchor that the certificate chains to.
    pub trust_anchor_arn: &'a str,
    /// The profile that lists the role.
    pub profile_arn: &'a str,
    /// The role to assume.
    pub role_arn: &'a str,
    /// How long the credentials are to live, 900 to 43,200 seconds. The profile's value if `None`;
    /// the service takes the shorter of the two.
    pub duration_seconds: Option<u32>,
    /// The name of the role session; the profile has to allow it. The certificate's serial number if
    /// `None`.
    pub role_session_name: Option<&'a str>,
    /// The value of the `User-Agent` header, which is not signed.
    pub user_agent: &'a str,
}

/// Memory of the caller's for one exchange. Afterwards it holds the credentials, and is the caller's
/// to wipe.
pub struct Buffers<'b> {
    /// For the signature: [`KeyKind::max_signature_len`](super::key::KeyKind::max_signature_len)
    /// bytes.
    pub signature: &'b mut [u8],
    /// For the answer; 4 KiB are enough unless the session carries many tags.
    pub answer: &'b mut [u8],
    /// For a value of the answer that has to be unescaped, at most half of the answer's size.
    pub scratch: &'b mut [u8],
}

/// What was learned from an exchange beside its outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Observed {
    /// The status of the answer; `None` if there was none.
    pub status: Option<u16>,
    /// The service's clock.
    pub date: Option<UnixTime>,
}

/// A signed request, with what was signed.
#[derive(Clone, Copy)]
pub struct Signed<'a> {
    /// The canonical request.
    pub canonical: &'a CanonicalRequest<'a>,
    /// The string to sign.
    pub string_to_sign: &'a StringToSign,
    /// The request as it is sent. None of its headers is secret.
    pub request: &'a Request<'a>,
}

/// Sees what an exchange sends and receives, to show it to a person. `()` looks away.
pub trait Trace {
    /// The request, before it is sent.
    fn request(&mut self, _signed: &Signed<'_>) {}

    /// The answer. The body of a success holds the credentials!
    fn answer(&mut self, _status: u16, _body: &[u8]) {}
}

impl Trace for () {}

impl CreateSession<'_> {
    /// Signs the request at `now`, sends it, and reads the answer.
    ///
    /// `observed` is filled in whether the exchange succeeds or fails; `trace` sees what passes by.
    ///
    /// # Errors
    /// [`SessionError`]: the signer's error, the transport's, the service's refusal, or an answer
    /// that is not to be trusted.
    pub fn send<'b, C, S, T>(
        &self,
        identity: &mut Identity<C, S>,
        transport: &mut T,
        now: UnixTime,
        buffers: Buffers<'b>,
        observed: &mut Observed,
        trace: &mut dyn Trace,
    ) -> Result<Credentials<'b>, SessionError<'b, T::Error>>
    where
        C: CertificateChain,
        S: Signer,
        T: Transport,
    {
        *observed = Observed::default();
        let mut collected = Collected::new(buffers.answer);
        self.with_signed_request(identity, now, buffers.signature, |signed| {
            trace.request(signed);
            transport
                .exchange(signed.request, &mut collected)
                .map_err(SessionError::Transport)
        })?;
        observed.status = Some(collected.status());
        observed.date = collected.date();
        let status = collected.status();
        let (error_type, body) = collected.into_error_type_and_body();
        trace.answer(status, body);
        if !(200..300).contains(&status) {
            return Err(SessionError::Service(ServiceError::read(
                status,
                error_type,
                body,
                buffers.scratch,
            )));
        }
        parse_answer(body, buffers.scratch, self.role_arn, now).map_err(SessionError::Answer)
    }

    /// Forms and signs the request, and shows it to `visit`.
    ///
    /// # Errors
    /// The signer's error, or what `visit` gives.
    pub fn with_signed_request<'b, C, S, R, E>(
        &self,
        identity: &mut Identity<C, S>,
        now: UnixTime,
        signature: &mut [u8],
        visit: impl FnOnce(&Signed<'_>) -> Result<R, SessionError<'b, E>>,
    ) -> Result<R, SessionError<'b, E>>
    where
        C: CertificateChain,
        S: Signer,
    {
        let (chain, signer) = identity.parts();
        let leaf = chain.certificate(0).unwrap_or_default();
        let serial = Decimal(serial(leaf).ok_or(SessionError::Unsignable)?);
        let body = JsonBody(self);
        let date = now.amz();
        let certificate = Base64Text(leaf);
        let intermediates = ChainText(Intermediates::of(chain));
        let header = |name, value| Header { name, value };
        let content_type = header("content-type", &"application/json");
        let with_chain = [
            content_type,
            header("host", &self.host),
            header("x-amz-date", &date),
            header("x-amz-x509", &certificate),
            header("x-amz-x509-chain", &intermediates),
        ];
        let signed = if intermediates.0.iter().next().is_some() {
            &with_chain[..]
        } else {
            &with_chain[..4]
        };
        let signed_headers: Headers<'_> = &[signed];
        let canonical = CanonicalRequest {
            method: "POST",
            target: PATH,
            path: PathRule::STANDARD,
            headers: signed_headers,
            payload: Payload::Sha256(
                hash_body(&Body::Text(&body)).map_err(|_| SessionError::Unsignable)?,
            ),
        };
        let scope = Scope {
            time: now,
            region: self.region,
            service: SERVICE,
        };
        let hash = canonical.hash().map_err(|_| SessionError::Unsignable)?;
        let algorithm = x509::algorithm(signer.key());
        let mut to_sign = StringToSign::empty();
        let formed = to_sign.form(algorithm, &scope, &hash);
        formed.map_err(|_| SessionError::Unsignable)?;
        let authorization = Authorization {
            algorithm,
            credential: &serial,
            scope: &scope,
            headers: signed_headers,
            signature: x509::sign(signer, &to_sign, signature).map_err(SessionError::Sign)?,
        };
        let unsigned = [
            header("authorization", &authorization),
            header("user-agent", &self.user_agent),
        ];
        visit(&Signed {
            canonical: &canonical,
            string_to_sign: &to_sign,
            request: &Request {
                method: canonical.method,
                target: canonical.target,
                headers: &[signed, &unsigned],
                body: Body::Text(&body),
            },
        })
    }
}

/// The serial number of the leaf, which `Identity::new` has read before. All else that is read of it needs memory that
/// is free again while the request is signed and sent.
#[inline(never)]
fn serial(leaf: &[u8]) -> Option<&[u8]> {
    Some(Certificate::from_der(leaf).ok()?.serial)
}

/// The JSON body of the request.
struct JsonBody<'a>(&'a CreateSession<'a>);

impl fmt::Display for JsonBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.0;
        write!(
            f,
            r#"{{"profileArn":{},"roleArn":{},"trustAnchorArn":{}"#,
            JsonString(request.profile_arn),
            JsonString(request.role_arn),
            JsonString(request.trust_anchor_arn)
        )?;
        if let Some(seconds) = request.duration_seconds {
            write!(f, r#","durationSeconds":{seconds}"#)?;
        }
        if let Some(name) = request.role_session_name {
            write!(f, r#","roleSessionName":{}"#, JsonString(name))?;
        }
        f.write_str("}")
    }
}

/// The value of `X-Amz-X509-Chain`: base64 DER certificates, separated by commas.
struct ChainText<'a>(Intermediates<'a>);

impl fmt::Display for ChainText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, certificate) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            Base64Text(certificate).fmt(f)?;
        }
        Ok(())
    }
}

//! Whether a request was signed by the key of the certificate that it carries, now, for this service.

use std::format;
use std::string::String;
use std::vec::Vec;

use base64ct::{Base64, Encoding as _};
use http::HeaderMap;
use http::request::Parts;
use sha2::{Digest as _, Sha256};

use super::{Call, Refusal};
use crate::backend::signature;
use crate::core::create_session::SERVICE;
use crate::core::sigv4::x509::algorithm;
use crate::core::text::Decimal;
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::sandbox::authorization::{Authorization, single};
use crate::sandbox::config::Config;

const LEAF: &str = "x-amz-x509";
const CHAIN: &str = "x-amz-x509-chain";
const DATE: &str = "x-amz-date";

/// The most certificates that `X-Amz-X509-Chain` takes (user guide, "Signing").
const MAX_CHAIN: usize = 5;

/// The DER of the certificate in `X-Amz-X509`.
pub(super) fn leaf(head: &Parts) -> Result<Vec<u8>, Refusal> {
    let value = single(&head.headers, LEAF)
        .ok_or_else(|| Refusal::incomplete_signature("there is no header X-Amz-X509"))?;
    Base64::decode_vec(value)
        .map_err(|_| Refusal::insufficient_certificate(&"X-Amz-X509 is not base64"))
}

/// The DER of the certificates in `X-Amz-X509-Chain`, in the order in which they were sent.
pub(super) fn chain(head: &Parts) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut chain = Vec::new();
    for value in head.headers.get_all(CHAIN) {
        let value = value.to_str().unwrap_or_default();
        for certificate in value.split(',').map(str::trim) {
            let der = Base64::decode_vec(certificate)
                .map_err(|_| Refusal::untrusted("X-Amz-X509-Chain is not base64"))?;
            chain.push(der);
        }
    }
    if chain.len() > MAX_CHAIN {
        let count = chain.len();
        let reason = format!("X-Amz-X509-Chain has {count} certificates, more than {MAX_CHAIN}");
        return Err(Refusal::untrusted(reason));
    }
    Ok(chain)
}

/// Checks date, scope, algorithm, signed headers and signature.
pub(super) fn verify(
    config: &Config,
    leaf: &Certificate<'_>,
    call: Call<'_>,
) -> Result<(), Refusal> {
    let headers = &call.head.headers;
    let authorization = Authorization::of(headers).ok_or_else(|| {
        Refusal::incomplete_signature("the header Authorization is missing or malformed")
    })?;
    let key = leaf
        .key_kind()
        .ok_or_else(|| Refusal::insufficient_certificate(&"its key is of no known kind"))?;
    let refuse = |reason: String| Err(Refusal::invalid_signature(reason));
    if authorization.algorithm != algorithm(key) {
        let given = authorization.algorithm;
        return refuse(format!("{given} does not fit the certificate's {key} key"));
    }
    if authorization.id != format!("{}", Decimal(leaf.serial)) {
        return refuse("Credential does not start with the certificate's serial number".into());
    }
    if authorization.service != SERVICE {
        let given = authorization.service;
        return refuse(format!("the scope's service is {given}, not {SERVICE}"));
    }
    let region = &config.account.region;
    if authorization.region != region {
        let given = authorization.region;
        return refuse(format!(
            "the scope's region is {given}, the sandbox's {region}"
        ));
    }
    let time = date(headers, &authorization)?;
    let off = call.now.since(time);
    if off.unsigned_abs() > config.date_window.as_secs() {
        return refuse(format!(
            "X-Amz-Date is off by {off} seconds (our clock minus it)"
        ));
    }
    if let Some(missing) = unsigned_header(headers, &authorization) {
        return refuse(format!("the header {missing} is not signed"));
    }
    let body_hash = Sha256::digest(call.body).into();
    let Some(string_to_sign) = authorization.string_to_sign(call.head, body_hash, time) else {
        return refuse("a header in SignedHeaders is not in the request".into());
    };
    let Some(bytes) = authorization.signature() else {
        return refuse("Signature is not hexadecimal".into());
    };
    let message = string_to_sign.as_str().as_bytes();
    signature::verify(
        leaf.public_key,
        key.roles_anywhere_scheme(),
        message,
        &bytes,
    )
    .map_err(Refusal::invalid_signature)
}

/// `X-Amz-Date`, whose day has to be the scope's.
fn date(headers: &HeaderMap, authorization: &Authorization<'_>) -> Result<UnixTime, Refusal> {
    let text = single(headers, DATE)
        .ok_or_else(|| Refusal::incomplete_signature("there is no header X-Amz-Date"))?;
    let time = UnixTime::parse_amz(text)
        .ok_or_else(|| Refusal::incomplete_signature("X-Amz-Date is not YYYYMMDDTHHMMSSZ"))?;
    if !text.starts_with(authorization.day) {
        let reason = "the day of X-Amz-Date is not the scope's";
        return Err(Refusal::invalid_signature(reason));
    }
    Ok(time)
}

/// A header that has to be signed and is not.
fn unsigned_header(headers: &HeaderMap, authorization: &Authorization<'_>) -> Option<&'static str> {
    let always = ["host", DATE, LEAF];
    let if_present = ["content-type", CHAIN].into_iter();
    always
        .into_iter()
        .chain(if_present.filter(|name| headers.contains_key(*name)))
        .find(|name| !authorization.covers(name))
}

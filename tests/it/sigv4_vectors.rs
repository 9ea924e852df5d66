//! SigV4 with a secret key, against the recorded cases of AWS's own signing test suite.

use keystead::core::http::Header;
use keystead::core::sigv4::hmac::{self, SigningKey};
use keystead::core::sigv4::{
    Authorization, CanonicalRequest, PathRule, Payload, Scope, StringToSign, hash_body,
};
use keystead::core::{http::Body, text::Hex, time::UnixTime};
use serde_json::Value;

use crate::support::vectors::{cases, text};

/// A request as the suite writes it: raw, with header values that go on in the next line.
struct RawRequest<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, String)>,
    body: &'a str,
}

fn parse(request: &str) -> RawRequest<'_> {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    let (method, rest) = first.split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap();
    let mut headers: Vec<(&str, String)> = Vec::new();
    for line in lines {
        match line.strip_prefix(' ') {
            Some(more) => {
                let value = &mut headers.last_mut().unwrap().1;
                value.push('\n');
                value.push_str(more);
            }
            None => {
                let (name, value) = line.split_once(':').unwrap();
                headers.push((name, value.to_owned()));
            }
        }
    }
    RawRequest {
        method,
        target,
        headers,
        body,
    }
}

fn check(case: &Value) {
    let name = text(case, "/name");
    let context = &case["context"];
    let request = parse(text(case, "/request"));
    let time = UnixTime::parse_rfc3339(text(context, "/timestamp")).unwrap();
    let scope = Scope {
        time,
        region: text(context, "/region"),
        service: text(context, "/service"),
    };
    let body_hash = hash_body(&Body::Bytes(request.body.as_bytes())).unwrap();

    let mut headers = request.headers.clone();
    headers.push(("X-Amz-Date", time.amz().to_string()));
    if context["sign_body"] == true {
        headers.push(("x-amz-content-sha256", Hex(&body_hash).to_string()));
    }
    if let Some(token) = context["credentials"]["token"].as_str()
        && context["omit_session_token"] != true
    {
        headers.push(("X-Amz-Security-Token", token.to_owned()));
    }
    let headers: Vec<Header<'_>> = headers
        .iter()
        .map(|(name, value)| Header { name, value })
        .collect();

    let canonical = CanonicalRequest {
        method: request.method,
        target: request.target,
        path: PathRule {
            normalize: context["normalize"] == true,
            encode_again: true,
        },
        headers: &[&headers],
        payload: Payload::Sha256(body_hash),
    };
    assert_eq!(
        canonical.to_string(),
        text(case, "/canonical_request"),
        "{name}"
    );
    let to_sign = StringToSign::new(hmac::ALGORITHM, &scope, &canonical.hash().unwrap()).unwrap();
    assert_eq!(to_sign.as_str(), text(case, "/string_to_sign"), "{name}");

    let credentials = &context["credentials"];
    let key = SigningKey::derive(text(credentials, "/secret_access_key"), &scope);
    let signature = key.sign(&to_sign);
    assert_eq!(
        Hex(&signature).to_string(),
        text(case, "/signature"),
        "{name}"
    );

    let authorization = Authorization {
        algorithm: hmac::ALGORITHM,
        credential: &text(credentials, "/access_key_id"),
        scope: &scope,
        headers: &[&headers],
        signature: &signature,
    };
    let signed = text(case, "/signed_request");
    let line = signed
        .lines()
        .find_map(|line| line.strip_prefix("Authorization:"))
        .unwrap();
    assert_eq!(authorization.to_string(), line.trim(), "{name}");
}

#[test]
fn recorded_cases_of_the_signing_suite() {
    for case in cases("sigv4.json") {
        check(&case);
    }
}

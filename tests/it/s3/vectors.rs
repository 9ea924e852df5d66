//! The worked examples of "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)",
//! Amazon S3 API reference.

use keystead::core::http::{Body, Header};
use keystead::core::s3::{Credentials, ObjectPath, S3Request};
use keystead::core::sigv4::{CanonicalRequest, PathRule, Payload, hash_body};
use keystead::core::time::UnixTime;
use proptest::prelude::*;

const EXAMPLE: Credentials<'_> = Credentials {
    access_key_id: "AKIAIOSFODNN7EXAMPLE",
    secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    session_token: "",
};

fn authorization(method: &str, target: &str, headers: &[Header<'_>], body: &[u8]) -> String {
    let body = Body::Bytes(body);
    let request = S3Request {
        method,
        host: "examplebucket.s3.amazonaws.com",
        target,
        region: "us-east-1",
        headers: [headers, &[]],
        payload: Payload::Sha256(hash_body(&body).unwrap()),
        user_agent: "test",
    };
    let now = UnixTime::parse_amz("20130524T000000Z").unwrap();
    request
        .with_signed(&EXAMPLE, now, body, |request| {
            let mut headers = request.all_headers();
            let found = headers.find(|header| header.name == "authorization");
            found.unwrap().value.to_string()
        })
        .unwrap()
}

fn header<'a>(name: &'a str, value: &'a &'static str) -> Header<'a> {
    Header { name, value }
}

#[test]
fn the_examples_of_the_documentation() {
    let path = ObjectPath {
        bucket: None,
        key: "test$file.text",
    };
    let date = header("Date", &"Fri, 24 May 2013 00:00:00 GMT");
    let class = header("x-amz-storage-class", &"REDUCED_REDUNDANCY");
    let put = authorization(
        "PUT",
        &path.to_string(),
        &[date, class],
        b"Welcome to Amazon S3.",
    );
    assert_eq!(
        put,
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
         SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, \
         Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    );
    for (target, headers, signature) in [
        (
            "/test.txt",
            &[header("Range", &"bytes=0-9")][..],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "/?lifecycle",
            &[],
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "/?max-keys=2&prefix=J",
            &[],
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let signed = authorization("GET", target, headers, b"");
        assert!(signed.ends_with(signature), "{target}: {signed}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_is_what_is_sent(key: String, value: String, in_path: bool) {
        let bucket = in_path.then_some("bucket");
        let path = ObjectPath { bucket, key: &key }.to_string();
        prop_assert!(path.starts_with('/') && path.is_ascii());
        let query = format!("partNumber=1&uploadId={}", keystead::core::sigv4::Encoded::plain(&value));
        let canonical = CanonicalRequest {
            method: "PUT",
            target: &format!("{path}?{query}"),
            path: PathRule::S3,
            headers: &[],
            payload: Payload::Literal("UNSIGNED-PAYLOAD"),
        }
        .to_string();
        let mut lines = canonical.lines().skip(1);
        prop_assert_eq!(lines.next(), Some(path.as_str()));
        prop_assert_eq!(lines.next(), Some(query.as_str()));
        // The server gets the key back.
        let sent = path.strip_prefix(if in_path { "/bucket/" } else { "/" }).unwrap();
        let decoded: Vec<u8> = decode(sent);
        prop_assert_eq!(String::from_utf8(decoded), Ok(key));
    }
}

fn decode(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    core::iter::from_fn(|| {
        let byte = bytes.next()?;
        if byte != b'%' {
            return Some(byte);
        }
        let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
        Some(u8::from_str_radix(core::str::from_utf8(&digits).unwrap(), 16).unwrap())
    })
    .collect()
}

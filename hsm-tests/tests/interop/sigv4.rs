//! SigV4 with a secret key, side by side with botocore: 400 requests of all sorts.

use hsm_tests::lab::json;
use hsm_tests::{python, run};
use keystead::core::http::{Body, Header};
use keystead::core::sigv4::hmac::{self, SigningKey};
use keystead::core::sigv4::{CanonicalRequest, PathRule, Payload, Scope, StringToSign, hash_body};
use keystead::core::text::Hex;
use keystead::core::time::UnixTime;

#[test]
fn signed_alike() {
    let vectors = run(&mut python("botocore_vectors.py")).success();
    let vectors = json(&vectors);
    let vectors = vectors.as_array().unwrap();
    assert_eq!(vectors.len(), 400);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let headers: Vec<(&str, &str)> = vector["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
            .collect();
        let headers: Vec<Header<'_>> = headers
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect();
        let canonical = CanonicalRequest {
            method: text("method"),
            target: text("target"),
            path: match text("service") {
                "s3" => PathRule::S3,
                _ => PathRule::STANDARD,
            },
            headers: &[&headers],
            payload: match headers
                .iter()
                .find(|header| header.name == "x-amz-content-sha256")
            {
                Some(header) if header.value.to_string() == "UNSIGNED-PAYLOAD" => {
                    Payload::Literal("UNSIGNED-PAYLOAD")
                }
                _ => Payload::Sha256(hash_body(&Body::Text(&text("body"))).unwrap()),
            },
        };
        assert_eq!(canonical.to_string(), text("canonical"));
        let scope = Scope {
            time: UnixTime::parse_amz(text("date")).unwrap(),
            region: "eu-west-1",
            service: text("service"),
        };
        let to_sign =
            StringToSign::new(hmac::ALGORITHM, &scope, &canonical.hash().unwrap()).unwrap();
        assert_eq!(to_sign.as_str(), text("string_to_sign"));
        let signature = SigningKey::derive("a/secret+key", &scope).sign(&to_sign);
        assert_eq!(Hex(&signature).to_string(), text("signature"));
    }
}

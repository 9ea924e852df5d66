//! SigV4-X509 against requests that AWS's own helper has sent, and the `CreateSession` exchange of the
//! core over a stream.

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use keystead::backend::file::{FileIdentity, open, open_key, read_certificates};
use keystead::backend::secret::Secret;
use keystead::backend::{BoxedSigner, Identity, signature};
use keystead::core::create_session::{Buffers, CreateSession, Observed};
use keystead::core::http::stream::StreamTransport;
use keystead::core::http::{Body, Header};
use keystead::core::key::{KeyKind, MAX_SIGNATURE_LEN, Scheme, SignError, Signer};
use keystead::core::sigv4::{
    Authorization, CanonicalRequest, PathRule, Payload, Scope, StringToSign, hash_body, x509,
};
use keystead::core::text::{Base64Text, Decimal, Hex};
use keystead::core::time::UnixTime;
use keystead::core::x509::Certificate;
use serde_json::Value;

use crate::support::vectors::{cases, folder, text};

/// The value of a flag among a case's arguments.
fn argument<'a>(case: &'a Value, flag: &str) -> Option<&'a str> {
    let arguments = case["arguments"].as_array().unwrap();
    let at = arguments.iter().position(|argument| argument == flag)?;
    arguments[at + 1].as_str()
}

/// Opens the key and the leaf of a case as the case's arguments say.
fn open_case(case: &Value) -> (BoxedSigner, Vec<Vec<u8>>) {
    let keys = folder().join("keys");
    let password = argument(case, "--pkcs8-password").unwrap_or_default();
    let mut password = || Ok(Some(Secret::new(password.as_bytes().to_vec())));
    let certificate = keys.join(argument(case, "--certificate").unwrap());
    match argument(case, "--private-key") {
        Some(key) => {
            // The recorded ML-DSA certificate is self-signed, which a chain leaves out.
            let certificates = read_certificates(&certificate).unwrap();
            (
                open_key(&keys.join(key), &mut password).unwrap(),
                certificates,
            )
        }
        None => {
            let files = FileIdentity {
                certificate: &certificate,
                private_key: None,
                intermediates: None,
            };
            let (identity, _) = open(&files, &mut password).unwrap();
            let (chain, signer) = identity.into_parts();
            (signer, chain)
        }
    }
}

fn check(case: &Value) {
    let name = text(case, "/name");
    let all: Vec<(&str, &str)> = case["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
        .collect();
    let value = |name: &str| {
        let found = all
            .iter()
            .find(|header| header.0.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("{name} is missing")).1
    };
    let signed: Vec<&str> = case["signed_headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    let headers: Vec<Header<'_>> = all
        .iter()
        .filter(|(name, _)| {
            signed
                .iter()
                .any(|signed| signed.eq_ignore_ascii_case(name))
        })
        .map(|(name, value)| Header { name, value })
        .collect();
    let body = text(case, "/body");
    let canonical = CanonicalRequest {
        method: text(case, "/method"),
        target: text(case, "/target"),
        path: PathRule::STANDARD,
        headers: &[&headers],
        payload: Payload::Sha256(hash_body(&Body::Bytes(body.as_bytes())).unwrap()),
    };
    assert!(
        canonical.to_string() == text(case, "/canonical_request"),
        "{name}: the canonical request differs"
    );

    let (mut signer, certificates) = open_case(case);
    let leaf = Certificate::from_der(&certificates[0]).unwrap();
    assert!(
        Base64Text(leaf.der).to_string() == value("X-Amz-X509"),
        "{name}"
    );
    let algorithm = x509::algorithm(signer.key());
    assert_eq!(algorithm, text(case, "/algorithm"), "{name}");
    let scope = Scope {
        time: UnixTime::parse_amz(value("X-Amz-Date")).unwrap(),
        region: "us-east-1",
        service: "rolesanywhere",
    };
    let to_sign = StringToSign::new(algorithm, &scope, &canonical.hash().unwrap()).unwrap();
    assert_eq!(to_sign.as_str(), text(case, "/string_to_sign"), "{name}");

    let mut buffer = vec![0; MAX_SIGNATURE_LEN];
    let ours = x509::sign(&mut *signer, &to_sign, &mut buffer).unwrap();
    let scheme = signer.key().roles_anywhere_scheme();
    let recorded = text(case, "/signature_hex");
    if scheme == Scheme::EcdsaSha256 {
        let recorded = unhex(recorded);
        for signature in [ours, &recorded] {
            let message = to_sign.as_str().as_bytes();
            signature::verify(leaf.public_key, scheme, message, signature).expect(name);
        }
    } else {
        assert!(
            Hex(ours).to_string() == recorded,
            "{name}: the signature differs"
        );
    }

    let authorization = Authorization {
        algorithm,
        credential: &Decimal(leaf.serial),
        scope: &scope,
        headers: &[&headers],
        signature: &unhex(recorded),
    };
    assert!(
        authorization.to_string() == value("Authorization"),
        "{name}"
    );
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16).unwrap()).collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}

#[test]
fn requests_recorded_from_the_reference_helper() {
    for case in cases("createsession.json") {
        check(&case);
    }
}

/// A connection whose other end counts what it is sent, keeps the beginning of it, and grants a session.
struct Grants<'a> {
    answer: &'a [u8],
    head: Vec<u8>,
    written: usize,
}

impl ErrorType for Grants<'_> {
    type Error = ErrorKind;
}

impl Read for Grants<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, ErrorKind> {
        let len = out.len().min(self.answer.len());
        let (now, later) = self.answer.split_at(len);
        out[..len].copy_from_slice(now);
        self.answer = later;
        Ok(len)
    }
}

impl Write for Grants<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.written += bytes.len();
        self.head.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// As large as an ML-DSA-87 key, without being one.
struct LargeKey(Vec<u8>);

impl Signer for LargeKey {
    fn key(&self) -> KeyKind {
        KeyKind::MlDsa87
    }

    fn public_key(&self) -> &[u8] {
        &self.0
    }

    fn sign(&mut self, _: Scheme, _: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        out[..4627].fill(0xab);
        Ok(4627)
    }
}

#[test]
fn five_certificates_of_ml_dsa_87_pass_through_512_bytes() {
    let role = "arn:aws:iam::111122223333:role/Gateway+Hub@1";
    let body = format!(
        r#"{{"credentialSet":[{{"credentials":{{"accessKeyId":"AK","secretAccessKey":"SK","sessionToken":"ST","expiration":"2026-11-22T04:00:00Z"}},"roleArn":"{role}"}}]}}"#
    );
    let answer = format!(
        "HTTP/1.1 201 Created\r\nDate: Sun, 22 Nov 2026 03:00:00 GMT\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let leaf = crate::support::certificate::SELF_SIGNED;
    let key = LargeKey(Certificate::from_der(leaf).unwrap().public_key.to_vec());
    // The size of the ML-DSA-87 certificates among the reference helper's fixtures.
    let mut chain = vec![vec![0x30; 7430]; 6];
    chain[0] = leaf.to_vec();
    let mut identity = Identity::new(chain, Box::new(key) as BoxedSigner).unwrap();

    let mut stream_buffer = [0; 512];
    let connection = Grants {
        answer: answer.as_bytes(),
        head: Vec::new(),
        written: 0,
    };
    let mut transport = StreamTransport::new(connection, &mut stream_buffer);
    let (mut signature, mut body, mut scratch) = ([0; MAX_SIGNATURE_LEN], [0; 512], [0; 64]);
    let mut observed = Observed::default();
    let request = CreateSession {
        host: "rolesanywhere.eu-west-1.amazonaws.com",
        region: "eu-west-1",
        trust_anchor_arn: "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a",
        profile_arn: "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p",
        role_arn: role,
        duration_seconds: Some(1800),
        role_session_name: Some("hub-17"),
        user_agent: "keystead-test",
    };
    let credentials = request
        .send(
            &mut identity,
            &mut transport,
            UnixTime::parse_rfc3339("2026-11-22T03:00:00Z").unwrap(),
            Buffers {
                signature: &mut signature,
                answer: &mut body,
                scratch: &mut scratch,
            },
            &mut observed,
            &mut (),
        )
        .unwrap();
    assert_eq!(credentials.session_token, "ST");
    assert_eq!(observed.status, Some(201));
    assert_eq!(observed.date.unwrap().to_string(), "2026-11-22T03:00:00Z");

    let sent = transport.into_stream();
    assert!(sent.written > 58_000, "{}", sent.written);
    let sent = String::from_utf8(sent.head).unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert_eq!(
        body,
        r#"{"profileArn":"arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p","roleArn":"arn:aws:iam::111122223333:role/Gateway+Hub@1","trustAnchorArn":"arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a","durationSeconds":1800,"roleSessionName":"hub-17"}"#
    );
    assert!(head.starts_with("POST /sessions HTTP/1.1\r\n"));
    let chain = head
        .lines()
        .find_map(|line| line.strip_prefix("x-amz-x509-chain: "));
    assert_eq!(chain.unwrap().split(',').count(), 5);
}

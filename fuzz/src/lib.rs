//! What is done with a fuzzer's bytes: one function for each parser that reads what others wrote.
//! None may panic, and what they accept has to hold together. The ordinary tests include this file
//! and run the seeds through it.

mod credentials_file;
mod http_request;
mod isolated;
#[cfg(feature = "tpm")]
mod isolated_tpm;
#[cfg(feature = "tpm")]
mod tpm_answer;

use std::io::Write as _;
use std::path::Path;

pub use credentials_file::credentials_file;
pub use http_request::http_request;
pub use isolated::{isolated_answer, isolated_request};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use keystead::backend::BoxedSigner;
use keystead::backend::file::{open_key, open_pkcs12, read_certificates};
use keystead::backend::secret::{Secret, SecretError};
use keystead::ca::{CertificateRequest, Subject};
use keystead::core::create_session::parse_answer;
use keystead::core::http::stream::StreamTransport;
use keystead::core::http::{Body, Collected, Request, Transport as _};
use keystead::core::time::UnixTime;
use keystead::core::x509::{Certificate, PublicKeyInfo};
use keystead::host::arn::{Arn, SessionArns};
use keystead::host::cache::{Entry, Key};
use keystead::host::config::Config;
use keystead::host::pkix::Description;
use keystead::host::selector::Selector;
use keystead::host::x509_text::{NameText, attributes};
use keystead::sandbox::{self, Authorization, Policy, ScheduledFault};

type Target = fn(&[u8]);

/// Every target, by the name that its program and its folder of seeds have.
pub const TARGETS: &[(&str, Target)] = &[
    ("arn", arn),
    ("authorization", authorization),
    ("cache_entry", cache_entry),
    ("certificate", certificate),
    ("certificate_request", certificate_request),
    ("config", config),
    ("credentials_file", credentials_file),
    ("fault", fault),
    ("http_answer", http_answer),
    ("http_request", http_request),
    ("isolated_answer", isolated_answer),
    ("isolated_request", isolated_request),
    ("isolated_tpm_answer", isolated_tpm_answer),
    ("isolated_tpm_request", isolated_tpm_request),
    ("pem", pem),
    ("pkcs12", pkcs12),
    ("policy", policy),
    ("private_key", private_key),
    ("sandbox_config", sandbox_config),
    ("selector", selector),
    ("session_answer", session_answer),
    ("subject", subject),
    ("tpm_answer", tpm_answer),
    ("tpm_key_file", tpm_key_file),
];

pub fn arn(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(arn) = text.parse::<Arn>() {
        assert_eq!(arn.to_string(), text);
    }
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default();
    if let Ok(arns) = SessionArns::new(next(), next(), next()) {
        assert_eq!(arns.trust_anchor().account(), arns.role().account());
    }
}

pub fn authorization(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Some(header) = Authorization::parse(text) {
        assert!(!header.id.is_empty());
        let _ = header.signature();
    }
}

/// An entry of the cache, under the key that it names.
pub fn cache_entry(data: &[u8]) {
    let text = str::from_utf8(data).unwrap_or_default();
    let Some(key) = text.lines().nth(1).and_then(Key::parse) else {
        return;
    };
    if let Ok(entry) = Entry::parse(data, &key) {
        assert!(entry.left(&entry.asked) <= entry.life);
        assert!(!entry.credentials.session_token.is_empty());
    }
}

pub fn certificate(data: &[u8]) {
    let _ = PublicKeyInfo::from_der(data).map(|key| key.kind());
    let Ok(certificate) = Certificate::from_der(data) else {
        return;
    };
    assert_eq!(certificate.der, data);
    assert!(!certificate.serial.is_empty());
    let _ = attributes(certificate.subject).map(|name| NameText(&name).to_string());
    if certificate.key_kind().is_some() {
        assert!(PublicKeyInfo::from_der(certificate.public_key).is_ok());
    }
    let description = Description::new(&certificate, certificate.not_before);
    // What is shown cannot steer a terminal.
    let is_text = |c: char| c == '\n' || !c.is_control();
    assert!(description.to_string().chars().all(is_text));
    assert!(description.to_json()["violations"].is_array());
}

/// A certificate request, DER.
pub fn certificate_request(data: &[u8]) {
    if let Ok(request) = CertificateRequest::from_der(data) {
        assert!(PublicKeyInfo::from_der(&request.public_key).is_ok());
        for name in &request.alternative_names {
            assert!(!name.to_string().is_empty());
        }
    }
}

pub fn config(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match Config::parse("keystead.toml", text) {
        Ok(config) => {
            let last = config
                .identities()
                .last()
                .map(|last| last.name().to_owned());
            assert_eq!(
                config.into_identity(last.as_deref()).is_ok(),
                last.is_some()
            );
        }
        Err(error) => assert!(error.to_string().starts_with("keystead.toml")),
    }
}

pub fn fault(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let _ = text.parse::<ScheduledFault>();
    }
}

/// The first byte is the size of the pieces that the answer comes in.
pub fn http_answer(data: &[u8]) {
    let Some((&piece, answer)) = data.split_first() else {
        return;
    };
    let stream = Stream {
        answer,
        piece: usize::from(piece).max(1),
    };
    let mut head = [0; 512];
    let mut body = [0; 1024];
    let mut transport = StreamTransport::new(stream, &mut head);
    let request = Request {
        method: "GET",
        target: "/",
        headers: &[],
        body: Body::Bytes(b""),
    };
    while transport.is_open() {
        let mut collected = Collected::new(&mut body);
        if transport.exchange(&request, &mut collected).is_err() {
            break;
        }
        assert!((200..=999).contains(&collected.status()));
    }
}

/// Certificates, PEM or DER.
pub fn pem(data: &[u8]) {
    if let Ok(certificates) = in_file(data, read_certificates) {
        assert!(!certificates.is_empty());
        for certificate in certificates {
            assert!(Certificate::from_der(&certificate).is_ok());
        }
    }
}

pub fn pkcs12(data: &[u8]) {
    if let Ok((signer, _)) = in_file(data, |path| open_pkcs12(path, &mut password)) {
        is_whole(&signer);
    }
}

pub fn policy(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(policy) = Policy::parse(text) {
        let _ = policy.decide("s3:PutObject", "arn:aws:s3:::sensor-logs/sensors/hub-17");
    }
}

pub fn private_key(data: &[u8]) {
    if let Ok(signer) = in_file(data, |path| open_key(path, &mut password)) {
        is_whole(&signer);
    }
}

pub fn sandbox_config(data: &[u8]) {
    if let Ok(config) = in_file(data, sandbox::Config::read) {
        assert_eq!(config.account.id.len(), 12);
    }
}

/// The password of the encrypted seeds.
fn password() -> Result<Option<Secret>, SecretError> {
    Ok(Some(Secret::new(b"pw".to_vec())))
}

fn is_whole(signer: &BoxedSigner) {
    let key = PublicKeyInfo::from_der(signer.public_key()).expect("a signer's public key is SPKI");
    assert_eq!(key.kind(), Some(signer.key()));
}

fn in_file<T>(data: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(data)
        .expect("a temporary file can be written");
    read(file.path())
}

/// A certificate selector in both of its forms.
pub fn selector(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    for selector in [text.parse::<Selector>(), Selector::from_json(text)] {
        if let Err(error) = selector {
            assert!(!error.to_string().is_empty());
        }
    }
}

/// The first byte is the room for unescaped text.
pub fn session_answer(data: &[u8]) {
    let Some((&room, body)) = data.split_first() else {
        return;
    };
    let mut scratch = [0; 256];
    let now = UnixTime::from_secs(1_800_000_000);
    let scratch = &mut scratch[..usize::from(room)];
    let role = "arn:aws:iam::111122223333:role/SensorWriter";
    if let Ok(credentials) = parse_answer(body, scratch, role, now) {
        assert!(credentials.expiration > now);
        assert_eq!(credentials.role_arn, role);
        for part in [
            credentials.access_key_id,
            credentials.secret_access_key,
            credentials.session_token,
        ] {
            assert!(!part.is_empty());
        }
    }
}

/// Gives `answer` in pieces; takes whatever is written.
struct Stream<'a> {
    answer: &'a [u8],
    piece: usize,
}

impl ErrorType for Stream<'_> {
    type Error = ErrorKind;
}

impl Read for Stream<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, ErrorKind> {
        let len = out.len().min(self.piece).min(self.answer.len());
        let (now, later) = self.answer.split_at(len);
        out[..len].copy_from_slice(now);
        self.answer = later;
        Ok(len)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// A subject as a flag writes it.
pub fn subject(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(subject) = text.parse::<Subject>() {
        assert_eq!(subject.to_string().parse(), Ok(subject));
    }
}

/// What a client that uses a TPM hears after the greeting.
#[cfg_attr(
    not(feature = "tpm"),
    expect(unused_variables, reason = "it is not built in")
)]
pub fn isolated_tpm_answer(data: &[u8]) {
    #[cfg(feature = "tpm")]
    isolated_tpm::answer(data);
}

/// What a worker with a TPM hears after the greeting.
#[cfg_attr(
    not(feature = "tpm"),
    expect(unused_variables, reason = "it is not built in")
)]
pub fn isolated_tpm_request(data: &[u8]) {
    #[cfg(feature = "tpm")]
    isolated_tpm::request(data);
}

/// What a TPM answers to a command.
#[cfg_attr(
    not(feature = "tpm"),
    expect(unused_variables, reason = "it is not built in")
)]
pub fn tpm_answer(data: &[u8]) {
    #[cfg(feature = "tpm")]
    tpm_answer::tpm_answer(data);
}

/// A `TSS2 PRIVATE KEY` file.
#[cfg_attr(
    not(feature = "tpm"),
    expect(unused_variables, reason = "it is not built in")
)]
pub fn tpm_key_file(data: &[u8]) {
    #[cfg(feature = "tpm")]
    {
        use keystead::backend::tpm::key_file::{KeyFile, is_key_file};

        match KeyFile::read(data) {
            Ok(file) => {
                assert!(is_key_file(data));
                let text = file.write().expect("what was read is not too long");
                assert_eq!(KeyFile::read(text.as_bytes()).as_ref(), Ok(&file));
                let _ = (file.policy_steps(), file.salt());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

//! What a device does, on a computer: a session from IAM Roles Anywhere and an object in S3, each over a TLS
//! connection of embedded-tls, by keystead's core alone.
//!
//! ```text
//! AWS_CA_BUNDLE=ROOTS.pem cargo run -p device-tls -- CERTIFICATE KEY TRUST_ANCHOR_ARN PROFILE_ARN ROLE_ARN s3://BUCKET/KEY
//! ```
//!
//! What it reads from standard input becomes the object. `KEYSTEAD_ENDPOINT` leads to a sandbox.

use std::env;
use std::error::Error;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use device_tls::path::Rules;
use device_tls::signature::Host;
use device_tls::{Anchor, Connection, Records, ServerName, Verifier, connect};
use embedded_io_adapters::std::FromStd;
use embedded_tls::CryptoRng;
use keystead::backend::file::{self, FileIdentity};
use keystead::core::create_session::{self, CreateSession, Observed, SessionError};
use keystead::core::http::stream::StreamTransport;
use keystead::core::key::MAX_SIGNATURE_LEN;
use keystead::core::s3::{self, ObjectPath, Put};
use keystead::core::time::UnixTime;
use p256::elliptic_curve::rand_core::{self, RngCore};
use zeroize::Zeroizing;

type Failure = Box<dyn Error>;

const USER_AGENT: &str = "keystead-device-tls";
const TIMEOUT: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let [
        certificate,
        key,
        trust_anchor_arn,
        profile_arn,
        role_arn,
        to,
    ] = arguments
    else {
        return Err("six arguments: CERTIFICATE KEY, three ARNs, s3://BUCKET/KEY".into());
    };
    let (bucket, object) = to
        .strip_prefix("s3://")
        .and_then(|path| path.split_once('/'))
        .ok_or("the last argument has to be s3://BUCKET/KEY")?;
    let region = trust_anchor_arn
        .split(':')
        .nth(3)
        .ok_or("the third argument has to be a trust anchor's ARN")?;
    let servers = Servers::new(region, bucket)?;
    let roots = env::var_os("AWS_CA_BUNDLE").ok_or("AWS_CA_BUNDLE has to name a file of roots")?;
    let roots = file::read_certificates(Path::new(&roots))?;
    let anchors = roots.iter().map(|root| Anchor::from_der(root));
    let anchors: Vec<_> = anchors.collect::<Result<_, _>>()?;
    let files = FileIdentity {
        certificate: Path::new(certificate),
        private_key: Some(Path::new(key)),
        intermediates: None,
    };
    let (mut identity, _) = file::open(&files, &mut || Ok(None))?;
    let mut content = Vec::new();
    io::stdin().read_to_end(&mut content)?;

    // All the memory that a device sets aside, besides its stack. What is read holds credentials, and is wiped.
    let mut read = Zeroizing::new([0; 16_640]);
    let mut write = Zeroizing::new([0; 2048]);
    let mut head = [0; 2048];
    let mut answer = Zeroizing::new([0; 4096]);
    let mut scratch = Zeroizing::new([0; 2048]);
    let mut signature = [0; MAX_SIGNATURE_LEN];

    let records = Records {
        read: &mut read[..],
        write: &mut write[..],
    };
    let connection = dial(&servers.session, &anchors, records)?;
    let request = CreateSession {
        host: &servers.session,
        region,
        trust_anchor_arn,
        profile_arn,
        role_arn,
        duration_seconds: None,
        role_session_name: None,
        user_agent: USER_AGENT,
    };
    let buffers = create_session::Buffers {
        signature: &mut signature,
        answer: &mut answer[..],
        scratch: &mut scratch[..],
    };
    let credentials = request
        .send(
            &mut identity,
            &mut StreamTransport::new(connection, &mut head),
            now(),
            buffers,
            &mut Observed::default(),
            &mut (),
        )
        .map_err(no_session)?;
    println!("a session until {}", credentials.expiration);

    let records = Records {
        read: &mut read[..],
        write: &mut write[..],
    };
    let connection = dial(&servers.object, &anchors, records)?;
    let put = Put {
        host: &servers.object,
        region,
        path: ObjectPath {
            bucket: servers.bucket_in_path.then_some(bucket),
            key: object,
        },
        headers: &[],
        content: &content,
        user_agent: USER_AGENT,
    };
    let mut target = [0; 3 * s3::MAX_KEY];
    let buffers = s3::Buffers {
        target: &mut target,
        answer: &mut [0; 1024],
    };
    put.send(
        &credentials.into(),
        &mut StreamTransport::new(connection, &mut head),
        &now(),
        buffers,
    )
    .map_err(|error| error.to_string())?;
    println!("{} bytes in {to}", content.len());
    Ok(())
}

/// Who is asked for what, as in the header `Host`.
struct Servers {
    session: String,
    object: String,
    bucket_in_path: bool,
}

impl Servers {
    fn new(region: &str, bucket: &str) -> Result<Self, Failure> {
        let Ok(url) = env::var("KEYSTEAD_ENDPOINT") else {
            return Ok(Self {
                session: format!("rolesanywhere.{region}.amazonaws.com"),
                object: format!("{bucket}.s3.{region}.amazonaws.com"),
                bucket_in_path: false,
            });
        };
        let server = url
            .strip_prefix("https://")
            .ok_or("KEYSTEAD_ENDPOINT has to begin with https://")?;
        Ok(Self {
            session: server.to_owned(),
            object: server.to_owned(),
            bucket_in_path: true,
        })
    }
}

/// Connects to `server`: a host, and a port unless it is HTTPS's own.
fn dial<'b>(
    server: &str,
    anchors: &[Anchor<'_>],
    records: Records<'b>,
) -> Result<Connection<'b, FromStd<TcpStream>>, Failure> {
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) => (host, port.parse()?),
        None => (server, 443),
    };
    let host = host.trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let rules = Rules {
        anchors,
        name: ServerName::parse(host)?,
        now: now(),
    };
    let verifier = Verifier::new(rules, Host);
    let connection = connect(FromStd::new(stream), records, verifier, Random);
    connection.map_err(|error| format!("{server}: {error}").into())
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_secs(since.map_or(0, |since| since.as_secs()))
}

fn no_session<E: std::fmt::Debug>(error: SessionError<'_, E>) -> Failure {
    match error {
        SessionError::Service(refusal) => {
            format!("{} {}: {}", refusal.status, refusal.code, refusal.message).into()
        }
        other => format!("no session: {other:?}").into(),
    }
}

/// The system's random numbers; a device has a generator of its own.
struct Random;

impl CryptoRng for Random {}

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        // No key may be made without.
        getrandom::getrandom(bytes).expect("the system has random numbers");
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

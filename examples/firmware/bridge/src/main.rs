//! Runs an image of `examples/firmware` on a board in QEMU, carries its requests to `keystead sandbox`, and prints
//! what it takes of flash and RAM beside what it may take. Fails if it takes more:
//!
//!     keystead sandbox -- firmware-bridge IMAGE
//!
//! The image `tls` is carried to the sandbox as it speaks.

use std::env;
use std::error::Error;
use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use firmware_bridge::board::Board;
use firmware_bridge::carry;
use firmware_bridge::element::PrivateKey;
use firmware_bridge::limits::{self, Figure};
use firmware_bridge::sector::{Sector, Tls};
use keystead::backend::file::read_certificates;
use keystead::host::clock::HostClock;
use keystead::host::tls::Trust;
use keystead::host::transport::{HttpTransport, TransportOptions};

fn main() -> ExitCode {
    let Some(image) = env::args_os().nth(1) else {
        eprintln!("usage: keystead sandbox -- firmware-bridge IMAGE");
        return ExitCode::from(2);
    };
    match run(Path::new(&image)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("firmware-bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("there is no {name}: run this in `keystead sandbox`"))
}

fn run(image: &Path) -> Result<bool, Box<dyn Error>> {
    let url = variable("AWS_ENDPOINT_URL")?;
    let (_, host) = url
        .split_once("://")
        .ok_or("the sandbox's URL has no scheme")?;
    let chain = read_certificates(Path::new(&variable("SANDBOX_CERTIFICATE")?))?;
    let key = fs::read_to_string(variable("SANDBOX_PRIVATE_KEY")?)?;
    let key = PrivateKey::from_pem(&key).ok_or("the sandbox's device has no P-256 key")?;
    let bundle = env::var_os("AWS_CA_BUNDLE").map(PathBuf::from);
    let has_tls = image.file_stem().is_some_and(|name| name == "tls");
    let root = match &bundle {
        Some(path) if has_tls => read_certificates(path)?.into_iter().next(),
        _ => None,
    };
    let sector = Sector {
        host,
        region: &variable("AWS_REGION")?,
        trust_anchor_arn: &variable("SANDBOX_TRUST_ANCHOR_ARN")?,
        profile_arn: &variable("SANDBOX_PROFILE_ARN")?,
        role_arn: &variable("SANDBOX_ROLE_ARN")?,
        s3_host: host,
        bucket: "sensor-logs",
        prefix: "sensors/firmware/",
        private_key: &key.to_bytes(),
        patience: [20, 60].map(Duration::from_secs),
        pause: Duration::from_millis(500),
        chain: &chain,
        tls: root.as_deref().map(Tls::new).transpose()?,
    };
    let options = TransportOptions {
        trust: bundle.map_or(Trust::System, Trust::Bundle),
        ..TransportOptions::default()
    };
    let clock = Arc::new(HostClock::new(None));
    // The sandbox is each service that the device knows.
    HttpTransport::new(url.as_str(), &options, clock.clone())?;
    let to_sandbox = |_: &str| {
        HttpTransport::new(url.as_str(), &options, clock.clone()).expect("it was made before")
    };
    let board = Board::start(image, &sector.to_bytes())?;
    let element = |line: &UnixStream| drop(key.serve(line));
    let outcome = if has_tls {
        let connection = TcpStream::connect(host)?;
        board.run(|line| drop(carry::pipe(line, &connection)), element)?
    } else {
        board.run(|line| drop(carry::serve(line, to_sandbox)), element)?
    };
    for line in &outcome.lines {
        println!("{line}");
    }
    let figures = limits::figures(image, &outcome)?;
    println!();
    for figure in &figures {
        println!("{figure}");
    }
    Ok(outcome.is_done && figures.iter().all(Figure::is_within))
}

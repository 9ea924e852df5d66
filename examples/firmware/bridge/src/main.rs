//! Runs an image of `examples/firmware` on a board in QEMU, carries its requests to `keystead sandbox`, and prints
//! what it takes of flash and RAM beside what it may take. Fails if it takes more:
//!
//!     keystead sandbox -- firmware-bridge IMAGE

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use firmware_bridge::board::{Board, Outcome};
use firmware_bridge::carry;
use firmware_bridge::element::PrivateKey;
use firmware_bridge::image;
use firmware_bridge::sector::Sector;
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
        chain: &chain,
    };
    let options = TransportOptions {
        trust: env::var_os("AWS_CA_BUNDLE")
            .map_or(Trust::System, |path| Trust::Bundle(PathBuf::from(path))),
        ..TransportOptions::default()
    };
    let clock = Arc::new(HostClock::new(None));
    // The sandbox is each service that the device knows.
    HttpTransport::new(url.as_str(), &options, clock.clone())?;
    let to_sandbox = |_: &str| {
        HttpTransport::new(url.as_str(), &options, clock.clone()).expect("it was made before")
    };
    let outcome = Board::start(image, &sector.to_bytes())?.run(
        |line| drop(carry::serve(line, to_sandbox)),
        |line| drop(key.serve(line)),
    )?;
    for line in &outcome.lines {
        println!("{line}");
    }
    Ok(outcome.is_done && judge(image, &outcome)?)
}

/// All that the core may take of flash for `CreateSession`, without cryptography.
const MAX_CORE: usize = 24 << 10;

/// RAM that `CreateSession` may take, stack and buffers, beside the certificate chain. A secure element signs.
const MAX_EXCHANGE: usize = 6 << 10;

/// All RAM, with P-256 in software.
const MAX_RAM: usize = 16 << 10;

/// Prints the figures; whether all are within their limits.
fn judge(image: &Path, outcome: &Outcome) -> io::Result<bool> {
    let flash = image::flash(image)?;
    let name = image.file_stem().unwrap_or_default();
    let is_session_alone = name == "create-session";
    let has_software_key = name == "software-key";
    println!();
    print("flash", flash.total(), None);
    let core = is_session_alone.then_some(MAX_CORE);
    let mut is_within = print("  keystead's core, with texts", flash.core, core);
    for (part, bytes) in [
        ("  cryptography", flash.cryptography),
        ("  this example", flash.program),
        ("  Rust's library", flash.language),
        ("  vectors", flash.vectors),
    ] {
        print(part, bytes, None);
    }
    let stacks = outcome.figures.iter();
    let stacks = stacks.filter(|(name, _)| name.starts_with("stack: "));
    // A figure that is missing is within no limit.
    let missing = |name: &str| io::Error::other(format!("the firmware did not tell its {name}"));
    let stack = stacks.map(|(_, bytes)| *bytes).max();
    let stack = stack.ok_or_else(|| missing("stack"))?;
    let figure = |name| {
        let bytes = outcome.figures.get(name).copied();
        bytes.ok_or_else(|| missing(name))
    };
    is_within &= print("RAM", figure("static RAM")? + stack, Some(MAX_RAM));
    print("  static", figure("static RAM")?, None);
    print("  stack", stack, None);
    let exchange = (!has_software_key).then_some(MAX_EXCHANGE);
    is_within &= print("  of both, CreateSession", figure("exchange")?, exchange);
    Ok(is_within)
}

/// Prints a figure; whether it is within its limit.
fn print(name: &str, bytes: usize, limit: Option<usize>) -> bool {
    match limit {
        None => println!("{name:<30} {bytes:>6}"),
        Some(limit) => println!("{name:<30} {bytes:>6}  of {limit}"),
    }
    limit.is_none_or(|limit| bytes <= limit)
}

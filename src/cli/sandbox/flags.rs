//! The flags of `keystead sandbox`.

use core::net::SocketAddr;
use std::ffi::OsString;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use clap::Parser;

use crate::sandbox::ScheduledFault;

const DETAILS: &str = "\
Without COMMAND, the sandbox prints what to export and runs until it is stopped. With COMMAND, it runs \
that with everything set, and ends with its exit code.

    keystead sandbox -- aws s3 cp report.json s3://sensor-logs/sensors/
    keystead sandbox --fault throttle:2 -- keystead credential-process --identity sensor-hub
    keystead sandbox --ca ca --certificate hub-17/cert.pem --key hub-17/key.pem

Its profiles are `sensor-hub` (the default; sessions of 30 minutes that may s3:PutObject below \
s3://sensor-logs/sensors/) and `developer` (everything), unless --config says otherwise.

Faults are written [SERVICE/]FAULT[=VALUE][:COUNT][@SKIP]; SERVICE is rolesanywhere, sts or s3:
    throttle, 408, 500, 503   the error answer of that name
    slow=5s                   the answer comes later
    drop, lose                the connection closes before, or after, the request takes effect
    skew=-40m                 the sandbox's clock is off
    expire=10s                sessions end after that time
    garbage                   the answer is HTML, with a status of success
    missing-field=expiration  the session's answer lacks it";

/// What says whom the sandbox trusts.
const TRUST: &str = "trust";

#[derive(Debug, Parser)]
#[command(name = "sandbox", about = super::ABOUT, after_help = DETAILS)]
pub struct Flags {
    /// Read trust anchors, profiles, roles and buckets from this file
    #[arg(long, value_name = "FILE", group = TRUST)]
    pub config: Option<PathBuf>,
    /// Trust the authority in this directory (of `keystead ca`) instead of one made on the spot
    #[arg(long, value_name = "DIR", group = TRUST)]
    pub ca: Option<PathBuf>,
    /// Let clients use this certificate (with its chain)
    #[arg(long, value_name = "CERT", requires_all = ["key", TRUST])]
    pub certificate: Option<PathBuf>,
    /// Let clients use this private key
    #[arg(
        long,
        value_name = "KEY",
        alias = "private-key",
        requires = "certificate"
    )]
    pub key: Option<String>,
    /// Listen on this loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Speak plain HTTP
    #[arg(long)]
    pub http: bool,
    /// Keep objects, keys and files for clients in this directory instead of a temporary one
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Let something go wrong; may be repeated
    #[arg(long, value_name = "FAULT")]
    pub fault: Vec<ScheduledFault>,
    /// Show each request on standard error while COMMAND runs (without COMMAND, always)
    #[arg(long)]
    pub log: bool,
    /// The command to run, and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

//! The flags of `keystead ca`.

use core::time::Duration;
use std::borrow::ToOwned as _;
use std::format;
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::vec::Vec;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::ca::{AlternativeName, KeyType, Reason, Subject};
use crate::host::duration;

const DETAILS: &str = "\
For example:
    keystead ca init
    keystead ca issue --subject CN=hub-17,O=Acme --out hub-17
    keystead ca revoke hub-17/cert.pem --reason key-compromise
    keystead ca crl

Register DIR/root.pem as a trust anchor of IAM Roles Anywhere, or use it with `keystead sandbox`.
The private keys of the authority are not encrypted: it is for development and tests.";

#[derive(Debug, Parser)]
#[command(name = "ca", about = super::ABOUT, after_help = DETAILS)]
pub struct Ca {
    /// Directory of the authority
    #[arg(long, value_name = "DIR", default_value = "ca", global = true)]
    pub dir: PathBuf,
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make a new authority
    Init(Init),
    /// Issue a certificate, for a new key or for a request
    Issue(Issue),
    /// Challenge a TPM to prove that it has a key (`key attest`)
    Challenge(Challenge),
    /// Revoke a certificate
    Revoke(Revoke),
    /// Write the revocation list
    Crl(List),
    /// Show what was issued
    Show(Show),
}

#[derive(Debug, Args)]
pub struct Init {
    /// Name of the root
    #[arg(
        long,
        value_name = "NAME",
        default_value = "CN=keystead development CA"
    )]
    pub subject: Subject,
    /// Let an intermediate issue, and give it this name
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    pub intermediate: Option<Option<Subject>>,
    /// Kind of the keys
    #[arg(long, value_name = "TYPE", value_enum, default_value_t)]
    pub key_type: KeyType,
    /// How long the authority is valid
    #[arg(long, value_name = "DURATION", default_value = "10y", value_parser = lifetime)]
    pub validity: Duration,
}

#[derive(Debug, Args)]
pub struct Issue {
    /// Whom the certificate names, such as CN=hub-17,O=Acme [default: the request's subject]
    #[arg(long, value_name = "NAME")]
    pub subject: Option<Subject>,
    /// A further name, as often as needed: dns:HOST, uri:URI, email:ADDRESS, ip:ADDRESS [default: the request's]
    #[arg(long, value_name = "KIND:NAME")]
    pub san: Vec<AlternativeName>,
    /// How long the certificate is valid
    #[arg(long, value_name = "DURATION", default_value = "90d", value_parser = lifetime)]
    pub validity: Duration,
    /// Kind of the new key
    #[arg(
        long,
        value_name = "TYPE",
        value_enum,
        default_value_t,
        conflicts_with = "csr"
    )]
    pub key_type: KeyType,
    /// Certify the key of this PKCS#10 request, PEM or DER, instead of a new one
    #[arg(long, value_name = "FILE")]
    pub csr: Option<PathBuf>,
    /// Only if this answer to a challenge proves that the request's key is in a TPM, and cannot leave it
    #[arg(long, value_name = "ANSWER", requires_all = ["csr", "ek_roots"])]
    pub attested: Option<PathBuf>,
    /// The certificates of the makers of TPMs that are trusted, PEM
    #[arg(long, value_name = "FILE", requires = "attested")]
    pub ek_roots: Option<PathBuf>,
    #[command(flatten)]
    pub destination: Destination,
}

#[derive(Debug, Args)]
pub struct Challenge {
    /// What `keystead key attest KEY --request` wrote
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
    /// The certificates of the makers of TPMs that are trusted, PEM
    #[arg(long, value_name = "FILE")]
    pub ek_roots: PathBuf,
    /// Write the challenge to this new file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// How long it can be answered
    #[arg(long, value_name = "DURATION", default_value = "1d", value_parser = lifetime)]
    pub validity: Duration,
}

#[derive(Debug, Args)]
pub struct Destination {
    /// Write cert.pem, chain.pem and key.pem in this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cert", "chain", "key"])]
    pub out: Option<PathBuf>,
    /// Write the certificate to this new file
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Write the certificate and those between it and the root to this new file
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub chain: Option<PathBuf>,
    /// Write the new private key to this new file
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Revoke {
    /// Serial number in hexadecimal, or a file with the certificate
    #[arg(value_name = "SERIAL|FILE")]
    pub certificate: String,
    /// Why
    #[arg(long, value_name = "REASON", value_enum, default_value_t)]
    pub reason: Reason,
}

#[derive(Debug, Args)]
pub struct List {
    /// How long until the list is to be replaced
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = lifetime)]
    pub validity: Duration,
}

#[derive(Debug, Args)]
pub struct Show {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl ValueEnum for Reason {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

/// A duration that is not zero.
fn lifetime(text: &str) -> Result<Duration, String> {
    match duration::parse(text) {
        Ok(Duration::ZERO) => Err(String::from("nothing is valid for no time")),
        Ok(lifetime) => Ok(lifetime),
        Err(error) => Err(error.to_string()),
    }
}

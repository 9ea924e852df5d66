//! A hub with a certificate in a file, and a sandbox that trusts its CA.

use std::process::Command;

use keystead::sandbox::{Config, Running, Sandbox, Scheme};

use super::openssl::{CA, LEAF, P256, Workshop};
use super::program::command;

/// The hub, in a folder of its own. What it keeps is in the folder `cache`.
pub struct Hub {
    pub workshop: Workshop,
    pub sandbox: Running,
}

impl Hub {
    pub fn new() -> Self {
        Self::with(|root, workshop| Config {
            scheme: Scheme::Http,
            ..Config::ready_made(root, Some(workshop.path("crl.pem"))).expect("policies")
        })
    }

    /// The hub, and the sandbox that `config` makes of the root certificate.
    pub fn with(config: impl FnOnce(Vec<u8>, &Workshop) -> Config) -> Self {
        let workshop = Workshop::new();
        for name in ["root", "hub"] {
            workshop.key(name, P256);
        }
        let root = workshop.certificate("root", "root", "-sha256", CA);
        workshop.certificate("hub", "root", "-sha256", LEAF);
        let root = keystead::backend::file::read_certificates(&root)
            .expect("a certificate")
            .swap_remove(0);
        let sandbox = Sandbox::start(config(root, &workshop)).expect("it starts");
        Self { workshop, sandbox }
    }

    /// A command of keystead's with everything about the identity in its environment, and the system's
    /// programs in its path.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.workshop.path(""), arguments);
        command
            .env("PATH", std::env::var_os("PATH").expect("a path"))
            .envs(self.settings());
        command
    }

    /// The variables that say everything about the identity.
    pub fn settings(&self) -> [(&'static str, String); 8] {
        let account = &self.sandbox.config().account;
        let path = |name: &str| self.workshop.path(name).display().to_string();
        [
            ("KEYSTEAD_CERTIFICATE", path("hub.pem")),
            ("KEYSTEAD_KEY", path("hub.key")),
            (
                "KEYSTEAD_TRUST_ANCHOR_ARN",
                account.trust_anchors[0].arn.clone(),
            ),
            ("KEYSTEAD_PROFILE_ARN", account.profiles[0].arn.clone()),
            ("KEYSTEAD_ROLE_ARN", account.roles[0].arn.clone()),
            ("KEYSTEAD_ENDPOINT", self.sandbox.url()),
            ("KEYSTEAD_MAX_ATTEMPTS", String::from("1")),
            ("KEYSTEAD_CACHE_DIR", path("cache")),
        ]
    }

    /// The sessions that were asked for.
    pub fn sessions(&self) -> usize {
        self.sandbox.session_requests().len()
    }
}

/// The settings of an identity of that hub, in whose folder the command runs: the role has that index.
pub fn identity(sandbox: &Running, role: usize) -> [(&'static str, String); 6] {
    let account = &sandbox.config().account;
    [
        ("certificate", "hub.pem".into()),
        ("key", "hub.key".into()),
        ("trust-anchor-arn", account.trust_anchors[0].arn.clone()),
        ("profile-arn", account.profiles[role].arn.clone()),
        ("role-arn", account.roles[role].arn.clone()),
        ("endpoint", sandbox.url()),
    ]
}

/// A subcommand with the flags of the first identity and more of them, in the hub's folder. It tries once.
pub fn command_of(hub: (&Workshop, &Running), subcommand: &str, more: &[&str]) -> Command {
    let (workshop, sandbox) = hub;
    let flags = identity(sandbox, 0).map(|(name, value)| format!("--{name}={value}"));
    let arguments: Vec<&str> = [subcommand, "--max-attempts=1"]
        .into_iter()
        .chain(flags.iter().map(String::as_str))
        .chain(more.iter().copied())
        .collect();
    command(&workshop.path(""), &arguments)
}

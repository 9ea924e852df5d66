//! The ways out of keystead, and how a client is brought to take its credentials from there.

use std::fmt;
use std::fs;
use std::time::Duration;

use hsm_tests::program;

use crate::client::Client;
use crate::daemon::Daemon;
use crate::rig::{IDENTITY, Rig};

/// A way for credentials to get to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The client is a program that uses keystead's library.
    Library,
    CredentialProcess,
    /// `serve`, the container endpoint.
    Container,
    /// `serve --imds`.
    Imds,
    /// `update`: a profile in the credentials file.
    CredentialsFile,
    Exec,
    /// `exec --serve`: a container endpoint for just that client.
    ExecServe,
    /// `env`
    Environment,
}

impl Output {
    /// Why a client cannot get its credentials so.
    pub fn not_for(self, client: Client) -> Option<&'static str> {
        match (self, client) {
            (Self::Library, Client::Rust) => None,
            (Self::Library, _) => Some("it is not written in Rust"),
            _ => None,
        }
    }

    /// The clients that can.
    pub fn clients(self) -> impl Iterator<Item = Client> {
        let clients = Client::ALL.into_iter();
        clients.filter(move |client| self.not_for(*client).is_none())
    }

    /// How long sessions live in tests of endurance.
    pub fn life(self) -> Duration {
        match self {
            // The cache does not hand out those in their last minute.
            Self::CredentialProcess => Duration::from_secs(180),
            // When they are renewed, an eighth of it is left at least: 22 seconds, for an attempt that fails, and
            // another one up to 10 seconds later.
            _ => Duration::from_secs(180),
        }
    }

    /// Why a client that stays does not get new credentials so, and has to be started anew.
    pub fn fixed(self, client: Client) -> Option<&'static str> {
        match (self, client) {
            (Self::CredentialsFile, _) => Some("SDKs read the file once"),
            (Self::Exec | Self::Environment, _) => {
                Some("an environment is what it was at the start")
            }
            (Self::Imds, Client::Boto3) => Some(
                "credentials that live for less than 17 to 25 minutes are kept for as long, expired or not",
            ),
            _ => None,
        }
    }

    /// Opens it.
    pub fn open(self, rig: &Rig) -> Outlet {
        let daemon = match self {
            Self::Container => Some(Daemon::serve(rig, &["--listen=127.0.0.1:0"], TOKEN_FILE)),
            Self::Imds => Some(Daemon::serve(
                rig,
                &["--listen=none", "--imds=127.0.0.1:0"],
                "AWS_EC2_METADATA_SERVICE_ENDPOINT",
            )),
            Self::CredentialsFile => Some(Daemon::update(rig)),
            _ => None,
        };
        Outlet {
            output: self,
            daemon,
            only_token_file: false,
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Library => "library",
            Self::CredentialProcess => "credential_process",
            Self::Container => "container",
            Self::Imds => "IMDS",
            Self::CredentialsFile => "credentials file",
            Self::Exec => "exec",
            Self::ExecServe => "exec --serve",
            Self::Environment => "env",
        })
    }
}

/// A way out that is open.
pub struct Outlet {
    pub output: Output,
    /// What keeps it open.
    daemon: Option<Daemon>,
    /// Whether also those clients get the token in a file that read no such file.
    pub only_token_file: bool,
}

impl Outlet {
    /// What a client is started by, and with.
    pub fn arguments(&self, client: Client, rig: &Rig) -> Vec<String> {
        let arguments = client.arguments(rig);
        let keystead = program::keystead().display().to_string();
        let before = match self.output {
            Output::Library => {
                return arguments.into_iter().chain(rig.identity()).collect();
            }
            Output::Exec => vec![
                keystead,
                "exec".into(),
                "--identity".into(),
                IDENTITY.into(),
                "--".into(),
            ],
            Output::ExecServe => vec![
                keystead,
                "exec".into(),
                "--serve".into(),
                "--identity".into(),
                IDENTITY.into(),
                "--".into(),
            ],
            Output::Environment => {
                let script = format!(
                    "credentials=$({keystead} env --shell bash --identity {IDENTITY}) || exit
                    eval \"$credentials\"
                    exec \"$@\""
                );
                vec!["bash".into(), "-c".into(), script, "bash".into()]
            }
            _ => Vec::new(),
        };
        before.into_iter().chain(arguments).collect()
    }

    /// The variables by which a client finds it.
    pub fn variables(&self, client: Client) -> Vec<(String, String)> {
        let given = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut variables = match self.output {
            Output::CredentialProcess => vec![
                given("AWS_PROFILE", IDENTITY),
                given("KEYSTEAD_CACHE_MIN_LIFE", MIN_LIFE),
            ],
            Output::Imds => vec![given("AWS_EC2_METADATA_DISABLED", "false")],
            _ => Vec::new(),
        };
        for (name, value) in self.daemon.iter().flat_map(Daemon::exports) {
            if name == TOKEN_FILE && client.wants_token_itself() && !self.only_token_file {
                let token = fs::read_to_string(value).expect("the token can be read");
                variables.push(given("AWS_CONTAINER_AUTHORIZATION_TOKEN", &token));
            } else {
                variables.push(given(name, value));
            }
        }
        variables
    }
}

const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// How long sessions from the cache have to live: in tests of endurance five seconds less than they do, so
/// that there are new ones every five seconds, and enough is left where there are none.
const MIN_LIFE: &str = "175s";

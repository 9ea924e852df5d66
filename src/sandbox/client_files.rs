//! Files and variables by which AWS's programs and keystead find a running sandbox.

use core::fmt;
use std::borrow::ToOwned as _;
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec;
use std::vec::Vec;

use super::account::Profile;
use super::device::ClientIdentity;
use super::{Running, StartError};
use crate::core::text::JsonString;

/// The files that were written, and the variables that name them.
#[derive(Debug)]
pub struct ClientFiles {
    variables: Vec<(&'static str, String)>,
    has_identity: bool,
}

/// What is written for one client.
struct Client<'a> {
    running: &'a Running,
    identity: &'a ClientIdentity,
    program: &'a Path,
    directory: &'a Path,
    ca_bundle: Option<&'a Path>,
}

impl ClientFiles {
    /// Writes into `directory`: the certificate to trust, and, for a client with an identity,
    /// `keystead.toml` and a configuration for AWS's programs with one profile for each of the
    /// sandbox's, the first also as default. Their credentials come from `program`, which is keystead.
    ///
    /// # Errors
    /// [`StartError::Write`]
    pub fn write(
        running: &Running,
        identity: Option<&ClientIdentity>,
        program: &Path,
        directory: &Path,
    ) -> Result<Self, StartError> {
        let region = running.config().account.region.clone();
        let mut variables = vec![
            ("AWS_ENDPOINT_URL", running.url()),
            ("AWS_REGION", region.clone()),
            ("AWS_DEFAULT_REGION", region),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        let mut add_file = |name, file: &str, contents: &str| {
            let path = directory.join(file);
            std::fs::write(&path, contents)
                .map_err(|error| StartError::Write(path.clone(), error))?;
            variables.push((name, path.display().to_string()));
            Ok(path)
        };
        let ca_bundle = match running.ca_pem() {
            Some(pem) => Some(add_file("AWS_CA_BUNDLE", "sandbox-ca.pem", pem)?),
            None => None,
        };
        if let Some(identity) = identity {
            let client = Client {
                running,
                identity,
                program,
                directory,
                ca_bundle: ca_bundle.as_deref(),
            };
            add_file(
                "KEYSTEAD_CONFIG",
                KEYSTEAD_CONFIG,
                &client.keystead_config(),
            )?;
            add_file("AWS_CONFIG_FILE", "aws-config", &client.aws_config())?;
            // The user's own would come before the profile's credential_process.
            add_file("AWS_SHARED_CREDENTIALS_FILE", "aws-credentials", "")?;
            variables.extend(client.arns());
        }
        Ok(Self {
            variables,
            has_identity: identity.is_some(),
        })
    }

    /// The variables to set, with their values.
    pub fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }

    /// Whether clients were given a certificate, so that there are profiles.
    pub fn has_identity(&self) -> bool {
        self.has_identity
    }
}

const KEYSTEAD_CONFIG: &str = "keystead.toml";

impl Client<'_> {
    /// The profiles that a session can be had by, with the role to assume.
    fn profiles(&self) -> impl Iterator<Item = (&Profile, &str)> {
        let profiles = self.running.config().account.profiles.iter();
        profiles
            .filter(|profile| profile.enabled)
            .filter_map(|profile| Some((&**profile, profile.roles.first()?.as_str())))
    }

    fn trust_anchor_arn(&self) -> &str {
        let anchors = &self.running.config().account.trust_anchors;
        anchors.first().map_or("", |anchor| &anchor.arn)
    }

    fn keystead_config(&self) -> String {
        let mut text = String::new();
        for (profile, role) in self.profiles() {
            let mut lines = Lines::new(&format!("[identity.{}]", profile.name));
            let quoted = |value: &dyn fmt::Display| JsonString(&value.to_string()).to_string();
            lines.add("certificate", quoted(&self.identity.certificate.display()));
            lines.add("key", quoted(&self.identity.key));
            lines.add("trust-anchor-arn", quoted(&self.trust_anchor_arn()));
            lines.add("profile-arn", quoted(&profile.arn));
            lines.add("role-arn", quoted(&role));
            lines.add("session-duration", quoted(&profile.duration_seconds));
            lines.add("endpoint", quoted(&self.running.url()));
            if let Some(bundle) = self.ca_bundle {
                lines.add("ca-bundle", quoted(&bundle.display()));
            }
            lines.add(
                "state-dir",
                quoted(&self.directory.join("client").display()),
            );
            text += &lines.0;
        }
        text
    }

    fn aws_config(&self) -> String {
        let mut text = String::new();
        for (index, (profile, _)) in self.profiles().enumerate() {
            if index == 0 {
                text += &self.aws_profile("[default]", profile);
            }
            text += &self.aws_profile(&format!("[profile {}]", profile.name), profile);
        }
        text
    }

    fn aws_profile(&self, head: &str, profile: &Profile) -> String {
        let config: PathBuf = self.directory.join(KEYSTEAD_CONFIG);
        let (program, config) = (shell_word(self.program), shell_word(&config));
        let mut lines = Lines::new(head);
        lines.add("region", &self.running.config().account.region);
        lines.add("endpoint_url", self.running.url());
        if let Some(bundle) = self.ca_bundle {
            lines.add("ca_bundle", bundle.display());
        }
        let name = &profile.name;
        let command = format!("{program} credential-process --config {config} --identity {name}");
        lines.add("credential_process", command);
        lines.0
    }

    /// For clients that are neither keystead nor read AWS's profiles.
    fn arns(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            (
                "SANDBOX_TRUST_ANCHOR_ARN",
                self.trust_anchor_arn().to_owned(),
            ),
            (
                "SANDBOX_CERTIFICATE",
                self.identity.certificate.display().to_string(),
            ),
            ("SANDBOX_PRIVATE_KEY", self.identity.key.clone()),
        ];
        if let Some((profile, role)) = self.profiles().next() {
            variables.push(("SANDBOX_PROFILE_ARN", profile.arn.clone()));
            variables.push(("SANDBOX_ROLE_ARN", role.to_owned()));
        }
        variables
    }
}

/// A section of a configuration file.
struct Lines(String);

impl Lines {
    fn new(head: &str) -> Self {
        Self(format!("{head}\n"))
    }

    fn add(&mut self, key: &str, value: impl fmt::Display) {
        self.0 += &format!("{key} = {value}\n");
    }
}

/// A path as one word of a command line, for those that split it and for those that give it to a
/// shell.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) {
        return text;
    }
    let mut word = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            word.push('\\');
        }
        word.push(c);
    }
    word + "\""
}

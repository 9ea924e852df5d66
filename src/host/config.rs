//! `keystead.toml`: named identities, each a table of [settings](Setting).

use core::fmt;
use std::borrow::ToOwned as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::document::{self, DocumentError, Table};
#[cfg(feature = "push")]
use super::push_config::{PushConfig, SpoolConfig};
use super::section::{SectionConfig, SectionSetting};
use super::serve_config::ServeConfig;

/// A setting of an identity. Each is a key of `[identity.NAME]`, a flag, and a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// The certificate.
    Certificate,
    /// The private key.
    Key,
    /// More certificates of the chain.
    Intermediates,
    /// Where the key's password or PIN comes from.
    PasswordSource,
    /// Whether certificates that Roles Anywhere refuses are sent.
    SkipCertificateRules,
    /// Whether warnings about secrets are errors.
    Strict,
    /// The PKCS#11 module, where a URI names none.
    Pkcs11Lib,
    /// Whether a PIN that was typed once serves for each signature.
    ReusePin,
    /// Whether only keys that never were outside hardware are taken.
    RequireHardware,
    /// Whether modules run in a process of their own.
    Isolate,
    /// What tells a person to touch the token, where there is no terminal.
    NotifyCmd,
    /// How long one call of a module, or one command of a TPM, may take.
    TokenTimeout,
    /// How the TPM is reached, where a URI does not say it.
    Tcti,
    /// Where the auth value of a TPM key's parent comes from.
    ParentAuthSource,
    /// Where the auth value of a TPM's owner hierarchy comes from.
    OwnerAuthSource,
    /// Whether auth values go to the TPM in clear.
    TpmPlainAuth,
    /// Whether a TPM's keys are used through libtss2.
    TpmTransport,
    /// The trust anchor.
    TrustAnchorArn,
    /// The profile.
    ProfileArn,
    /// The role.
    RoleArn,
    /// How long a session lives.
    SessionDuration,
    /// The name of the role session.
    RoleSessionName,
    /// The region, instead of the trust anchor's.
    Region,
    /// An endpoint of the user's own.
    Endpoint,
    /// Whether the FIPS endpoint is used.
    Fips,
    /// Whether the dual-stack endpoint is used.
    DualStack,
    /// Root certificates, instead of the system's.
    CaBundle,
    /// Whether the environment's proxies are used.
    WithProxy,
    /// A proxy.
    Proxy,
    /// How long a connection may take to be made.
    ConnectTimeout,
    /// How long all attempts together may take.
    Timeout,
    /// How often a request is sent at most.
    MaxAttempts,
    /// Whether the service's certificate is not verified.
    NoVerifySsl,
    /// Whether requests may go unencrypted to another machine.
    AllowHttp,
    /// Whether a clock that is wrong is corrected by the service's.
    CorrectClock,
    /// Where what has to outlive the process is kept.
    StateDir,
    /// Whether each run asks for a session of its own.
    NoCache,
    /// Where credentials are kept, instead of in memory.
    CacheDir,
    /// How long credentials that were kept have to live at least.
    CacheMinLife,
    /// Whether the role that a machine in AWS has by itself goes before the certificate.
    UnlessOnAws,
    /// The account that credentials have to be of.
    ExpectAccount,
    /// Whether a daemon keeps the rights that it does not need.
    NoConfine,
}

impl Setting {
    /// All of them, in the order in which people read them.
    pub const ALL: [Self; 42] = [
        Self::Certificate,
        Self::Key,
        Self::Intermediates,
        Self::PasswordSource,
        Self::SkipCertificateRules,
        Self::Strict,
        Self::Pkcs11Lib,
        Self::ReusePin,
        Self::RequireHardware,
        Self::Isolate,
        Self::NotifyCmd,
        Self::TokenTimeout,
        Self::Tcti,
        Self::ParentAuthSource,
        Self::OwnerAuthSource,
        Self::TpmPlainAuth,
        Self::TpmTransport,
        Self::TrustAnchorArn,
        Self::ProfileArn,
        Self::RoleArn,
        Self::SessionDuration,
        Self::RoleSessionName,
        Self::Region,
        Self::Endpoint,
        Self::Fips,
        Self::DualStack,
        Self::CaBundle,
        Self::WithProxy,
        Self::Proxy,
        Self::ConnectTimeout,
        Self::Timeout,
        Self::MaxAttempts,
        Self::NoVerifySsl,
        Self::AllowHttp,
        Self::CorrectClock,
        Self::StateDir,
        Self::NoCache,
        Self::CacheDir,
        Self::CacheMinLife,
        Self::UnlessOnAws,
        Self::ExpectAccount,
        Self::NoConfine,
    ];

    /// The key in the file, and the flag without its dashes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Key => "key",
            Self::Intermediates => "intermediates",
            Self::PasswordSource => "password-source",
            Self::SkipCertificateRules => "skip-certificate-rules",
            Self::Strict => "strict",
            Self::Pkcs11Lib => "pkcs11-lib",
            Self::ReusePin => "reuse-pin",
            Self::RequireHardware => "require-hardware",
            Self::Isolate => "isolate",
            Self::NotifyCmd => "notify-cmd",
            Self::TokenTimeout => "token-timeout",
            Self::Tcti => "tcti",
            Self::ParentAuthSource => "parent-auth-source",
            Self::OwnerAuthSource => "owner-auth-source",
            Self::TpmPlainAuth => "tpm-plain-auth",
            Self::TpmTransport => "tpm-transport",
            Self::TrustAnchorArn => "trust-anchor-arn",
            Self::ProfileArn => "profile-arn",
            Self::RoleArn => "role-arn",
            Self::SessionDuration => "session-duration",
            Self::RoleSessionName => "role-session-name",
            Self::Region => "region",
            Self::Endpoint => "endpoint",
            Self::Fips => "fips",
            Self::DualStack => "dual-stack",
            Self::CaBundle => "ca-bundle",
            Self::WithProxy => "with-proxy",
            Self::Proxy => "proxy",
            Self::ConnectTimeout => "connect-timeout",
            Self::Timeout => "timeout",
            Self::MaxAttempts => "max-attempts",
            Self::NoVerifySsl => "no-verify-ssl",
            Self::AllowHttp => "allow-http",
            Self::CorrectClock => "correct-clock",
            Self::StateDir => "state-dir",
            Self::NoCache => "no-cache",
            Self::CacheDir => "cache-dir",
            Self::CacheMinLife => "cache-min-life",
            Self::UnlessOnAws => "unless-on-aws",
            Self::ExpectAccount => "expect-account",
            Self::NoConfine => "no-confine",
        }
    }

    /// The environment variable: `KEYSTEAD_TRUST_ANCHOR_ARN`.
    pub fn variable(self) -> String {
        let mut name = String::from("KEYSTEAD_");
        name.extend(self.name().chars().map(|c| match c {
            '-' => '_',
            c => c.to_ascii_uppercase(),
        }));
        name
    }
}

/// A configuration file.
#[derive(Debug)]
pub struct Config {
    identities: Vec<IdentityConfig>,
    serve: ServeConfig,
    #[cfg(feature = "push")]
    push: PushConfig,
    #[cfg(feature = "push")]
    spool: SpoolConfig,
}

/// One `[identity.NAME]`.
#[derive(Debug)]
pub struct IdentityConfig {
    name: String,
    values: Vec<Value>,
}

/// A setting as the file has it.
#[derive(Debug)]
pub struct Value {
    /// Which one.
    pub setting: Setting,
    /// The value; numbers and truth values as text.
    pub text: String,
    /// The line of its key.
    pub line: usize,
}

impl Config {
    /// Reads a configuration; `file` is what errors call it.
    ///
    /// # Errors
    /// [`DocumentError`] if `text` is not TOML, holds an unknown key, or a value of the wrong type.
    pub fn parse(file: &str, text: &str) -> Result<Self, DocumentError> {
        let mut document = Table::parse(file, text)?;
        let mut identities = Vec::new();
        for (name, mut table) in document.tables("identity")? {
            let mut values = Vec::new();
            for setting in Setting::ALL {
                if let Some((text, line)) = table.text(setting.name())? {
                    values.push(Value {
                        setting,
                        text,
                        line,
                    });
                }
            }
            table.finish()?;
            identities.push(IdentityConfig { name, values });
        }
        let serve = section(&mut document, "serve")?;
        #[cfg(feature = "push")]
        let (push, spool) = (
            section(&mut document, "push")?,
            section(&mut document, "spool")?,
        );
        // They are known, and left to programs that upload.
        #[cfg(not(feature = "push"))]
        for other in ["push", "spool"] {
            document.table(other)?;
        }
        document.finish()?;
        Ok(Self {
            identities,
            serve,
            #[cfg(feature = "push")]
            push,
            #[cfg(feature = "push")]
            spool,
        })
    }

    /// What `[push]` says.
    #[cfg(feature = "push")]
    pub fn push(&self) -> &PushConfig {
        &self.push
    }

    /// What `[spool]` says.
    #[cfg(feature = "push")]
    pub fn spool(&self) -> &SpoolConfig {
        &self.spool
    }

    /// What `[serve]` says.
    pub fn serve(&self) -> &ServeConfig {
        &self.serve
    }

    /// All identities, by name.
    pub fn identities(&self) -> &[IdentityConfig] {
        &self.identities
    }

    /// The same, to keep.
    pub fn into_identities(self) -> Vec<IdentityConfig> {
        self.identities
    }

    /// The identity of that name; without a name, the only one.
    ///
    /// # Errors
    /// [`NoSuchIdentity`] if there is none of that name, or several to choose from.
    pub fn into_identity(mut self, name: Option<&str>) -> Result<IdentityConfig, NoSuchIdentity> {
        let index = match name {
            Some(name) => self.identities.iter().position(|known| known.name == name),
            None => (self.identities.len() == 1).then_some(0),
        };
        match index {
            Some(index) => Ok(self.identities.swap_remove(index)),
            None => Err(NoSuchIdentity {
                name: name.map(str::to_owned),
                known: self.identities.into_iter().map(|i| i.name).collect(),
            }),
        }
    }
}

impl IdentityConfig {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the file says of a setting.
    pub fn value(&self, setting: Setting) -> Option<&Value> {
        self.values.iter().find(|value| value.setting == setting)
    }
}

/// A section of the document; an empty one, if it has none of that name.
fn section<S: SectionSetting>(
    document: &mut Table<'_>,
    name: &'static str,
) -> Result<SectionConfig<S>, DocumentError> {
    match document.table(name)? {
        Some(table) => SectionConfig::read(table),
        None => Ok(SectionConfig::default()),
    }
}

/// An identity that is not there, or cannot be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchIdentity {
    name: Option<String>,
    known: Vec<String>,
}

impl fmt::Display for NoSuchIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.join(", ");
        match &self.name {
            _ if self.known.is_empty() => f.write_str("there is no [identity.NAME] in it"),
            None => write!(f, "it has several identities: {known}"),
            Some(name) => {
                let near = document::nearest(name, self.known.iter().map(String::as_str));
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("it has {known}"),
                };
                write!(f, "there is no [identity.{name}] in it; {hint}")
            }
        }
    }
}

impl core::error::Error for NoSuchIdentity {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    const TEXT: &str = r#"
[identity.hub]
certificate = "/etc/keystead/hub.pem"
session-duration = 1800
strict = true

[identity.lab]
certificate = "lab.pem"

[push]
identity = "hub"
"#;

    #[test]
    fn identities_and_their_values() {
        let identity = |name| Config::parse("k.toml", TEXT).unwrap().into_identity(name);
        let hub = identity(Some("hub")).unwrap();
        let duration = hub.value(Setting::SessionDuration).unwrap();
        assert_eq!((duration.text.as_str(), duration.line), ("1800", 4));
        assert_eq!(hub.value(Setting::Strict).unwrap().text, "true");
        assert!(hub.value(Setting::RoleArn).is_none());
        assert_eq!(
            identity(None).unwrap_err().to_string(),
            "it has several identities: hub, lab"
        );
        assert_eq!(
            identity(Some("hib")).unwrap_err().to_string(),
            "there is no [identity.hib] in it; did you mean `hub`?"
        );
    }

    #[test]
    fn the_only_identity_needs_no_name() {
        let config = Config::parse("k.toml", "[identity.x]\nkey = 'k'").unwrap();
        assert_eq!(config.into_identity(None).unwrap().name(), "x");
        let none = Config::parse("k.toml", "")
            .unwrap()
            .into_identity(None)
            .err();
        assert_eq!(
            none.unwrap().to_string(),
            "there is no [identity.NAME] in it"
        );
    }

    #[test]
    fn errors_say_where() {
        for (text, says) in [
            (
                "[identity.a]\ncertficate = 'x'",
                "k.toml, line 2: unknown key `identity.a.certficate`; did you mean `certificate`?",
            ),
            (
                "[idenity.a]",
                "k.toml, line 1: unknown key `idenity`; did you mean `identity`?",
            ),
            (
                "[identity.a]\nkey = ['x']",
                "k.toml, line 2: `identity.a.key` has to be a string, a number, or true or false",
            ),
            (
                "identity = 'a'",
                "k.toml, line 1: `identity` has to be a table",
            ),
        ] {
            assert_eq!(Config::parse("k.toml", text).unwrap_err().to_string(), says);
        }
    }

    #[test]
    fn names_are_unique() {
        for (index, setting) in Setting::ALL.iter().enumerate() {
            let earlier = &Setting::ALL[..index];
            assert!(earlier.iter().all(|other| other.name() != setting.name()));
        }
        assert_eq!(
            Setting::TrustAnchorArn.variable(),
            "KEYSTEAD_TRUST_ANCHOR_ARN"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = Config::parse("k.toml", &text);
        }

        #[test]
        fn any_value_comes_back(text in "[^'\\pC]{0,60}") {
            let file = format!("[identity.a]\nkey = '{text}'\n");
            let config = Config::parse("k.toml", &file).unwrap();
            let identity = config.into_identity(None).unwrap();
            let value = identity.value(Setting::Key).unwrap();
            prop_assert_eq!(&value.text, &text);
        }
    }
}

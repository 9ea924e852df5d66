//! `[serve]` of `keystead.toml`.

use std::string::String;

use super::config::Config;
use super::section::{SectionConfig, SectionSetting};

/// A setting of `keystead serve`. Each is a key of `[serve]`, a flag, and a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServeSetting {
    /// The identities.
    Identities,
    /// Where the container's endpoint is.
    Listen,
    /// Where IMDS is, if anywhere.
    Imds,
    /// The address of what is not given one.
    Bind,
    /// A Unix socket for the container's endpoint.
    Socket,
    /// Where the token is written.
    TokenFile,
    /// Whose members may read the token.
    TokenGroup,
    /// Whose programs may connect.
    AllowUid,
    /// Names of this machine.
    AllowHost,
    /// Whether other machines may come.
    AllowRemote,
    /// The certificate that other machines see.
    TlsCert,
    /// Its key.
    TlsKey,
    /// How many hops answers travel.
    HopLimit,
}

impl ServeSetting {
    /// All of them, in the order in which people read them.
    pub const ALL: [Self; 13] = [
        Self::Identities,
        Self::Listen,
        Self::Imds,
        Self::Bind,
        Self::Socket,
        Self::TokenFile,
        Self::TokenGroup,
        Self::AllowUid,
        Self::AllowHost,
        Self::AllowRemote,
        Self::TlsCert,
        Self::TlsKey,
        Self::HopLimit,
    ];

    /// The key in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identities => "identities",
            Self::Listen => "listen",
            Self::Imds => "imds",
            Self::Bind => "bind",
            Self::Socket => "socket",
            Self::TokenFile => "token-file",
            Self::TokenGroup => "token-group",
            Self::AllowUid => "allow-uid",
            Self::AllowHost => "allow-host",
            Self::AllowRemote => "allow-remote",
            Self::TlsCert => "tls-cert",
            Self::TlsKey => "tls-key",
            Self::HopLimit => "hop-limit",
        }
    }

    /// The flag without its dashes.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Identities => "identity",
            other => other.name(),
        }
    }

    /// The environment variable: `KEYSTEAD_SERVE_TOKEN_FILE`.
    pub fn variable(self) -> String {
        match self {
            Self::Identities => String::from("KEYSTEAD_IDENTITY"),
            other => {
                let name = other.name().replace('-', "_").to_ascii_uppercase();
                std::format!("KEYSTEAD_SERVE_{name}")
            }
        }
    }

    /// Whether it may have several values.
    pub const fn is_list(self) -> bool {
        matches!(
            self,
            Self::Identities | Self::Listen | Self::Imds | Self::AllowUid | Self::AllowHost
        )
    }
}

impl SectionSetting for ServeSetting {
    const SETTINGS: &'static [Self] = &Self::ALL;

    fn key(self) -> &'static str {
        self.name()
    }

    fn flag_name(self) -> &'static str {
        self.flag()
    }

    fn variable_name(self) -> String {
        self.variable()
    }

    fn has_several(self) -> bool {
        self.is_list()
    }

    fn is_name(self) -> bool {
        self == Self::Identities
    }

    fn section(config: &Config) -> &ServeConfig {
        config.serve()
    }
}

/// What the file says in `[serve]`.
pub type ServeConfig = SectionConfig<ServeSetting>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    fn config(text: &str) -> Config {
        Config::parse("k.toml", text).unwrap()
    }

    #[test]
    fn values_and_lists() {
        let config = config(
            "[serve]\nidentities = ['hub', 'lab']\nimds = true\nallow-uid = [0, 'www-data']\nhop-limit = 2\n",
        );
        let texts = |setting| {
            let value = config.serve().value(setting)?;
            Some((value.texts.join(" "), value.line))
        };
        for (setting, text, line) in [
            (ServeSetting::Identities, "hub lab", 2),
            (ServeSetting::Imds, "true", 3),
            (ServeSetting::AllowUid, "0 www-data", 4),
            (ServeSetting::HopLimit, "2", 5),
        ] {
            assert_eq!(texts(setting), Some((text.to_string(), line)));
        }
        assert_eq!(texts(ServeSetting::Socket), None);
    }

    #[test]
    fn errors_say_where() {
        for (text, says) in [
            (
                "[serve]\nidentites = ['hub']",
                "k.toml, line 2: unknown key `serve.identites`; did you mean `identities`?",
            ),
            (
                "[serve]\n\nidentities = [['hub']]",
                "k.toml, line 3: `serve.identities` has to be a list of strings or numbers",
            ),
            (
                "[serve]\nsocket = ['a']",
                "k.toml, line 2: `serve.socket` has to be a string, a number, or true or false",
            ),
            ("serve = 3", "k.toml, line 1: `serve` has to be a table"),
        ] {
            assert_eq!(Config::parse("k.toml", text).unwrap_err().to_string(), says);
        }
    }

    #[test]
    fn names_are_unique() {
        for (index, setting) in ServeSetting::ALL.iter().enumerate() {
            let earlier = &ServeSetting::ALL[..index];
            assert!(earlier.iter().all(|other| other.name() != setting.name()));
        }
        assert_eq!(
            ServeSetting::TokenFile.variable(),
            "KEYSTEAD_SERVE_TOKEN_FILE"
        );
    }
}

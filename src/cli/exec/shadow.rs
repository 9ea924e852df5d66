//! Credentials of the default profile, which every SDK takes before it looks for an endpoint.

use std::format;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::context::Context;
use crate::backend::regular_file;

/// The settings of a profile that credentials come from (AWS SDKs and Tools Reference Guide, "Credential
/// providers").
const SETTINGS: [&str; 8] = [
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// Keeps the command from the credentials of the default profile. Those in the file of credentials are
/// left out, with the whole file; the other file has settings that the command needs, so that people are
/// told.
pub fn remove(process: &mut Command, context: &Context<'_>) {
    let file = |variable, usual: &str| {
        let named = context.environment.var(variable);
        let named = named.filter(|name| !name.is_empty()).map(PathBuf::from);
        named.or_else(|| Some(Path::new(&context.environment.var("HOME")?).join(usual)))
    };
    let credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
    if credentials.is_some_and(|path| setting_of(&path, &["default"]).is_some()) {
        process.env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    }
    if let Some(path) = file("AWS_CONFIG_FILE", ".aws/config")
        && let Some(setting) = setting_of(&path, &["default", "profile default"])
    {
        let path = path.display();
        context.console.warn(
            &format!(
                "{path}: {setting} of the default profile goes before --serve for AWS's programs"
            ),
            "take it out of there, or leave --serve out: credentials in the environment go first",
        );
    }
}

/// The first setting in one of these sections that credentials come from.
fn setting_of(path: &Path, sections: &[&str]) -> Option<&'static str> {
    let text = regular_file::read_text(path).ok()?;
    find(&text, sections)
}

fn find(text: &str, sections: &[&str]) -> Option<&'static str> {
    let mut is_inside = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.split(']').next().unwrap_or_default().trim();
            is_inside = sections.contains(&name);
        } else if is_inside && let Some((key, value)) = line.split_once('=') {
            // What is indented belongs to the setting above.
            let found = SETTINGS.iter().find(|known| **known == key.trim_end());
            if found.is_some() && !value.trim().is_empty() {
                return found.copied();
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_default_profile_counts() {
        let credentials = |text| find(text, &["default"]);
        let keys = "[default]\naws_access_key_id = A\naws_secret_access_key = B\n";
        assert_eq!(credentials(keys), Some("aws_access_key_id"));
        assert_eq!(credentials("[hub]\naws_access_key_id = A\n"), None);
        assert_eq!(credentials("[default]\r\nregion=eu-west-1\r\n"), None);
        assert_eq!(
            credentials("[default]\n# role_arn = x\nrole_arn=\n[a]\nrole_arn=x"),
            None
        );
        let config = |text| find(text, &["default", "profile default"]);
        let process = "[profile default]\ncredential_process = keystead credential-process\n";
        assert_eq!(config(process), Some("credential_process"));
        assert_eq!(credentials(process), None);
        assert_eq!(config("[default]\ns3 =\n  role_arn = x\n"), None);
    }
}

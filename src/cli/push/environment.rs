//! Credentials from the environment, for any server that speaks S3's protocol.

use std::ffi::OsString;
use std::format;
use std::string::String;

use crate::backend::secret::Environment;
use crate::cli::error::{CliError, Exit};
use crate::core::time::UnixTime;
use crate::host::clock;
use crate::host::session::Credentials;

/// The credentials that `AWS_ACCESS_KEY_ID` and its like are. Without `AWS_SESSION_TOKEN` they are lasting keys, of
/// a user or of a server that is not AWS.
///
/// # Errors
/// [`CliError`] if they are not complete, or have expired.
pub fn credentials(environment: &dyn Environment) -> Result<Credentials, CliError> {
    let text = |name: &str| match environment.var(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(CliError::usage(format!("{name} is not UTF-8"), "")),
    };
    let required = |name: &str| {
        text(name)?.ok_or_else(|| {
            CliError::usage(
                format!("credentials are to come from the environment, and {name} is not set"),
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN if there is one; or leave \
                 --credentials environment out",
            )
        })
    };
    let expiration = match text("AWS_CREDENTIAL_EXPIRATION")? {
        None => UnixTime::MAX,
        Some(time) => UnixTime::parse_rfc3339(&time).ok_or_else(|| {
            CliError::usage(
                "AWS_CREDENTIAL_EXPIRATION is no time such as 2026-11-22T02:19:51Z",
                "",
            )
        })?,
    };
    if expiration <= clock::system_time() {
        return Err(CliError::new(
            Exit::Refused,
            format!("the credentials of the environment have expired: {expiration}"),
            "set new ones",
        ));
    }
    Ok(Credentials {
        access_key_id: required("AWS_ACCESS_KEY_ID")?,
        secret_access_key: required("AWS_SECRET_ACCESS_KEY")?.into(),
        session_token: text("AWS_SESSION_TOKEN")?.unwrap_or_default().into(),
        expiration,
        role_arn: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Variables(&'static [(&'static str, &'static str)]);

    impl Environment for Variables {
        fn var(&self, name: &str) -> Option<OsString> {
            let found = self.0.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        }
    }

    const KEYS: [(&str, &str); 2] = [
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];

    #[test]
    fn complete_or_refused() {
        let lasting = credentials(&Variables(&KEYS)).unwrap();
        assert_eq!(lasting.access_key_id, "AKIAEXAMPLE");
        assert_eq!(lasting.expiration, UnixTime::MAX);
        assert!(lasting.session_token.is_empty());
        let error = credentials(&Variables(&KEYS[..1])).unwrap_err();
        assert!(error.what.contains("AWS_SECRET_ACCESS_KEY is not set"));
        let expired = Variables(&[
            KEYS[0],
            KEYS[1],
            ("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z"),
        ]);
        assert!(
            credentials(&expired)
                .unwrap_err()
                .what
                .contains("have expired")
        );
        let nonsense = Variables(&[KEYS[0], KEYS[1], ("AWS_CREDENTIAL_EXPIRATION", "soon")]);
        assert!(
            credentials(&nonsense)
                .unwrap_err()
                .what
                .contains("is no time")
        );
    }
}

//! The answer to a `CreateSession` that succeeded.

use std::format;
use std::string::String;

use der::Decode as _;
use serde_json::{Value, json};
use x509_cert::name::Name;

use crate::core::text::Hex;
use crate::core::x509::Certificate;
use crate::sandbox::config::Config;
use crate::sandbox::sessions::Session;

/// The JSON of PROTOCOL's success response; `packed_policy_size` in percent, if there is a session
/// policy.
pub(super) fn body(
    config: &Config,
    session: &Session,
    leaf: &Certificate<'_>,
    packed_policy_size: Option<usize>,
) -> Value {
    json!({
        "credentialSet": [{
            "assumedRoleUser": {
                "arn": session.arn(),
                "assumedRoleId": session.id(),
            },
            "credentials": {
                "accessKeyId": session.access_key_id,
                "secretAccessKey": *session.secret_access_key,
                "sessionToken": *session.session_token,
                "expiration": format!("{}", session.expiration),
            },
            "packedPolicySize": packed_policy_size.unwrap_or(0),
            "roleArn": session.role.arn,
            "sourceIdentity": source_identity(leaf),
        }],
        "subjectArn": config.account.subject_arn(leaf.subject),
    })
}

/// `CN=` and the common name; the bare name if that would be longer than 64 characters; `ID=` and the
/// serial number in hexadecimal if there is no common name (user guide, "Trust model").
fn source_identity(leaf: &Certificate<'_>) -> String {
    let common_name = Name::from_der(leaf.subject)
        .ok()
        .and_then(|subject| subject.common_name().ok().flatten());
    match common_name.map(|name| name.value().into_owned()) {
        Some(name) if name.chars().count() <= 61 => format!("CN={name}"),
        Some(name) => name,
        None => format!("ID={}", Hex(leaf.serial)),
    }
}

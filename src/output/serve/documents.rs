//! What is answered: credentials as IMDS and as a container's endpoint have them, an instance's identity,
//! errors.

use core::fmt;
use std::string::String;

use zeroize::Zeroizing;

use crate::core::text::JsonString;
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

/// The document of a role at IMDS.
pub fn of_role(credentials: &Credentials, updated: UnixTime) -> Zeroizing<String> {
    secret(
        credentials,
        format_args!(
            r#"{{
  "Code" : "Success",
  "LastUpdated" : "{updated}",
  "Type" : "AWS-HMAC",
  "AccessKeyId" : {},
  "SecretAccessKey" : {},
  "Token" : {},
  "Expiration" : "{}"
}}"#,
            JsonString(&credentials.access_key_id),
            JsonString(&credentials.secret_access_key),
            JsonString(&credentials.session_token),
            credentials.expiration
        ),
    )
}

/// The document of a container's endpoint. Of a role whose ARN is not known neither it nor its account is in
/// it.
pub fn of_container(credentials: &Credentials, account: &str) -> Zeroizing<String> {
    let role = Role {
        arn: &credentials.role_arn,
        account,
    };
    secret(
        credentials,
        format_args!(
            r#"{{"AccessKeyId":{},"SecretAccessKey":{},"Token":{},"Expiration":"{}"{role}}}"#,
            JsonString(&credentials.access_key_id),
            JsonString(&credentials.secret_access_key),
            JsonString(&credentials.session_token),
            credentials.expiration,
        ),
    )
}

struct Role<'a> {
    arn: &'a str,
    account: &'a str,
}

impl fmt::Display for Role<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.arn.is_empty() {
            return Ok(());
        }
        let (account, arn) = (JsonString(self.account), JsonString(self.arn));
        write!(f, r#","AccountId":{account},"RoleArn":{arn}"#)
    }
}

/// With all its room from the start, no copy of a secret is left behind by growing.
fn secret(credentials: &Credentials, text: fmt::Arguments<'_>) -> Zeroizing<String> {
    let secrets = credentials.secret_access_key.len() + credentials.session_token.len();
    let others = credentials.access_key_id.len() + credentials.role_arn.len();
    let mut document = Zeroizing::new(String::with_capacity(512 + 2 * (secrets + others)));
    // Writing into a string does not fail.
    let _ = fmt::write(&mut *document, text);
    document
}

/// Why there are no credentials, as IMDS says it: programs look at `Code` first, and take anything but
/// `Success` for a failure.
pub fn imds_failure(code: &str, message: &str, updated: UnixTime) -> String {
    std::format!(
        r#"{{"Code":{},"Message":{},"LastUpdated":"{updated}"}}"#,
        JsonString(code),
        JsonString(message)
    )
}

/// An error of a container's endpoint.
pub fn container_error(code: &str, message: &str) -> String {
    std::format!(
        r#"{{"code":{},"message":{}}}"#,
        JsonString(code),
        JsonString(message)
    )
}

/// The part of an instance's identity document that programs read for region and account.
pub fn instance_identity(region: &str, account: &str) -> String {
    std::format!(
        r#"{{
  "accountId" : {},
  "availabilityZone" : {},
  "region" : {},
  "version" : "2017-09-30"
}}"#,
        JsonString(account),
        JsonString(&availability_zone(region)),
        JsonString(region)
    )
}

/// A zone of the region: programs read it for the region, by leaving out its last letter.
pub fn availability_zone(region: &str) -> String {
    std::format!("{region}a")
}

//! The documents that hold credentials, read strictly: what is not whole, or does not live, is none.

use std::format;
use std::string::{String, ToString as _};

use serde_json::Value;
use zeroize::Zeroizing;

use crate::core::text::Printable;
use crate::core::time::{Clock as _, UnixTime};
use crate::host::clock::HostClock;
use crate::host::session::Credentials;

/// A document with credentials, as the metadata service and container endpoints have it.
pub struct Document {
    /// The credentials, of a role without a name.
    pub credentials: Credentials,
    /// The role, which ECS names.
    pub role_arn: Option<String>,
    /// The account, which EKS names.
    pub account: Option<String>,
}

/// Reads a document.
///
/// # Errors
/// What is wrong with it, for a sentence that says where it came from. It repeats nothing but what says
/// why there are no credentials.
pub fn read(text: &str, clock: &HostClock) -> Result<Document, String> {
    // What serde_json keeps of the secrets for a moment is the allocator's; ours is wiped.
    let json: Value =
        serde_json::from_str(text).map_err(|_| String::from("what it answers is no JSON"))?;
    let text = |name: &str| json[name].as_str().filter(|text| !text.is_empty());
    // The metadata service says so, with a status of success.
    if let Some(code) = text("Code").or_else(|| text("code"))
        && code != "Success"
    {
        let message = text("Message").or_else(|| text("message"));
        let message = message.unwrap_or("without a reason");
        return Err(format!(
            "it gives no credentials: {}: {}",
            Printable(code),
            Printable(message)
        ));
    }
    let need = |name: &str| text(name).ok_or_else(|| format!("its answer has no {name}"));
    let expiration = UnixTime::parse_rfc3339(need("Expiration")?)
        .ok_or_else(|| String::from("its answer has an Expiration that is no time"))?;
    if expiration <= clock.now() {
        return Err(format!(
            "its credentials have expired at {expiration}, by this machine's clock"
        ));
    }
    Ok(Document {
        credentials: Credentials {
            access_key_id: need("AccessKeyId")?.to_string(),
            secret_access_key: Zeroizing::new(need("SecretAccessKey")?.to_string()),
            session_token: Zeroizing::new(need("Token")?.to_string()),
            expiration,
            role_arn: String::new(),
        },
        role_arn: text("RoleArn").map(String::from),
        account: text("AccountId").map(String::from),
    })
}

/// The account and the region of an instance identity document.
pub fn read_identity(text: &str) -> Option<(String, String)> {
    let json: Value = serde_json::from_str(text).ok()?;
    let text = |name: &str| json[name].as_str().filter(|text| !text.is_empty());
    Some((text("accountId")?.into(), text("region")?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clock() -> HostClock {
        HostClock::new(None)
    }

    fn document(change: impl FnOnce(&mut Value)) -> String {
        let mut json = serde_json::json!({
            "Code": "Success",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIA1",
            "SecretAccessKey": "s3cret",
            "Token": "t0ken",
            "Expiration": clock().now().offset_by(3600).to_string(),
        });
        change(&mut json);
        json.to_string()
    }

    #[test]
    fn whole_documents_are_read() {
        let read = read(&document(|_| ()), &clock()).unwrap();
        let credentials = read.credentials;
        assert_eq!(credentials.access_key_id, "ASIA1");
        assert_eq!(credentials.secret_access_key.as_str(), "s3cret");
        assert_eq!(credentials.session_token.as_str(), "t0ken");
        assert_eq!(read.account, None);
        // Container endpoints say neither Code nor Type.
        let container = document(|json| {
            json.as_object_mut().unwrap().remove("Code");
            json["AccountId"] = "111122223333".into();
        });
        let read = super::read(&container, &clock()).unwrap();
        assert_eq!(read.account.as_deref(), Some("111122223333"));
    }

    #[test]
    fn anything_less_is_none() {
        for name in ["AccessKeyId", "SecretAccessKey", "Token", "Expiration"] {
            let without = |json: &mut Value| drop(json.as_object_mut().unwrap().remove(name));
            for text in [
                document(without),
                document(|json| json[name] = "".into()),
                document(|json| json[name] = Value::Null),
                document(|json| json[name] = 1.into()),
            ] {
                let why = read(&text, &clock()).err().unwrap();
                assert_eq!(why, format!("its answer has no {name}"));
            }
        }
        let expired = document(|json| json["Expiration"] = clock().now().to_string().into());
        let why = read(&expired, &clock()).err().unwrap();
        assert!(why.contains("have expired"), "{why}");
        let failed = document(|json| {
            json["Code"] = "AssumeRoleUnauthorizedAccess".into();
            json["Message"] = "EC2 cannot assume\u{1b} the role".into();
        });
        assert_eq!(
            read(&failed, &clock()).err().unwrap(),
            "it gives no credentials: AssumeRoleUnauthorizedAccess: EC2 cannot assume\\u{1b} the role"
        );
        assert!(read("<html>", &clock()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}", expiration in "[0-9TZ:+-]{0,25}") {
            let _ = read(&text, &clock());
            let _ = read_identity(&text);
            let odd = document(|json| json["Expiration"] = expiration.into());
            if let Ok(document) = read(&odd, &clock()) {
                prop_assert!(document.credentials.expiration > clock().now());
            }
        }
    }
}

//! IAM policies, as far as the sandbox judges them: `Allow` and `Deny`, actions and resources with
//! wildcards. What it could not judge (conditions, policy variables) is refused when it is read,
//! so that no policy seems to hold here and does not on AWS.

use std::borrow::ToOwned as _;
use std::fmt;
use std::string::String;
use std::vec::Vec;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A policy document of a role or of a session.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
    len: usize,
}

/// What one policy says of one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it, none denies it.
    Allowed,
    /// No statement is about it.
    NotAllowed,
    /// A statement denies it.
    Denied,
}

/// Why a policy cannot be used.
#[derive(Debug)]
pub struct PolicyError(String);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for PolicyError {}

impl Policy {
    /// The most characters that STS takes of a session policy (AssumeRole, `Policy`).
    pub const MAX_LEN: usize = 2048;

    /// Reads a JSON policy document.
    ///
    /// # Errors
    /// [`PolicyError`] if it is not one, or asks for what the sandbox does not judge.
    pub fn parse(json: &str) -> Result<Self, PolicyError> {
        let document: Document =
            serde_json::from_str(json).map_err(|error| PolicyError(std::format!("{error}")))?;
        if document.version != "2012-10-17" {
            return Err(PolicyError("`Version` has to be \"2012-10-17\"".to_owned()));
        }
        for statement in &document.statement {
            statement.check()?;
        }
        let len = json.chars().filter(|c| !c.is_whitespace()).count();
        Ok(Self {
            statements: document.statement,
            len,
        })
    }

    /// What this policy says of `action` (`s3:PutObject`) on `resource` (an ARN).
    pub fn decide(&self, action: &str, resource: &str) -> Decision {
        let matching = |effect: Effect| {
            self.statements
                .iter()
                .any(|statement| statement.effect == effect && statement.covers(action, resource))
        };
        if matching(Effect::Deny) {
            Decision::Denied
        } else if matching(Effect::Allow) {
            Decision::Allowed
        } else {
            Decision::NotAllowed
        }
    }

    /// How much of [`MAX_LEN`](Self::MAX_LEN) the policy takes, in percent.
    pub fn packed_size(&self) -> usize {
        (self.len * 100).div_ceil(Self::MAX_LEN)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    version: String,
    #[serde(default, rename = "Id")]
    _id: Option<String>,
    #[serde(deserialize_with = "one_or_many")]
    statement: Vec<Statement>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(default, rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    #[serde(default, deserialize_with = "one_or_many")]
    action: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    not_action: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    resource: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    not_resource: Vec<String>,
    /// Known in order to be refused by name, whatever it holds: serde alone would take `null` for absent.
    #[serde(default, deserialize_with = "present")]
    condition: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// A list, which may be written as its only item.
fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let items = match Value::deserialize(deserializer)? {
        Value::Array(items) => items,
        one => std::vec![one],
    };
    let read = |item| serde_json::from_value(item).map_err(D::Error::custom);
    items.into_iter().map(read).collect()
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Statement {
    fn check(&self) -> Result<(), PolicyError> {
        let refuse = |what: &str| Err(PolicyError(what.to_owned()));
        if self.condition.is_some() {
            return refuse("`Condition` is not judged by the sandbox; leave it out here");
        }
        if self.action.is_empty() == self.not_action.is_empty() {
            return refuse("a statement has either `Action` or `NotAction`");
        }
        if self.resource.is_empty() == self.not_resource.is_empty() {
            return refuse("a statement has either `Resource` or `NotResource`");
        }
        let mut resources = self.resource.iter().chain(&self.not_resource);
        if resources.any(|resource| resource.contains("${")) {
            return refuse("policy variables (`${…}`) are not judged by the sandbox");
        }
        Ok(())
    }

    fn covers(&self, action: &str, resource: &str) -> bool {
        let matches_action = |pattern: &String| {
            wildcard(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
        };
        let matches_resource = |pattern: &String| wildcard(pattern, resource);
        listed(&self.action, &self.not_action, matches_action)
            && listed(&self.resource, &self.not_resource, matches_resource)
    }
}

/// Whether one of the `only` patterns matches, or, where there are none, none of the `except` ones.
fn listed(only: &[String], except: &[String], matches: impl Fn(&String) -> bool) -> bool {
    if only.is_empty() {
        !except.iter().any(matches)
    } else {
        only.iter().any(matches)
    }
}

/// Whether `text` fits `pattern`: `*` stands for any characters, also none, and `?` for one.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut pattern = pattern.chars();
    let mut text = text.chars();
    // After the last `*`: the rest of the pattern, and where in the text it is to be tried next.
    let mut retry: Option<(core::str::Chars<'_>, core::str::Chars<'_>)> = None;
    loop {
        let mut after = pattern.clone();
        match after.next() {
            Some('*') => {
                pattern = after;
                retry = Some((pattern.clone(), text.clone()));
                continue;
            }
            Some(expected) => {
                let mut rest = text.clone();
                if rest
                    .next()
                    .is_some_and(|c| expected == '?' || expected == c)
                {
                    (pattern, text) = (after, rest);
                    continue;
                }
            }
            None if text.as_str().is_empty() => return true,
            None => {}
        }
        let Some((from, at)) = &mut retry else {
            return false;
        };
        if at.next().is_none() {
            return false;
        }
        (pattern, text) = (from.clone(), at.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString as _;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b:c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("*ab*ab", "xabyabzab", true),
            ("a*b*c*d", "a-b-b-c-c-d", true),
            ("sensors/*", "sensors/", true),
            ("sensors/*", "sensor/x", false),
            ("h?b", "h\u{fc}b", true),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
        // A pattern of many stars takes no exponential time.
        assert!(!wildcard(
            &"a*".repeat(30),
            &"a".repeat(3000).replace("aaa", "bba")
        ));
    }

    const HUB: &str = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:Put*", "Resource": "arn:aws:s3:::sensor-logs/sensors/*"},
        {"Effect": "Deny", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::sensor-logs/sensors/private/*"]}
    ]}"#;

    #[test]
    fn deny_wins_and_silence_does_not_allow() -> Result<(), PolicyError> {
        let policy = Policy::parse(HUB)?;
        let decide =
            |action, key| policy.decide(action, &format!("arn:aws:s3:::sensor-logs/{key}"));
        assert_eq!(decide("s3:PutObject", "sensors/a"), Decision::Allowed);
        assert_eq!(decide("S3:putobject", "sensors/a"), Decision::Allowed);
        assert_eq!(decide("s3:PutObject", "Sensors/a"), Decision::NotAllowed);
        assert_eq!(decide("s3:GetObject", "sensors/a"), Decision::NotAllowed);
        assert_eq!(decide("s3:PutObject", "other/a"), Decision::NotAllowed);
        assert_eq!(
            decide("s3:PutObject", "sensors/private/a"),
            Decision::Denied
        );
        Ok(())
    }

    #[test]
    fn not_action_and_not_resource() -> Result<(), PolicyError> {
        let policy = Policy::parse(
            r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
                "NotAction": "s3:Delete*", "NotResource": ["arn:aws:s3:::secret/*"]}}"#,
        )?;
        let decide = |action, resource| policy.decide(action, resource);
        assert_eq!(
            decide("s3:GetObject", "arn:aws:s3:::a/b"),
            Decision::Allowed
        );
        assert_eq!(
            decide("s3:DeleteObject", "arn:aws:s3:::a/b"),
            Decision::NotAllowed
        );
        assert_eq!(
            decide("s3:GetObject", "arn:aws:s3:::secret/b"),
            Decision::NotAllowed
        );
        Ok(())
    }

    #[test]
    fn what_is_not_judged_is_refused() {
        let statement = |inner: &str| {
            let json = format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", {inner}}}}}"#
            );
            Policy::parse(&json).map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
        };
        for (inner, named) in [
            (
                r#""Action": "s3:*", "Resource": "*", "Condition": {}"#,
                "Condition",
            ),
            (
                r#""Action": "s3:*", "Resource": "*", "Condition": null"#,
                "Condition",
            ),
            (
                r#""Action": "s3:*", "Resource": "arn:aws:s3:::a/${aws:username}""#,
                "variables",
            ),
            (r#""Action": "s3:*""#, "Resource"),
            (r#""Resource": "*""#, "Action"),
            (
                r#""Action": "s3:*", "Resource": "*", "Principal": "*""#,
                "Principal",
            ),
        ] {
            let error = statement(inner);
            assert!(error.contains(named), "{inner}: {error}");
        }
        assert!(Policy::parse(r#"{"Version": "2008-10-17", "Statement": []}"#).is_err());
        assert!(Policy::parse("").is_err());
    }
}

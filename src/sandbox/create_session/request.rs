//! The parameters of `CreateSession`, from the query or the JSON body.

use std::format;
use std::string::String;

use serde_json::{Map, Value};

use super::Refusal;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Parameters {
    pub(super) trust_anchor_arn: String,
    pub(super) profile_arn: String,
    pub(super) role_arn: String,
    pub(super) duration_seconds: Option<u32>,
    pub(super) role_session_name: Option<String>,
}

impl Parameters {
    /// Reads the ARNs from query or body, and the rest from the body. Unknown members of the body are
    /// passed over, as AWS does with the deprecated `sessionName`.
    pub(super) fn read(query: Option<&str>, body: &[u8]) -> Result<Self, Refusal> {
        let body = match body {
            [] => Map::new(),
            body => match serde_json::from_slice(body) {
                Ok(Value::Object(members)) => members,
                _ => return Err(Refusal::validation("The body is not a JSON object")),
            },
        };
        check_instance_properties(&body)?;
        let query = query.unwrap_or_default();
        let arn = |name: &'static str| required(name, query, &body);
        Ok(Self {
            trust_anchor_arn: arn("trustAnchorArn")?,
            profile_arn: arn("profileArn")?,
            role_arn: arn("roleArn")?,
            duration_seconds: seconds(&body, "durationSeconds")?,
            role_session_name: string(&body, "roleSessionName")?,
        })
    }
}

fn required(name: &'static str, query: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    let in_query = form_urlencoded::parse(query.as_bytes())
        .find(|(given, _)| given == name)
        .map(|(_, value)| value.into_owned());
    match (in_query, string(body, name)?) {
        (Some(one), Some(other)) if one != other => Err(Refusal::validation(format!(
            "{name} differs between query and body"
        ))),
        (Some(value), _) | (None, Some(value)) => Ok(value),
        (None, None) => Err(Refusal::validation(format!("{name} is missing"))),
    }
}

fn string(body: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::validation(format!("{name} is not a string"))),
    }
}

/// A number of seconds; `3600.0` is one, too.
fn seconds(body: &Map<String, Value>, name: &str) -> Result<Option<u32>, Refusal> {
    let number = match body.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_f64(),
    };
    match number {
        Some(number) if number.fract() == 0.0 && (0.0..=1e9).contains(&number) => {
            Ok(Some(number as u32))
        }
        _ => Err(Refusal::validation(format!(
            "{name} is not a whole number of seconds"
        ))),
    }
}

/// `instanceProperties`: at most 50 strings, keys and values of 1 to 200 characters.
fn check_instance_properties(body: &Map<String, Value>) -> Result<(), Refusal> {
    let fits = |text: &str| (1..=200).contains(&text.chars().count());
    let valid = match body.get("instanceProperties") {
        None | Some(Value::Null) => true,
        Some(Value::Object(members)) => {
            members.len() <= 50
                && members
                    .iter()
                    .all(|(key, value)| fits(key) && value.as_str().is_some_and(fits))
        }
        Some(_) => false,
    };
    if valid {
        Ok(())
    } else {
        Err(Refusal::validation(
            "instanceProperties is not a map of at most 50 short strings",
        ))
    }
}

//! The answer, read strictly: a credential that is not complete and alive is none.

use core::fmt;

use super::error::{AnswerError, Field};
use super::json::{Reader, Value, text};
use crate::core::time::UnixTime;

/// Credentials of a session. They borrow from the answer's buffer, which is the caller's to wipe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'b> {
    /// The access key's id; not secret by itself.
    pub access_key_id: &'b str,
    /// The secret access key.
    pub secret_access_key: &'b str,
    /// The session token.
    pub session_token: &'b str,
    /// When all of this ends.
    pub expiration: UnixTime,
    /// The role that was assumed.
    pub role_arn: &'b str,
    /// The subject that Roles Anywhere keeps for the certificate.
    pub subject_arn: Option<&'b str>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .field("role_arn", &self.role_arn)
            .finish_non_exhaustive()
    }
}

/// Reads the body of a successful answer.
///
/// Only the first credential set counts: one role is asked for. Members that are not known are
/// skipped, whatever they hold. `scratch` takes values that are written with escapes.
///
/// # Errors
/// [`AnswerError`], by what is wrong.
pub fn parse_answer<'b>(
    body: &'b [u8],
    scratch: &'b mut [u8],
    role_arn: &str,
    now: UnixTime,
) -> Result<Credentials<'b>, AnswerError> {
    let mut found = Found::default();
    found.read_document(Reader::new(text(body)?, scratch))?;
    let credentials = Credentials {
        access_key_id: found.required(Field::AccessKeyId)?,
        secret_access_key: found.required(Field::SecretAccessKey)?,
        session_token: found.required(Field::SessionToken)?,
        expiration: UnixTime::parse_rfc3339(found.required(Field::Expiration)?)
            .ok_or(AnswerError::Malformed(Field::Expiration))?,
        role_arn: found.required(Field::RoleArn)?,
        subject_arn: found.values[Field::SubjectArn as usize],
    };
    if credentials.role_arn != role_arn {
        return Err(AnswerError::OtherRole);
    }
    if credentials.expiration <= now {
        return Err(AnswerError::Expired);
    }
    Ok(credentials)
}

/// The fields as far as they were found, by their place in [`Field`].
#[derive(Default)]
struct Found<'b> {
    values: [Option<&'b str>; Field::COUNT],
    /// A bit for each field that was there, whatever it held.
    seen: u8,
}

/// A member of one of the answer's objects.
enum Member {
    CredentialSet,
    Credentials,
    Value(Field),
    Unknown,
}

impl<'b> Found<'b> {
    /// `{"credentialSet": […], "subjectArn": "…"}`
    fn read_document(&mut self, mut reader: Reader<'b>) -> Result<(), AnswerError> {
        if !reader.enter_object()? {
            return Err(AnswerError::NotJson);
        }
        while let Some(member) = reader.next_member(|name| match name {
            "credentialSet" => Member::CredentialSet,
            "subjectArn" => Member::Value(Field::SubjectArn),
            _ => Member::Unknown,
        })? {
            match member {
                Member::CredentialSet => {
                    self.once(Field::CredentialSet)?;
                    if !reader.enter_array()? {
                        return Err(AnswerError::Malformed(Field::CredentialSet));
                    }
                    if !reader.enter_object()? {
                        return Err(AnswerError::Empty(Field::CredentialSet));
                    }
                    self.read_set(&mut reader)?;
                    reader.leave()?;
                }
                Member::Value(field) => self.read_value(&mut reader, field)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        // It must have been there.
        match self.once(Field::CredentialSet) {
            Ok(()) => Err(AnswerError::Missing(Field::CredentialSet)),
            Err(_) => Ok(()),
        }
    }

    /// `{"credentials": {…}, "roleArn": "…", …}`
    fn read_set(&mut self, reader: &mut Reader<'b>) -> Result<(), AnswerError> {
        while let Some(member) = reader.next_member(|name| match name {
            "credentials" => Member::Credentials,
            "roleArn" => Member::Value(Field::RoleArn),
            _ => Member::Unknown,
        })? {
            match member {
                Member::Credentials => self.read_credentials(reader)?,
                Member::Value(field) => self.read_value(reader, field)?,
                _ => reader.skip()?,
            }
        }
        Ok(())
    }

    /// `{"accessKeyId": "…", "secretAccessKey": "…", "sessionToken": "…", "expiration": "…"}`
    fn read_credentials(&mut self, reader: &mut Reader<'b>) -> Result<(), AnswerError> {
        self.once(Field::Credentials)?;
        if !reader.enter_object()? {
            return Err(AnswerError::Malformed(Field::Credentials));
        }
        while let Some(member) = reader.next_member(|name| match name {
            "accessKeyId" => Member::Value(Field::AccessKeyId),
            "secretAccessKey" => Member::Value(Field::SecretAccessKey),
            "sessionToken" => Member::Value(Field::SessionToken),
            "expiration" => Member::Value(Field::Expiration),
            _ => Member::Unknown,
        })? {
            match member {
                Member::Value(field) => self.read_value(reader, field)?,
                _ => reader.skip()?,
            }
        }
        Ok(())
    }

    fn read_value(&mut self, reader: &mut Reader<'b>, field: Field) -> Result<(), AnswerError> {
        self.once(field)?;
        match reader.value()? {
            Value::String(text) => self.values[field as usize] = Some(text),
            Value::Null => {}
            Value::Other => return Err(AnswerError::Malformed(field)),
        }
        Ok(())
    }

    /// A field that is there twice could be read differently by others.
    fn once(&mut self, field: Field) -> Result<(), AnswerError> {
        const { assert!(Field::COUNT <= u8::BITS as usize) };
        let bit = 1 << field as u8;
        if self.seen & bit != 0 {
            return Err(AnswerError::Malformed(field));
        }
        self.seen |= bit;
        Ok(())
    }

    /// A field that has to be there: printable ASCII without spaces.
    fn required(&self, field: Field) -> Result<&'b str, AnswerError> {
        let text = self.values[field as usize].ok_or(AnswerError::Missing(field))?;
        if text.is_empty() {
            Err(AnswerError::Empty(field))
        } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(text)
        } else {
            Err(AnswerError::Malformed(field))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString as _};

    const ROLE: &str = "arn:aws:iam::111122223333:role/SensorWriter";
    const NOW: UnixTime = UnixTime::from_secs(1_795_315_000);
    const GOOD: &str = r#"{
        "credentialSet": [{
            "assumedRoleUser": {"arn": "arn:aws:sts::1:assumed-role/x/y", "assumedRoleId": "A:y"},
            "credentials": {"accessKeyId": "ASIAEXAMPLE", "secretAccessKey": "s3cr3t/+",
                "sessionToken": "tok\u003d\/=", "expiration": "2026-11-22T03:00:00Z"},
            "packedPolicySize": 6, "sourceIdentity": "CN=hub",
            "roleArn": "arn:aws:iam::111122223333:role/SensorWriter"
        }],
        "unknown": [1.5, {"deep": [true, null, "\n"]}],
        "subjectArn": "arn:aws:rolesanywhere:eu-west-1:1:subject/2"
    }"#;

    fn parse(body: &str) -> Result<String, AnswerError> {
        let mut scratch = [0; 128];
        parse_answer(body.as_bytes(), &mut scratch, ROLE, NOW)
            .map(|credentials| credentials.session_token.to_string())
    }

    #[test]
    fn a_whole_answer() {
        let mut scratch = [0; 128];
        let credentials = parse_answer(GOOD.as_bytes(), &mut scratch, ROLE, NOW).unwrap();
        assert_eq!(credentials.access_key_id, "ASIAEXAMPLE");
        assert_eq!(credentials.secret_access_key, "s3cr3t/+");
        assert_eq!(credentials.session_token, "tok=/=");
        assert_eq!(credentials.expiration.to_string(), "2026-11-22T03:00:00Z");
        assert_eq!(
            credentials.subject_arn,
            Some("arn:aws:rolesanywhere:eu-west-1:1:subject/2")
        );
        let shown = std::format!("{credentials:?}");
        assert!(
            !shown.contains("s3cr3t") && !shown.contains("tok"),
            "{shown}"
        );
    }

    #[test]
    fn every_field_has_to_be_there_once_and_whole() {
        use AnswerError::{Empty, Malformed, Missing};
        for (field, value) in [
            (Field::AccessKeyId, "\"ASIAEXAMPLE\""),
            (Field::SecretAccessKey, "\"s3cr3t/+\""),
            (Field::SessionToken, "\"tok\\u003d\\/=\""),
            (Field::Expiration, "\"2026-11-22T03:00:00Z\""),
            (
                Field::RoleArn,
                "\"arn:aws:iam::111122223333:role/SensorWriter\"",
            ),
        ] {
            let member = std::format!("\"{field}\": {value}");
            assert!(GOOD.contains(&member), "{member}");
            for (instead, error) in [
                (std::format!("\"other\": {value}"), Missing(field)),
                (std::format!("\"{field}\": null"), Missing(field)),
                (std::format!("\"{field}\": \"\""), Empty(field)),
                (std::format!("\"{field}\": 7"), Malformed(field)),
                (std::format!("\"{field}\": [{value}]"), Malformed(field)),
                (std::format!("\"{field}\": \"a b\""), Malformed(field)),
                (std::format!("{member}, {member}"), Malformed(field)),
                (
                    std::format!("\"{field}\": null, {member}"),
                    Malformed(field),
                ),
            ] {
                assert_eq!(
                    parse(&GOOD.replace(&member, &instead)),
                    Err(error),
                    "{instead}"
                );
            }
        }
    }

    #[test]
    fn sets_that_are_none() {
        use AnswerError::{Empty, Malformed, Missing, NotJson};
        for (body, error) in [
            ("{}", Missing(Field::CredentialSet)),
            (r#"{"credentialSet": []}"#, Empty(Field::CredentialSet)),
            (r#"{"credentialSet": {}}"#, Malformed(Field::CredentialSet)),
            (r#"{"credentialSet": [{}]}"#, Missing(Field::AccessKeyId)),
            (
                r#"{"credentialSet": [{"credentials": "x"}]}"#,
                Malformed(Field::Credentials),
            ),
            // Else a session could be put together of two.
            (
                r#"{"credentialSet": [{"credentials": {"accessKeyId": "a"}, "credentials": {"sessionToken": "b"}}]}"#,
                Malformed(Field::Credentials),
            ),
            (
                r#"{"credentialSet": [{}], "credentialSet": [{}]}"#,
                Malformed(Field::CredentialSet),
            ),
            ("", NotJson),
            ("[]", NotJson),
            ("{\"credentialSet\": [{", NotJson),
        ] {
            assert_eq!(parse(body), Err(error), "{body}");
        }
        assert_eq!(parse(&(GOOD.to_string() + "x")), Err(NotJson));
    }

    #[test]
    fn another_role_and_past_or_unreadable_expiry() {
        let other = GOOD.replace("role/SensorWriter", "role/Admin");
        assert_eq!(parse(&other), Err(AnswerError::OtherRole));
        for (date, error) in [
            ("2026-11-22T02:30:00Z", AnswerError::Expired),
            ("2025-11-22T03:00:00Z", AnswerError::Expired),
            ("1795316400", AnswerError::Malformed(Field::Expiration)),
            (
                "2026-11-22T03:00:00",
                AnswerError::Malformed(Field::Expiration),
            ),
        ] {
            assert_eq!(
                parse(&GOOD.replace("2026-11-22T03:00:00Z", date)),
                Err(error),
                "{date}"
            );
        }
    }

    #[test]
    fn a_value_too_long_to_unescape() {
        let mut scratch = [0; 5];
        let outcome = parse_answer(GOOD.as_bytes(), &mut scratch, ROLE, NOW);
        assert_eq!(outcome, Err(AnswerError::TooLong));
    }
}

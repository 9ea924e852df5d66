//! Who has the auth values: the person at the terminal, or what is configured.

use std::borrow::ToOwned as _;
use std::format;
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

use crate::backend::secret::{Secret, SecretError, SecretSource};
use crate::backend::tpm::{AuthRequest, Object, Operator, TpmError};
use crate::cli::asked::Asked;
use crate::cli::context::ProcessEnvironment;

/// Where auth values come from. Where nothing is said the empty one is tried if that costs nothing, and
/// then the person at the terminal is asked, if there is one.
#[derive(Debug, Default, Clone)]
pub struct Auths {
    /// The key's.
    pub key: Option<SecretSource>,
    /// That of the key which it is loaded under.
    pub parent: Option<SecretSource>,
    /// The owner hierarchy's.
    pub owner: Option<SecretSource>,
}

impl Auths {
    /// The variables that hold them, whichever of them is used: no program inherits one.
    pub fn variables(&self) -> Vec<String> {
        [&self.key, &self.parent, &self.owner]
            .into_iter()
            .flatten()
            .filter_map(SecretSource::variable)
            .map(String::from)
            .collect()
    }
}

/// The operator of a command.
#[derive(Debug)]
pub struct ConsoleOperator {
    key: Asked,
    parent: Asked,
    owner: Asked,
    endorsement: Asked,
    environment: ProcessEnvironment,
    failure: Failure,
}

/// Why a key did not sign the last time.
#[derive(Debug, Default, Clone)]
pub struct Failure(Arc<Mutex<Option<TpmError>>>);

impl Failure {
    fn set(&self, error: &TpmError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    /// What was said, once.
    pub fn take(&self) -> Option<TpmError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ConsoleOperator {
    /// Knows where auth values come from, which variables hold secrets, and where to say why a key did
    /// not sign.
    pub fn new(auths: Auths, secret_variables: &[String], failure: Failure) -> Self {
        Self {
            key: Asked::or_person(auths.key),
            parent: Asked::or_person(auths.parent),
            owner: Asked::or_person(auths.owner),
            endorsement: Asked::or_person(None),
            environment: ProcessEnvironment::with_secrets(
                secret_variables.iter().map(String::as_str),
            ),
            failure,
        }
    }
}

impl Operator for ConsoleOperator {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        let auth = match request.of {
            Object::Key => &mut self.key,
            Object::Parent => &mut self.parent,
            Object::Owner => &mut self.owner,
            Object::Endorsement => &mut self.endorsement,
        };
        // Most objects have none: nobody is bothered before it is clear that this one has.
        if !auth.is_configured() && request.may_be_empty && !request.refused {
            return Ok(None);
        }
        auth.read(|| question(request), || name(request), &self.environment)
    }

    fn is_person(&self) -> bool {
        // Where one of them is stored, care is taken with all.
        [&self.key, &self.parent, &self.owner]
            .into_iter()
            .all(Asked::is_typed)
    }

    fn failed(&mut self, error: &TpmError) {
        self.failure.set(error);
    }
}

fn name(request: &AuthRequest) -> String {
    format!("auth value of {} ({})", request.of, request.name)
}

/// What a person is asked.
fn question(request: &AuthRequest) -> String {
    let text = if request.refused {
        "That auth value was refused. ".to_owned()
    } else {
        String::new()
    };
    text + &name(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn request(of: Object, refused: bool) -> AuthRequest {
        AuthRequest {
            of,
            name: "tpm:handle=0x81000011".into(),
            refused,
            may_be_empty: false,
        }
    }

    #[test]
    fn questions_say_of_what() {
        assert_eq!(
            question(&request(Object::Key, false)),
            "auth value of the key (tpm:handle=0x81000011)"
        );
        assert_eq!(
            question(&request(Object::Owner, true)),
            "That auth value was refused. auth value of the owner hierarchy (tpm:handle=0x81000011)"
        );
    }

    #[test]
    fn each_object_has_its_source_and_stored_values_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let source = |name: &str| {
            fs::write(file(name), format!("{name}\n")).unwrap();
            Some(SecretSource::File(file(name)))
        };
        let auths = Auths {
            key: source("key"),
            parent: source("parent"),
            owner: source("owner"),
        };
        assert!(auths.variables().is_empty());
        let mut operator = ConsoleOperator::new(auths, &[], Failure::default());
        assert!(!operator.is_person());
        for (of, says) in [
            (Object::Key, "key"),
            (Object::Parent, "parent"),
            (Object::Owner, "owner"),
        ] {
            let auth = operator.auth(&request(of, false)).unwrap().unwrap();
            assert_eq!(auth.expose(), says.as_bytes());
        }
        fs::write(file("key"), "new").unwrap();
        let mut again = request(Object::Key, false);
        again.may_be_empty = true;
        let auth = operator.auth(&again).unwrap().unwrap();
        assert_eq!(auth.expose(), b"new");
        fs::remove_file(file("key")).unwrap();
        let error = format!("{}", operator.auth(&again).unwrap_err());
        assert!(
            error.starts_with("the auth value of the key (tpm:handle=0x81000011) cannot be read"),
            "{error}"
        );
    }

    #[test]
    fn where_nothing_is_said_the_empty_one_comes_first() {
        let mut operator = ConsoleOperator::new(Auths::default(), &[], Failure::default());
        let mut first = request(Object::Key, false);
        first.may_be_empty = true;
        assert!(operator.auth(&first).unwrap().is_none());
    }

    #[test]
    fn variables_that_hold_secrets_are_known() {
        let auths = Auths {
            key: Some(SecretSource::Env("KEY_AUTH".into())),
            parent: Some(SecretSource::Prompt),
            owner: Some(SecretSource::Env("OWNER_AUTH".into())),
        };
        assert_eq!(auths.variables(), ["KEY_AUTH", "OWNER_AUTH"]);
    }
}

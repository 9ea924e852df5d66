//! Who has the PINs, and who can touch the token: the person at the terminal, or what is configured.

use std::borrow::ToOwned as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::notice;
use crate::backend::pkcs11::{Notice, Operator, PinRequest, PinRole, PinState};
use crate::backend::secret::{Environment, Secret, SecretError, SecretSource};
use crate::cli::asked::Asked;
use crate::cli::attended;
use crate::cli::context::{Console, ProcessEnvironment};

/// Where PINs come from. Where nothing is said the person at the terminal is asked, if there is one.
#[derive(Debug, Default, Clone)]
pub struct Pins {
    /// The user's.
    pub user: Option<SecretSource>,
    /// The security officer's.
    pub security_officer: Option<SecretSource>,
}

/// The operator of a command.
#[derive(Debug)]
pub struct ConsoleOperator {
    user: Asked,
    security_officer: Asked,
    environment: ProcessEnvironment,
    notify: Vec<String>,
    console: Console,
}

impl ConsoleOperator {
    /// Knows where PINs come from, which variables hold them, and what tells a person what to do: a
    /// program and its arguments, if any.
    pub fn new(
        pins: Pins,
        secret_variables: Vec<String>,
        notify: Vec<String>,
        console: Console,
    ) -> Self {
        Self {
            environment: ProcessEnvironment::with_secrets(
                secret_variables.iter().map(String::as_str),
            ),
            user: Asked::or_person(pins.user),
            security_officer: Asked::or_person(pins.security_officer),
            notify,
            console,
        }
    }
}

impl Operator for ConsoleOperator {
    fn pin(&mut self, request: &PinRequest) -> Result<Option<Secret>, SecretError> {
        attended::told_tries(match request.state {
            PinState::FinalTry => Some(1),
            PinState::Locked => Some(0),
            PinState::Ok | PinState::CountLow | PinState::NotSet | PinState::ToBeChanged => None,
        });
        let pin = match request.role {
            PinRole::SecurityOfficer => &mut self.security_officer,
            PinRole::User | PinRole::Signature => &mut self.user,
        };
        pin.read(|| question(request), || name(request), &self.environment)
    }

    fn is_person(&self) -> bool {
        // Where one of them is stored, care is taken with both.
        self.user.is_typed() && self.security_officer.is_typed()
    }

    fn notify(&mut self, notice: &Notice) {
        let without = self.environment.secret_variables();
        notice::say(notice, &self.notify, &without, self.console);
    }
}

fn name(request: &PinRequest) -> String {
    let what = match request.role {
        PinRole::User | PinRole::Signature => "PIN",
        PinRole::SecurityOfficer => "SO PIN",
    };
    format!("{what} of {}", request.token)
}

/// What a person is asked, with what the token says of the tries that are left.
fn question(request: &PinRequest) -> String {
    let mut text = if request.refused {
        "That PIN was refused. ".to_owned()
    } else {
        String::new()
    };
    text += &name(request);
    if request.role == PinRole::Signature {
        text += " for this signature";
    }
    text += match request.state {
        PinState::CountLow => ", a wrong PIN was given before",
        PinState::FinalTry => ", ONE TRY LEFT: a wrong PIN locks it",
        PinState::Ok | PinState::Locked | PinState::NotSet | PinState::ToBeChanged => "",
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::pkcs11::TokenName;
    use std::ffi::OsString;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;
    use std::{fs, io};

    fn request(role: PinRole, state: PinState) -> PinRequest {
        PinRequest {
            token: TokenName {
                label: "hub".into(),
                manufacturer: "maker".into(),
                model: "model".into(),
                serial: "12".into(),
            },
            role,
            state,
            refused: false,
        }
    }

    fn operator(user: &str) -> ConsoleOperator {
        let pins = Pins {
            user: Some(user.parse().unwrap()),
            security_officer: None,
        };
        ConsoleOperator::new(pins, Vec::new(), Vec::new(), Console::new(&[], &Nothing))
    }

    struct Nothing;

    impl Environment for Nothing {
        fn var(&self, _: &str) -> Option<OsString> {
            None
        }
    }

    #[test]
    fn questions_say_whose_pin_and_how_many_tries_are_left() {
        let user = |state| question(&request(PinRole::User, state));
        assert_eq!(user(PinState::Ok), "PIN of token `hub` (serial 12)");
        assert!(user(PinState::CountLow).ends_with(", a wrong PIN was given before"));
        assert!(user(PinState::FinalTry).ends_with(", ONE TRY LEFT: a wrong PIN locks it"));
        let officer = question(&request(PinRole::SecurityOfficer, PinState::Ok));
        assert_eq!(officer, "SO PIN of token `hub` (serial 12)");
        let mut again = request(PinRole::Signature, PinState::CountLow);
        again.refused = true;
        assert_eq!(
            question(&again),
            "That PIN was refused. PIN of token `hub` (serial 12) for this signature, a wrong PIN was \
             given before"
        );
    }

    #[test]
    fn what_is_stored_is_read_again_and_a_descriptor_once() {
        let request = request(PinRole::User, PinState::Ok);
        let read = |operator: &mut ConsoleOperator| {
            let pin = operator.pin(&request).unwrap();
            pin.map(|pin| pin.expose().to_vec())
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        let mut stored = operator(&format!("file:{}", path.display()));
        assert!(!stored.is_person());
        for pin in ["1234", "5678"] {
            fs::write(&path, pin).unwrap();
            assert_eq!(read(&mut stored).as_deref(), Some(pin.as_bytes()));
        }
        fs::remove_file(&path).unwrap();
        let error = format!("{}", stored.pin(&request).unwrap_err());
        assert!(error.starts_with("the PIN of token `hub` (serial 12) cannot be read from file:"));

        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"1234\n").unwrap();
        drop(writer);
        let mut once = operator(&format!("fd:{}", reader.as_raw_fd()));
        assert_eq!(read(&mut once).as_deref(), Some(&b"1234"[..]));
        assert_eq!(read(&mut once), None);
    }
}

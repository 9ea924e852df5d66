//! PKCS#11 tokens in another process.

use core::time::Duration;
use std::boxed::Box;
use std::string::{String, ToString as _};
use std::vec::Vec;

use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::family::{Answer, Family, PRIMES};
use super::line::Line;
use super::starter::Starter;
use super::worker::Worker;
use crate::backend::BoxedSigner;
use crate::backend::pkcs11::{
    Access, Call, FoundCertificate, GenerateKey, GeneratedKey, Inventory, Notice, OpenKey,
    OpenedKey, Operator, PinRequest, StoreCertificate, TokenError, Tokens, Uri, Warning,
    return_value_name, sign_error,
};
use crate::backend::secret::{Secret, SecretError};
use crate::core::key::SignError;

/// How long a token waits for a finger, and a PIN pad for a PIN, with time to spare.
const TOUCH: Duration = Duration::from_secs(30);
const PIN_PAD: Duration = Duration::from_secs(120);

/// CKR_HOST_MEMORY (PKCS#11, section 5): the module has used up what the worker gets.
const OUT_OF_MEMORY: u32 = 0x02;

/// The tokens of a module that a `keystead-signer` has loaded.
///
/// Each key that is opened gets a worker of its own, so that keys in several threads do not wait for
/// each other. All else is asked of one worker, which the next key takes over.
#[derive(Debug)]
pub struct Isolated(pub(super) Client<Pkcs11>);

impl Isolated {
    /// Reaches tokens by workers from `starter`. None is started before there is something to do.
    pub fn new(starter: Starter, access: Access) -> Self {
        Self(Client::new(starter, access))
    }
}

impl Worker {
    /// Serves those who want the tokens of a module. `tokens` is called with what they want to reach.
    pub fn tokens<T: Tokens + 'static>(self, tokens: impl FnOnce(Access) -> T + 'static) -> Self {
        self.with::<Pkcs11>(|access| Box::new(tokens(access)))
    }
}

#[derive(Debug)]
pub struct Pkcs11;

/// What is said of [`OpenedKey`], whose signer stays with the worker.
#[derive(Serialize, Deserialize)]
pub struct Opened {
    uri: Uri,
    certificates: Vec<Vec<u8>>,
    warnings: Vec<Warning>,
}

/// The calls of [`Tokens`].
#[derive(Clone, Serialize, Deserialize)]
pub enum Task {
    Certificates(Uri),
    Inventory { uri: Uri, login: bool },
    Generate(GenerateKey),
    Store(StoreCertificate),
}

/// What they give.
#[derive(Serialize, Deserialize)]
pub enum Done {
    Certificates(Vec<FoundCertificate>),
    Inventory(Inventory),
    Generated(GeneratedKey),
    Stored(Uri),
}

impl Tokens for Isolated {
    fn open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TokenError> {
        let (signer, opened) = self.0.open(request, operator)?;
        Ok(OpenedKey {
            signer,
            uri: opened.uri,
            certificates: opened.certificates,
            warnings: opened.warnings,
        })
    }

    fn certificates(
        &mut self,
        uri: &Uri,
        operator: &mut dyn Operator,
    ) -> Result<Vec<FoundCertificate>, TokenError> {
        let task = Task::Certificates(uri.clone());
        self.0.perform(&task, operator, |done| match done {
            Done::Certificates(found) => Some(found),
            _ => None,
        })
    }

    fn inventory(
        &mut self,
        uri: &Uri,
        login: bool,
        operator: &mut dyn Operator,
    ) -> Result<Inventory, TokenError> {
        let uri = uri.clone();
        let task = Task::Inventory { uri, login };
        self.0.perform(&task, operator, |done| match done {
            Done::Inventory(inventory) => Some(inventory),
            _ => None,
        })
    }

    fn generate(
        &mut self,
        request: &GenerateKey,
        operator: &mut dyn Operator,
    ) -> Result<GeneratedKey, TokenError> {
        let task = Task::Generate(request.clone());
        self.0.perform(&task, operator, |done| match done {
            Done::Generated(key) => Some(key),
            _ => None,
        })
    }

    fn store(
        &mut self,
        request: &StoreCertificate,
        operator: &mut dyn Operator,
    ) -> Result<Uri, TokenError> {
        let task = Task::Store(request.clone());
        self.0.perform(&task, operator, |done| match done {
            Done::Stored(uri) => Some(uri),
            _ => None,
        })
    }
}

impl Answer<Pkcs11> for dyn Operator + '_ {
    fn secret(&mut self, question: &PinRequest) -> Result<Option<Secret>, SecretError> {
        self.pin(question)
    }

    fn is_person(&self) -> bool {
        Operator::is_person(self)
    }

    fn notify(&mut self, notice: &Notice) {
        Operator::notify(self, notice);
    }
}

impl Operator for Line<Pkcs11> {
    fn pin(&mut self, request: &PinRequest) -> Result<Option<Secret>, SecretError> {
        self.secret(request)
    }

    fn is_person(&self) -> bool {
        Answer::is_person(self)
    }

    fn notify(&mut self, notice: &Notice) {
        Answer::notify(self, notice);
    }
}

impl Family for Pkcs11 {
    const FEATURE: &'static str = "pkcs11";
    // A token forgets the sessions of a program that ends.
    const TIDIES: bool = false;

    type Access = Access;
    type OpenKey = OpenKey;
    type Opened = Opened;
    type Task = Task;
    type Done = Done;
    type Question = PinRequest;
    type Notice = Notice;
    type Error = TokenError;
    type Operator = dyn Operator;
    type Device = dyn Tokens;

    fn timeout(access: &Access) -> Duration {
        access.timeout
    }

    fn place(access: &Access) -> String {
        access.module.display().to_string()
    }

    fn time_for(task: &Task) -> Duration {
        match task {
            Task::Generate(_) => PRIMES,
            _ => Duration::ZERO,
        }
    }

    fn patience(notice: &Notice) -> Duration {
        match notice {
            Notice::Touch(_) => TOUCH,
            Notice::PinPad(_) => PIN_PAD,
        }
    }

    fn failed(reason: String) -> TokenError {
        TokenError::Signer { reason }
    }

    fn unreadable(request: &OpenKey) -> TokenError {
        TokenError::Key {
            uri: Box::new(request.key.clone().unwrap_or_default()),
            reason: "its public key cannot be read".into(),
        }
    }

    fn sign_error(error: &TokenError) -> SignError {
        sign_error(error)
    }

    fn device_error(call: &str, code: u32) -> Option<SignError> {
        Some(SignError::Device {
            call: call_named(call)?.name(),
            code,
            name: return_value_name(code),
        })
    }

    fn is_out_of_memory(code: u32) -> bool {
        code == OUT_OF_MEMORY
    }

    fn open(
        device: &mut Self::Device,
        request: &OpenKey,
        operator: Box<Line<Self>>,
    ) -> Result<(BoxedSigner, Opened), TokenError> {
        let opened = device.open(request, operator)?;
        let more = Opened {
            uri: opened.uri,
            certificates: opened.certificates,
            warnings: opened.warnings,
        };
        Ok((opened.signer, more))
    }

    fn perform(
        device: &mut Self::Device,
        task: &Task,
        operator: &mut Line<Self>,
    ) -> Result<Done, TokenError> {
        match task {
            Task::Certificates(uri) => device.certificates(uri, operator).map(Done::Certificates),
            Task::Inventory { uri, login } => {
                device.inventory(uri, *login, operator).map(Done::Inventory)
            }
            Task::Generate(request) => device.generate(request, operator).map(Done::Generated),
            Task::Store(request) => device.store(request, operator).map(Done::Stored),
        }
    }
}

/// The function of this name. Its derived `Deserialize` knows every one of them.
fn call_named(name: &str) -> Option<Call> {
    let deserializer: StrDeserializer<'_, NameError> = name.strip_prefix("C_")?.into_deserializer();
    Call::deserialize(deserializer).ok()
}

#[cfg(test)]
mod tests {
    use super::super::message::NoSignature;
    use super::*;

    #[test]
    fn errors_of_modules_keep_their_names() {
        for call in [
            Call::Sign,
            Call::SignInit,
            Call::Login,
            Call::GetFunctionList,
        ] {
            for code in [0x32, 0x8000_0001] {
                let error = SignError::Device {
                    call: call.name(),
                    code,
                    name: return_value_name(code),
                };
                assert_eq!(NoSignature::from(error).of::<Pkcs11>(), error);
            }
        }
        for name in ["", "C_", "Sign", "C_Nothing"] {
            assert!(call_named(name).is_none());
        }
    }
}

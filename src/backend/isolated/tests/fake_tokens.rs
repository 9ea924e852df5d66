//! Pretended tokens, whose workers are threads.

use core::sync::atomic::{AtomicU32, Ordering};
use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::io;
use std::string::{String, ToString as _};
use std::sync::{Arc, Mutex};
use std::thread;
use std::vec;
use std::vec::Vec;

use super::{ECDSA, TIMEOUT, public_key};
use crate::backend::BoxedSigner;
use crate::backend::isolated::{Isolated, Starter, Worker};
use crate::backend::pkcs11::{
    Access, Call, CallError, FoundCertificate, GenerateKey, GeneratedKey, Inventory, KeyAlgorithm,
    Leaf, Notice, OpenKey, OpenedKey, Operator, PinProblem, PinRequest, PinRole, PinState,
    StoreCertificate, TokenError, TokenName, Tokens, Uri, Warning,
};
use crate::backend::secret::{Secret, SecretError};
use crate::core::key::{KeyKind, Scheme, SignError, Signer};

/// What the pretended tokens do next, and what they saw.
#[derive(Default)]
pub struct Bench {
    workers: AtomicU32,
    /// What the next signatures do; without a word they succeed.
    plan: Mutex<Vec<Step>>,
    /// Which key is opened.
    pub key: AtomicU32,
    /// What the worker was asked, and how many PINs it was given.
    seen: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
pub enum Step {
    Crash,
    Hang,
    Fail(SignError),
    AskPin,
    /// Most of a call's time before the question, and as much after it.
    AskPinLate,
    AskForever,
    Touch,
}

impl Bench {
    pub fn new(plan: &[Step]) -> Arc<Self> {
        let bench = Self::default();
        *bench.plan.lock().unwrap() = plan.iter().rev().copied().collect();
        Arc::new(bench)
    }

    /// Tokens whose workers are threads.
    pub fn tokens(self: &Arc<Self>) -> Isolated {
        let bench = self.clone();
        let starter = Starter::from_fn(move || {
            bench.workers.fetch_add(1, Ordering::Relaxed);
            let (their_input, output) = io::pipe()?;
            let (input, their_output) = io::pipe()?;
            let bench = bench.clone();
            thread::spawn(move || {
                Worker::new(their_input.into(), their_output.into())
                    .tokens(|access| {
                        assert_eq!(access.module.to_str(), Some("fake.so"));
                        Fake(bench)
                    })
                    .serve()
            });
            Ok((input.into(), output.into()))
        });
        Isolated::new(starter, access())
    }

    pub fn workers(&self) -> u32 {
        self.workers.load(Ordering::Relaxed)
    }

    pub fn see(&self, what: &str) {
        self.seen.lock().unwrap().push(what.to_owned());
    }

    pub fn seen(&self) -> Vec<String> {
        core::mem::take(&mut self.seen.lock().unwrap())
    }

    pub fn open(self: &Arc<Self>, person: Person) -> BoxedSigner {
        let opened = self.tokens().open(&key(), Box::new(person));
        opened.map_err(|error| error.to_string()).unwrap().signer
    }
}

struct Fake(Arc<Bench>);

struct FakeSigner {
    bench: Arc<Bench>,
    public_key: Vec<u8>,
    operator: Box<dyn Operator>,
}

fn question(refused: bool) -> PinRequest {
    PinRequest {
        token: token(),
        role: PinRole::User,
        state: PinState::CountLow,
        refused,
    }
}

pub fn token() -> TokenName {
    TokenName {
        label: "hub".into(),
        manufacturer: "Acme".into(),
        model: "v1".into(),
        serial: "17".into(),
    }
}

pub fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

pub fn access() -> Access {
    Access {
        module: "fake.so".into(),
        state: None,
        reuse_pin: false,
        timeout: TIMEOUT,
    }
}

pub fn key() -> OpenKey {
    OpenKey {
        key: Some(uri("pkcs11:object=key?pin-value=5555")),
        leaf: Leaf::None,
        require_hardware: true,
    }
}

fn needed() -> TokenError {
    TokenError::Pin {
        token: Box::new(token()),
        role: PinRole::User,
        problem: PinProblem::Needed,
    }
}

impl Tokens for Fake {
    fn open(
        &mut self,
        request: &OpenKey,
        mut operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TokenError> {
        let uri = request.key.clone().unwrap_or_default();
        assert_eq!(uri.pin_value, None);
        match operator.pin(&question(false)) {
            Ok(Some(pin)) if pin.expose() == b"1234" => self.0.see("PIN"),
            Ok(Some(_)) => self.0.see("wrong PIN"),
            Ok(None) => return Err(needed()),
            Err(error) => {
                return Err(TokenError::Pin {
                    token: Box::new(token()),
                    role: PinRole::User,
                    problem: match error.is_cancelled() {
                        true => PinProblem::Cancelled,
                        false => PinProblem::Source(error.to_string()),
                    },
                });
            }
        }
        let signer = FakeSigner {
            bench: self.0.clone(),
            public_key: public_key(self.0.key.load(Ordering::Relaxed)),
            operator,
        };
        Ok(OpenedKey {
            signer: Box::new(signer),
            warnings: vec![Warning::Extractable(uri.clone())],
            certificates: vec![vec![1; 70_000], vec![2]],
            uri,
        })
    }

    fn certificates(
        &mut self,
        uri: &Uri,
        operator: &mut dyn Operator,
    ) -> Result<Vec<FoundCertificate>, TokenError> {
        if operator.is_person() {
            operator.notify(&Notice::PinPad(token()));
        }
        Ok(vec![FoundCertificate {
            uri: uri.clone(),
            der: vec![3; 3],
        }])
    }

    fn inventory(
        &mut self,
        uri: &Uri,
        login: bool,
        _: &mut dyn Operator,
    ) -> Result<Inventory, TokenError> {
        Ok(Inventory {
            module: std::format!("{uri} {login}"),
            slots: Vec::new(),
        })
    }

    fn generate(
        &mut self,
        request: &GenerateKey,
        _: &mut dyn Operator,
    ) -> Result<GeneratedKey, TokenError> {
        if request.algorithm == KeyAlgorithm::Rsa(4096) {
            thread::sleep(TIMEOUT + TIMEOUT / 10);
        }
        Ok(GeneratedKey {
            uri: request.uri.clone(),
            public_key: vec![4; 4],
        })
    }

    fn store(
        &mut self,
        request: &StoreCertificate,
        _: &mut dyn Operator,
    ) -> Result<Uri, TokenError> {
        assert!(request.replace && request.certificate == [5]);
        let error = CallError {
            call: Call::CreateObject,
            code: 0xe2,
        };
        Err(TokenError::Unsupported {
            token: Box::new(token()),
            what: "store".into(),
            error: Some(error),
            remedy: "ykman".into(),
        })
    }
}

impl Signer for FakeSigner {
    fn key(&self) -> KeyKind {
        KeyKind::P256
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        let step = self.bench.plan.lock().unwrap().pop();
        match step {
            Some(Step::Crash) => std::panic::resume_unwind(Box::new(())),
            Some(Step::Hang) => loop {
                thread::park();
            },
            Some(Step::Fail(error)) => return Err(error),
            Some(Step::AskPin) => match self.operator.pin(&question(true)) {
                Ok(Some(_)) => self.bench.see("PIN for the signature"),
                _ => return Err(SignError::PinNeeded),
            },
            Some(Step::AskPinLate) => {
                thread::sleep(TIMEOUT * 7 / 10);
                if !matches!(self.operator.pin(&question(true)), Ok(Some(_))) {
                    return Err(SignError::PinNeeded);
                }
                thread::sleep(TIMEOUT * 7 / 10);
            }
            Some(Step::AskForever) => while self.operator.pin(&question(true)).is_ok() {},
            Some(Step::Touch) => self.operator.notify(&Notice::Touch(token())),
            None => {}
        }
        assert_eq!(scheme, ECDSA);
        out[0] = u8::from(self.operator.is_person());
        out[1..=message.len()].copy_from_slice(message);
        Ok(1 + message.len())
    }
}

/// What the operator answers, in this order; then nothing.
#[derive(Clone, Default)]
pub struct Person {
    pub pins: Arc<Mutex<Vec<Answer>>>,
    pub is_person: bool,
    pub told: Arc<Mutex<Vec<Notice>>>,
}

pub enum Answer {
    Pin(&'static str),
    /// After more time than a call may take.
    Slowly(&'static str),
    Unreadable,
    Cancelled,
}

impl Person {
    pub fn with(answers: impl IntoIterator<Item = Answer, IntoIter: DoubleEndedIterator>) -> Self {
        Self {
            pins: Arc::new(Mutex::new(answers.into_iter().rev().collect())),
            ..Self::default()
        }
    }

    /// One that knows the PIN as often as it is asked, as a file does.
    pub fn file() -> Self {
        Self::with((0..1000).map(|_| Answer::Pin("1234")))
    }
}

impl Operator for Person {
    fn pin(&mut self, _: &PinRequest) -> Result<Option<Secret>, SecretError> {
        let answer = self.pins.lock().unwrap().pop();
        let pin = |pin: &str| Ok(Some(Secret::new(pin.into())));
        match answer {
            None => Ok(None),
            Some(Answer::Pin(text)) => pin(text),
            Some(Answer::Slowly(text)) => {
                thread::sleep(TIMEOUT + TIMEOUT / 10);
                pin(text)
            }
            Some(Answer::Unreadable) => Err(SecretError::relayed("no such file".into(), false)),
            Some(Answer::Cancelled) => Err(SecretError::relayed("^C".into(), true)),
        }
    }

    fn is_person(&self) -> bool {
        self.is_person
    }

    fn notify(&mut self, notice: &Notice) {
        self.told.lock().unwrap().push(notice.clone());
    }
}

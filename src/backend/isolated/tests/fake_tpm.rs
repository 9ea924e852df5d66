//! A pretended TPM, whose workers are threads.

use core::sync::atomic::{AtomicU32, Ordering};
use std::boxed::Box;
use std::io;
use std::string::{String, ToString as _};
use std::sync::{Arc, Mutex};
use std::thread;
use std::vec;
use std::vec::Vec;

use super::{ECDSA, TIMEOUT, public_key};
use crate::backend::BoxedSigner;
use crate::backend::isolated::{IsolatedTpm, Starter, Worker};
use crate::backend::secret::{Secret, SecretError};
use crate::backend::tpm::{
    Access, AuthProblem, AuthRequest, Device, Done, GeneratedKey, KeyPlace, Lockout, Object,
    OpenKey, OpenedKey, Operator, Status, Task, TpmError, Warning,
};
use crate::core::key::{KeyKind, Scheme, SignError, Signer};

/// What the pretended TPM does next, and what it saw.
#[derive(Default)]
pub struct Bench {
    workers: AtomicU32,
    /// What the next signatures do; without a word they succeed.
    plan: Mutex<Vec<Step>>,
    /// Which key is opened.
    pub key: AtomicU32,
    /// The auth values that it was given.
    seen: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
pub enum Step {
    Crash,
    Hang,
    Fail(SignError),
    AskForever,
}

impl Bench {
    pub fn new(plan: &[Step]) -> Arc<Self> {
        let bench = Self::default();
        *bench.plan.lock().unwrap() = plan.iter().rev().copied().collect();
        Arc::new(bench)
    }

    /// A TPM whose workers are threads.
    pub fn tpm(self: &Arc<Self>) -> IsolatedTpm {
        let bench = self.clone();
        let starter = Starter::from_fn(move || {
            bench.workers.fetch_add(1, Ordering::Relaxed);
            let (their_input, output) = io::pipe()?;
            let (input, their_output) = io::pipe()?;
            let bench = bench.clone();
            thread::spawn(move || {
                Worker::new(their_input.into(), their_output.into())
                    .tpm(|seen| {
                        assert_eq!(seen, access());
                        Fake(bench)
                    })
                    .serve()
            });
            Ok((input.into(), output.into()))
        });
        IsolatedTpm::new(starter, access())
    }

    pub fn workers(&self) -> u32 {
        self.workers.load(Ordering::Relaxed)
    }

    pub fn seen(&self) -> Vec<String> {
        core::mem::take(&mut self.seen.lock().unwrap())
    }

    pub fn open(self: &Arc<Self>, owner: Owner) -> BoxedSigner {
        let opened = self.tpm().open(&key(), Box::new(owner));
        opened.map_err(|error| error.to_string()).unwrap().signer
    }

    fn see(&self, auth: &Secret) {
        let auth = String::from_utf8_lossy(auth.expose()).into_owned();
        self.seen.lock().unwrap().push(auth);
    }
}

pub fn access() -> Access {
    Access {
        tcti: "device:/dev/pretended".into(),
        state: Some("state".into()),
        plain_auth: true,
        timeout: TIMEOUT,
    }
}

pub fn key() -> OpenKey {
    OpenKey {
        key: KeyPlace::Handle(0x8100_0011),
        certificates: vec![vec![7; 900]],
        salt: None,
    }
}

fn question(of: Object) -> AuthRequest {
    AuthRequest {
        of,
        name: "tpm:handle=0x81000011".into(),
        refused: false,
        may_be_empty: false,
    }
}

struct Fake(Arc<Bench>);

struct FakeSigner {
    bench: Arc<Bench>,
    public_key: Vec<u8>,
    operator: Box<dyn Operator>,
}

impl Device for Fake {
    fn open(
        &mut self,
        request: &OpenKey,
        mut operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TpmError> {
        assert_eq!(
            (&request.key, &request.certificates),
            (&key().key, &key().certificates)
        );
        let wrong = |problem| TpmError::Auth {
            of: Object::Key,
            name: request.key.to_string(),
            problem,
        };
        match operator.auth(&question(Object::Key)) {
            Ok(Some(auth)) => self.0.see(&auth),
            Ok(None) => return Err(wrong(AuthProblem::Needed)),
            Err(error) if error.is_cancelled() => return Err(wrong(AuthProblem::Cancelled)),
            Err(error) => return Err(wrong(AuthProblem::Source(error.to_string()))),
        }
        Ok(OpenedKey {
            signer: Box::new(FakeSigner {
                bench: self.0.clone(),
                public_key: public_key(self.0.key.load(Ordering::Relaxed)),
                operator,
            }),
            name: vec![0, 0xb, 1, 2, 3],
            warnings: vec![Warning::NoResourceManager("device".into())],
        })
    }

    fn perform(&mut self, task: &Task, operator: &mut dyn Operator) -> Result<Done, TpmError> {
        match task {
            Task::Generate(request) => {
                if request.with_auth
                    && let Ok(Some(auth)) = operator.auth(&question(Object::Owner))
                {
                    self.0.see(&auth);
                }
                thread::sleep(TIMEOUT + TIMEOUT / 10);
                Ok(Done::Generated(GeneratedKey {
                    file: Some(b"-----BEGIN".to_vec()),
                    public_key: public_key(0),
                    name: vec![0, 0xb],
                    salt: None,
                }))
            }
            _ => Ok(Done::Status(Status {
                manufacturer: "ACME".into(),
                model: operator.is_person().to_string(),
                firmware: "1.2".into(),
                revision: 164,
                algorithms: vec!["RSA 2048".into()],
                persistent: Vec::new(),
                lockout: Lockout {
                    locked: false,
                    failures: 1,
                    most: 3,
                    recovery: TIMEOUT,
                    lockout_recovery: TIMEOUT,
                    has_auth: false,
                },
                resource_manager: false,
            })),
        }
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
            Some(Step::AskForever) => {
                while self.operator.auth(&question(Object::Parent)).is_ok() {}
            }
            None => {}
        }
        assert_eq!(scheme, ECDSA);
        out[0] = u8::from(self.operator.is_person());
        out[1..=message.len()].copy_from_slice(message);
        Ok(1 + message.len())
    }
}

/// Has an auth value as often as it is asked, like a file; or none, or not even the file.
#[derive(Default)]
pub struct Owner {
    pub auth: Option<&'static str>,
    pub unreadable: Option<&'static str>,
    pub asked: Arc<Mutex<Vec<Object>>>,
}

impl Owner {
    pub fn with(auth: &'static str) -> Self {
        Self {
            auth: Some(auth),
            ..Self::default()
        }
    }
}

impl Operator for Owner {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        self.asked.lock().unwrap().push(request.of);
        match self.unreadable {
            Some(why) => Err(SecretError::relayed(why.into(), false)),
            None => Ok(self.auth.map(|auth| Secret::new(auth.into()))),
        }
    }

    fn is_person(&self) -> bool {
        false
    }
}

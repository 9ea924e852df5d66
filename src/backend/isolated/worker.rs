//! The worker: does what it is told with the tokens that it holds, one request after the other.

use std::boxed::Box;
use std::os::fd::OwnedFd;
use std::string::ToString as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use super::channel::{Channel, ChannelError};
use super::message::{Opened, Request, ToClient, ToWorker};
use crate::backend::BoxedSigner;
use crate::backend::pkcs11::{
    Access, GenerateKey, Notice, OpenKey, Operator, PinRequest, StoreCertificate, TokenError,
    Tokens, Uri,
};
use crate::backend::secret::{Secret, SecretError};
use crate::core::key::{MAX_SIGNATURE_LEN, Scheme, SignError};

/// Serves one client until it closes its end. `tokens` is called with what the client wants to reach.
///
/// # Errors
/// [`ChannelError`], if what comes is not what a client of this version says.
pub fn serve<T: Tokens>(
    input: OwnedFd,
    output: OwnedFd,
    tokens: impl FnOnce(Access) -> T,
) -> Result<(), ChannelError> {
    match converse(Channel::blocking(input, output), tokens) {
        Err(ChannelError::Closed) => Ok(()),
        ended => ended,
    }
}

fn converse<T: Tokens>(
    mut channel: Channel,
    tokens: impl FnOnce(Access) -> T,
) -> Result<(), ChannelError> {
    channel.greet();
    channel.flush(None)?;
    channel.expect_greeting(None)?;
    let ToWorker::Setup(access) = channel.receive(None)? else {
        return Err(ChannelError::Malformed);
    };
    let access = access.into_owned();
    let mut worker = Worker {
        tokens: tokens(access),
        signer: None,
        message: Vec::new(),
        line: Line(Arc::new(Mutex::new(Wire {
            channel,
            person: false,
            broken: None,
        }))),
    };
    loop {
        worker.serve_one()?;
    }
}

/// The client, as those see it who speak to it in turn: who serves, and the operator in a signer.
#[derive(Clone)]
struct Line(Arc<Mutex<Wire>>);

struct Wire {
    channel: Channel,
    /// Whether a person types the PINs for the request that is being done.
    person: bool,
    /// What ended the conversation where it could not be said at once.
    broken: Option<ChannelError>,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Wire> {
        // What a panic leaves behind is a channel all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    fn ask(&mut self, request: &PinRequest) -> Result<Option<Secret>, PinProblem> {
        let question = ToClient::AskPin(request.clone());
        self.channel.send(&question, None)?;
        let answer = match self.channel.receive(None)? {
            ToWorker::Pin(pin) => Ok(Some(Secret::new(pin.to_vec()))),
            ToWorker::NoPin => Ok(None),
            ToWorker::PinUnreadable { reason, cancelled } => {
                Err(PinProblem::Source(SecretError::relayed(reason, cancelled)))
            }
            _ => Err(PinProblem::Channel(ChannelError::Malformed)),
        };
        self.channel.wipe();
        answer
    }
}

enum PinProblem {
    Source(SecretError),
    Channel(ChannelError),
}

impl From<ChannelError> for PinProblem {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

impl Operator for Line {
    fn pin(&mut self, request: &PinRequest) -> Result<Option<Secret>, SecretError> {
        let mut wire = self.lock();
        wire.ask(request).map_err(|problem| match problem {
            PinProblem::Source(error) => error,
            PinProblem::Channel(error) => {
                let reason = error.to_string();
                wire.broken = Some(error);
                SecretError::relayed(reason, false)
            }
        })
    }

    fn is_person(&self) -> bool {
        self.lock().person
    }

    fn notify(&mut self, notice: &Notice) {
        let mut wire = self.lock();
        if let Err(error) = wire.channel.send(&ToClient::Notify(notice.clone()), None) {
            wire.broken = Some(error);
        }
    }
}

struct Worker<T> {
    tokens: T,
    signer: Option<BoxedSigner>,
    /// What is to be signed. Kept, so that a signature needs no new memory.
    message: Vec<u8>,
    line: Line,
}

/// A request, without what is read where it lies.
enum Job {
    Open(OpenKey),
    Sign(Scheme),
    Certificates(Uri),
    Inventory(Uri, bool),
    Generate(GenerateKey),
    Store(StoreCertificate),
}

impl<T: Tokens> Worker<T> {
    fn serve_one(&mut self) -> Result<(), ChannelError> {
        let mut client = self.line.clone();
        let answer = match self.next_job()? {
            Job::Sign(scheme) => return self.sign(scheme),
            Job::Open(request) => {
                // The one before is closed first: a token may have room for no second session.
                self.signer = None;
                self.tokens.open(&request, Box::new(client)).map(|opened| {
                    let public_key = opened.signer.public_key().to_vec();
                    self.signer = Some(opened.signer);
                    ToClient::Opened(Opened {
                        public_key,
                        uri: opened.uri,
                        certificates: opened.certificates,
                        warnings: opened.warnings,
                    })
                })
            }
            Job::Certificates(uri) => self
                .tokens
                .certificates(&uri, &mut client)
                .map(ToClient::Certificates),
            Job::Inventory(uri, login) => self
                .tokens
                .inventory(&uri, login, &mut client)
                .map(ToClient::Inventory),
            Job::Generate(request) => self
                .tokens
                .generate(&request, &mut client)
                .map(ToClient::Generated),
            Job::Store(request) => self
                .tokens
                .store(&request, &mut client)
                .map(ToClient::Stored),
        };
        let mut wire = self.line.lock();
        if let Some(error) = wire.broken.take() {
            return Err(error);
        }
        let channel = &mut wire.channel;
        match channel.send(&answer.unwrap_or_else(ToClient::Failed), None) {
            // What it has to say cannot be said: that can be.
            Err(error @ (ChannelError::TooLong | ChannelError::Unspeakable)) => {
                let reason = error.to_string();
                channel.send(&ToClient::Failed(TokenError::Signer { reason }), None)
            }
            sent => sent,
        }
    }

    /// Waits for a request.
    fn next_job(&mut self) -> Result<Job, ChannelError> {
        let mut wire = self.line.lock();
        let Wire {
            channel,
            person: now,
            ..
        } = &mut *wire;
        let ToWorker::Do { person, request } = channel.receive(None)? else {
            return Err(ChannelError::Malformed);
        };
        *now = person;
        Ok(match request {
            Request::Sign { scheme, message } => {
                self.message.clear();
                self.message.extend_from_slice(message);
                Job::Sign(scheme)
            }
            Request::Open(request) => Job::Open(request.into_owned()),
            Request::Certificates(uri) => Job::Certificates(uri.into_owned()),
            Request::Inventory { uri, login } => Job::Inventory(uri.into_owned(), login),
            Request::Generate(request) => Job::Generate(request.into_owned()),
            Request::Store(request) => Job::Store(request.into_owned()),
        })
    }

    fn sign(&mut self, scheme: Scheme) -> Result<(), ChannelError> {
        let mut signature = [0; MAX_SIGNATURE_LEN];
        let result = match &mut self.signer {
            Some(signer) => signer.sign(scheme, &self.message, &mut signature),
            None => Err(SignError::KeyGone),
        };
        let answer = match &result {
            Ok(len) => ToClient::Signature(&signature[..*len]),
            Err(error) => ToClient::NoSignature((*error).into()),
        };
        let mut wire = self.line.lock();
        match wire.broken.take() {
            Some(error) => Err(error),
            None => wire.channel.send(&answer, None),
        }
    }
}

//! The worker: does what it is told with the device that it holds, one request after the other.

use std::boxed::Box;
use std::os::fd::OwnedFd;
use std::string::ToString as _;
use std::vec::Vec;

use super::channel::{Channel, ChannelError};
use super::confine;
use super::family::Family;
use super::line::Line;
use super::message::{Opened, Request, ToClient, ToWorker};
use crate::backend::BoxedSigner;
use crate::core::key::{MAX_SIGNATURE_LEN, Scheme, SignError};

/// Serves one client.
#[must_use = "a worker does nothing before it is told to serve"]
pub struct Worker {
    channel: Channel,
    families: Vec<(&'static str, Converse)>,
}

/// What speaks to a client about devices of a family.
type Converse = Box<dyn FnOnce(Channel) -> Result<(), ChannelError>>;

impl Worker {
    /// A worker that hears and speaks through these, and serves nothing yet.
    pub fn new(input: OwnedFd, output: OwnedFd) -> Self {
        Self {
            channel: Channel::blocking(input, output),
            families: Vec::new(),
        }
    }

    pub(super) fn with<F: Family>(
        mut self,
        device: impl FnOnce(F::Access) -> Box<F::Device> + 'static,
    ) -> Self {
        let converse = |channel| converse::<F>(channel, device);
        self.families.push((F::FEATURE, Box::new(converse)));
        self
    }

    /// Serves the client until it closes its end.
    ///
    /// # Errors
    /// [`ChannelError`], if what comes is not what a client of this version says.
    pub fn serve(self) -> Result<(), ChannelError> {
        match self.begin() {
            Err(ChannelError::Closed) => Ok(()),
            ended => ended,
        }
    }

    fn begin(self) -> Result<(), ChannelError> {
        let Self {
            mut channel,
            families,
        } = self;
        channel.greet(families.iter().map(|(name, _)| *name));
        channel.flush(None)?;
        let wanted = channel.expect_greeting(None)?;
        let mut families = families.into_iter();
        match families.find(|(name, _)| wanted.has(name)) {
            Some((_, converse)) => converse(channel),
            None => Err(ChannelError::Unbuilt(wanted.to_string())),
        }
    }
}

fn converse<F: Family>(
    mut channel: Channel,
    device: impl FnOnce(F::Access) -> Box<F::Device>,
) -> Result<(), ChannelError> {
    if F::TIDIES {
        confine::outlive_parent().map_err(ChannelError::Io)?;
    }
    let ToWorker::<F>::Setup(access) = channel.receive(None)? else {
        return Err(ChannelError::Malformed);
    };
    let access = access.into_owned();
    let mut serving = Serving::<F> {
        device: device(access),
        signer: None,
        message: Vec::new(),
        line: Line::new(channel),
    };
    loop {
        serving.serve_one()?;
    }
}

struct Serving<F: Family> {
    device: Box<F::Device>,
    signer: Option<BoxedSigner>,
    /// What is to be signed. Kept, so that a signature needs no new memory.
    message: Vec<u8>,
    line: Line<F>,
}

/// A request, without what is read where it lies.
enum Job<F: Family> {
    Open(F::OpenKey),
    Sign(Scheme),
    Perform(F::Task),
}

impl<F: Family> Serving<F> {
    fn serve_one(&mut self) -> Result<(), ChannelError> {
        let mut client = self.line.clone();
        let answer = match self.next_job()? {
            Job::Sign(scheme) => return self.sign(scheme),
            Job::Open(request) => {
                // The one before is closed first: a device may have room for no second one.
                self.signer = None;
                F::open(&mut self.device, &request, Box::new(client)).map(|(signer, more)| {
                    let public_key = signer.public_key().to_vec();
                    self.signer = Some(signer);
                    ToClient::<F>::Opened(Opened { public_key, more })
                })
            }
            Job::Perform(task) => {
                F::perform(&mut self.device, &task, &mut client).map(ToClient::Done)
            }
        };
        let mut wire = self.line.lock();
        if let Some(error) = wire.broken.take() {
            return Err(error);
        }
        let channel = &mut wire.channel;
        match channel.send(&answer.unwrap_or_else(ToClient::Failed), None) {
            // What it has to say cannot be said: that can be.
            Err(error @ (ChannelError::TooLong | ChannelError::Unspeakable)) => {
                let error = F::failed(error.to_string());
                channel.send(&ToClient::<F>::Failed(error), None)
            }
            sent => sent,
        }
    }

    /// Waits for a request.
    fn next_job(&mut self) -> Result<Job<F>, ChannelError> {
        let mut wire = self.line.lock();
        let (request, person) = match wire.channel.receive::<ToWorker<'_, F>>(None)? {
            ToWorker::Do { person, request } => (request, person),
            _ => return Err(ChannelError::Malformed),
        };
        let job = match request {
            Request::Sign { scheme, message } => {
                self.message.clear();
                self.message.extend_from_slice(message);
                Job::Sign(scheme)
            }
            Request::Open(request) => Job::Open(request.into_owned()),
            Request::Perform(task) => Job::Perform(task.into_owned()),
        };
        wire.person = person;
        Ok(job)
    }

    fn sign(&mut self, scheme: Scheme) -> Result<(), ChannelError> {
        let mut signature = [0; MAX_SIGNATURE_LEN];
        let result = match &mut self.signer {
            Some(signer) => signer.sign(scheme, &self.message, &mut signature),
            None => Err(SignError::KeyGone),
        };
        let answer = match &result {
            Ok(len) => ToClient::<F>::Signature(&signature[..*len]),
            Err(error) => ToClient::NoSignature((*error).into()),
        };
        let mut wire = self.line.lock();
        match wire.broken.take() {
            Some(error) => Err(error),
            None => wire.channel.send(&answer, None),
        }
    }
}

//! The client, as the worker sees it.

use core::marker::PhantomData;
use std::string::ToString as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::channel::{Channel, ChannelError};
use super::family::{Answer, Family};
use super::message::{ToClient, ToWorker};
use crate::backend::secret::{Secret, SecretError};

/// The client, as those see it who speak to it in turn: who serves, and the operator in a signer.
pub struct Line<F>(Arc<Mutex<Wire>>, PhantomData<F>);

impl<F> Clone for Line<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

pub struct Wire {
    pub channel: Channel,
    /// Whether a person types the secrets for the request that is being done.
    pub person: bool,
    /// What ended the conversation where it could not be said at once.
    pub broken: Option<ChannelError>,
}

impl<F> Line<F> {
    pub fn new(channel: Channel) -> Self {
        let wire = Wire {
            channel,
            person: false,
            broken: None,
        };
        Self(Arc::new(Mutex::new(wire)), PhantomData)
    }

    pub fn lock(&self) -> MutexGuard<'_, Wire> {
        // What a panic leaves behind is a channel all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    fn ask<F: Family>(&mut self, question: &F::Question) -> Result<Option<Secret>, Problem> {
        let question = ToClient::<F>::Ask(question.clone());
        self.channel.send(&question, None)?;
        let answer = match self.channel.receive::<ToWorker<'_, F>>(None)? {
            ToWorker::Secret(secret) => Ok(Some(Secret::new(secret.to_vec()))),
            ToWorker::NoSecret => Ok(None),
            ToWorker::SecretUnreadable { reason, cancelled } => {
                Err(Problem::Source(SecretError::relayed(reason, cancelled)))
            }
            _ => Err(Problem::Channel(ChannelError::Malformed)),
        };
        self.channel.wipe();
        answer
    }
}

enum Problem {
    Source(SecretError),
    Channel(ChannelError),
}

impl From<ChannelError> for Problem {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

impl<F: Family> Answer<F> for Line<F> {
    fn secret(&mut self, question: &F::Question) -> Result<Option<Secret>, SecretError> {
        let mut wire = self.lock();
        wire.ask::<F>(question).map_err(|problem| match problem {
            Problem::Source(error) => error,
            Problem::Channel(error) => {
                let reason = error.to_string();
                wire.broken = Some(error);
                SecretError::relayed(reason, false)
            }
        })
    }

    fn is_person(&self) -> bool {
        self.lock().person
    }

    fn notify(&mut self, notice: &F::Notice) {
        let mut wire = self.lock();
        let notice = ToClient::<F>::Notify(notice.clone());
        if let Err(error) = wire.channel.send(&notice, None) {
            wire.broken = Some(error);
        }
    }
}

//! A kind of device, as the client has it: workers that are started when there is something to do.

use std::boxed::Box;
use std::sync::Arc;

use super::connection::Connection;
use super::family::{Answer, Family};
use super::message::{Opened, Request, ToClient};
use super::signer::IsolatedSigner;
use super::starter::Starter;
use crate::backend::BoxedSigner;

/// A device that workers speak to.
///
/// Each key that is opened gets a worker of its own, so that keys in several threads do not wait for
/// each other. All else is asked of one worker, which the next key takes over.
#[derive(Debug)]
pub struct Client<F: Family> {
    pub starter: Starter,
    access: Arc<F::Access>,
    idle: Option<Connection<F>>,
}

impl<F: Family> Client<F> {
    /// None is started before there is something to do.
    pub fn new(starter: Starter, access: F::Access) -> Self {
        Self {
            starter,
            access: Arc::new(access),
            idle: None,
        }
    }

    fn connect(&mut self) -> Result<Connection<F>, F::Error> {
        match self.idle.take() {
            Some(connection) => Ok(connection),
            None => Connection::start(&self.starter, &self.access)
                .map_err(|failure| F::failed(failure.reason)),
        }
    }

    /// Opens a key, in a worker that is the signer's from now on.
    pub fn open(
        &mut self,
        request: &F::OpenKey,
        operator: Box<F::Operator>,
    ) -> Result<(BoxedSigner, F::Opened), F::Error> {
        let connection = self.connect()?;
        let (signer, Opened { more, .. }) = IsolatedSigner::open(
            self.starter.clone(),
            self.access.clone(),
            connection,
            request.clone(),
            operator,
        )?;
        Ok((Box::new(signer), more))
    }

    /// Has something else done. `take` gives what is wanted from what was done, and `None` to what does
    /// not belong to the task.
    pub fn perform<T>(
        &mut self,
        task: &F::Task,
        operator: &mut (impl Answer<F> + ?Sized),
        take: impl FnOnce(F::Done) -> Option<T>,
    ) -> Result<T, F::Error> {
        let mut connection = self.connect()?;
        let request = Request::Perform(std::borrow::Cow::Borrowed(task));
        let answer = connection
            .call(request, operator, |answer| match answer {
                ToClient::Failed(error) => Some(Err(error)),
                ToClient::Done(done) => take(done).map(Ok),
                _ => None,
            })
            .map_err(|failure| F::failed(failure.reason))?;
        self.idle = Some(connection);
        answer
    }
}

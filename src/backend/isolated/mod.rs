//! Tokens in another process: `keystead-signer` loads the PKCS#11 modules, and does what it is told
//! over a pair of pipes. A module that crashes, hangs or leaks costs one signature, and neither sees
//! nor harms what else this process holds. docs/isolation.md tells the whole.

mod budget;
mod buffer;
mod channel;
mod confine;
mod connection;
mod exit;
mod launcher;
mod message;
mod signer;
mod starter;
mod worker;

#[cfg(test)]
mod tests;

pub use channel::{ChannelError, MAX_MESSAGE_LEN};
pub use confine::{NotStarted, Pipes, Watch, bound_memory, end_with, protect_memory, take_socket};
pub use launcher::{LAUNCHER, Launcher, launch};
pub use starter::{Starter, WORKER};
pub use worker::serve;

use std::borrow::Cow;
use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

use connection::Connection;
use message::{Request, ToClient};
use signer::IsolatedSigner;

use crate::backend::pkcs11::{
    Access, FoundCertificate, GenerateKey, GeneratedKey, Inventory, OpenKey, OpenedKey, Operator,
    StoreCertificate, TokenError, Tokens, Uri,
};

/// Whether modules can be loaded by another process alone: this program is static, and has no dynamic
/// linker in it.
pub const REQUIRED: bool = cfg!(target_feature = "crt-static");

/// The tokens of a module that a `keystead-signer` has loaded.
///
/// Each key that is opened gets a worker of its own, so that keys in several threads do not wait for
/// each other. All else is asked of one worker, which the next key takes over.
#[derive(Debug)]
pub struct Isolated {
    starter: Starter,
    access: Arc<Access>,
    idle: Option<Connection>,
}

impl Isolated {
    /// Reaches tokens by workers from `starter`. None is started before there is something to do.
    pub fn new(starter: Starter, access: Access) -> Self {
        Self {
            starter,
            access: Arc::new(access),
            idle: None,
        }
    }

    fn connect(&mut self) -> Result<Connection, TokenError> {
        match self.idle.take() {
            Some(connection) => Ok(connection),
            None => Ok(Connection::start(&self.starter, &self.access)?),
        }
    }

    fn call<T>(
        &mut self,
        request: Request<'_>,
        operator: &mut dyn Operator,
        take: impl FnOnce(ToClient<'_>) -> Option<T>,
    ) -> Result<T, TokenError> {
        let mut connection = self.connect()?;
        let answer = connection.call(request, operator, |answer| match answer {
            ToClient::Failed(error) => Some(Err(error)),
            answer => take(answer).map(Ok),
        })?;
        self.idle = Some(connection);
        answer
    }
}

impl Tokens for Isolated {
    fn open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TokenError> {
        let connection = self.connect()?;
        let (signer, opened) = IsolatedSigner::open(
            self.starter.clone(),
            self.access.clone(),
            connection,
            request.clone(),
            operator,
        )?;
        Ok(OpenedKey {
            signer: Box::new(signer),
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
        let request = Request::Certificates(Cow::Borrowed(uri));
        self.call(request, operator, |answer| match answer {
            ToClient::Certificates(found) => Some(found),
            _ => None,
        })
    }

    fn inventory(
        &mut self,
        uri: &Uri,
        login: bool,
        operator: &mut dyn Operator,
    ) -> Result<Inventory, TokenError> {
        let uri = Cow::Borrowed(uri);
        self.call(
            Request::Inventory { uri, login },
            operator,
            |answer| match answer {
                ToClient::Inventory(inventory) => Some(inventory),
                _ => None,
            },
        )
    }

    fn generate(
        &mut self,
        request: &GenerateKey,
        operator: &mut dyn Operator,
    ) -> Result<GeneratedKey, TokenError> {
        self.call(
            Request::Generate(Cow::Borrowed(request)),
            operator,
            |answer| match answer {
                ToClient::Generated(key) => Some(key),
                _ => None,
            },
        )
    }

    fn store(
        &mut self,
        request: &StoreCertificate,
        operator: &mut dyn Operator,
    ) -> Result<Uri, TokenError> {
        self.call(
            Request::Store(Cow::Borrowed(request)),
            operator,
            |answer| match answer {
                ToClient::Stored(uri) => Some(uri),
                _ => None,
            },
        )
    }
}

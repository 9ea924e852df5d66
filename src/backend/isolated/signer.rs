//! A key that a worker holds.

use std::borrow::Cow;
use std::boxed::Box;
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;

use super::budget::Budget;
use super::connection::{Connection, Failure, FailureKind};
use super::family::{Answer as _, Family};
use super::message::{Opened, Request, ToClient};
use super::starter::Starter;
use crate::core::key::{KeyKind, Scheme, SignError, Signer};
use crate::core::x509::PublicKeyInfo;

/// Signs through a worker of its own, and starts another when that one has ended.
pub struct IsolatedSigner<F: Family> {
    starter: Starter,
    access: Arc<F::Access>,
    request: F::OpenKey,
    operator: Box<F::Operator>,
    key: KeyKind,
    public_key: Vec<u8>,
    /// `None` when the last one has ended.
    connection: Option<Connection<F>>,
    /// Whether the worker has the key open.
    open: bool,
    budget: Budget,
}

impl<F: Family> IsolatedSigner<F> {
    /// Opens a key in a worker that runs.
    pub fn open(
        starter: Starter,
        access: Arc<F::Access>,
        mut connection: Connection<F>,
        request: F::OpenKey,
        mut operator: Box<F::Operator>,
    ) -> Result<(Self, Opened<F>), F::Error> {
        let mut opened = open(&mut connection, &request, &mut *operator)
            .map_err(|failure| F::failed(failure.reason))??;
        let public_key = core::mem::take(&mut opened.public_key);
        let key = PublicKeyInfo::from_der(&public_key)
            .ok()
            .and_then(|public_key| public_key.kind())
            .ok_or_else(|| F::unreadable(&request))?;
        let signer = Self {
            starter,
            access,
            request,
            operator,
            key,
            public_key,
            connection: Some(connection),
            open: true,
            budget: Budget::default(),
        };
        Ok((signer, opened))
    }

    /// Sees to it that there is a worker, and that it has the key open.
    fn make_ready(&mut self) -> Result<(), SignError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                self.open = false;
                if !self.budget.take(Instant::now()) {
                    return Err(SignError::ProcessEnded);
                }
                none.insert(Connection::start(&self.starter, &self.access).map_err(kind)?)
            }
        };
        if self.open {
            return Ok(());
        }
        match open(connection, &self.request, &mut *self.operator) {
            Ok(Ok(opened)) if opened.public_key == self.public_key => self.open = true,
            Ok(Ok(_)) => return Err(SignError::KeyGone),
            // The worker lives: it is asked again the next time.
            Ok(Err(error)) => {
                self.operator.failed(&error);
                return Err(F::sign_error(&error));
            }
            Err(failure) => {
                self.connection = None;
                return Err(kind(failure));
            }
        }
        Ok(())
    }

    fn ask(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<Signed, Failure> {
        let Some(connection) = &mut self.connection else {
            return Ok(Err(SignError::ProcessEnded));
        };
        let request = Request::Sign { scheme, message };
        connection.call(request, &mut *self.operator, |answer| match answer {
            ToClient::Signature(signature) => Some(match out.get_mut(..signature.len()) {
                Some(out) => {
                    out.copy_from_slice(signature);
                    Ok(signature.len())
                }
                None => Err(SignError::BufferTooSmall),
            }),
            ToClient::NoSignature(error) => Some(Err(error.of::<F>())),
            _ => None,
        })
    }
}

type Signed = Result<usize, SignError>;

impl<F: Family> Signer for IsolatedSigner<F> {
    fn key(&self) -> KeyKind {
        self.key
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// A worker that ends or hangs meanwhile costs this signature; the next one has another worker.
    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Signed {
        self.make_ready()?;
        let mut signed = self.ask(scheme, message, out);
        if matches!(&signed, Err(failure) if failure.kind == FailureKind::Gone) {
            // It ended before, while nobody looked: that costs nothing.
            self.connection = None;
            self.make_ready()?;
            signed = self.ask(scheme, message, out);
        }
        let spent = match &signed {
            Ok(Err(SignError::Device { code, .. })) => F::is_out_of_memory(*code),
            Ok(_) => false,
            Err(failure) => failure.kind != FailureKind::Unsaid,
        };
        if spent {
            self.connection = None;
        }
        signed.map_err(kind)?
    }
}

fn kind(failure: Failure) -> SignError {
    failure.kind.into()
}

fn open<F: Family>(
    connection: &mut Connection<F>,
    request: &F::OpenKey,
    operator: &mut F::Operator,
) -> Result<Result<Opened<F>, F::Error>, Failure> {
    let request = Request::Open(Cow::Borrowed(request));
    connection.call(request, operator, |answer| match answer {
        ToClient::Opened(opened) => Some(Ok(opened)),
        ToClient::Failed(error) => Some(Err(error)),
        _ => None,
    })
}

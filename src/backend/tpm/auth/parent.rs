//! The auth value of a parent key: most have the empty one, and it costs a command to find out whether wrong ones
//! count.

use std::string::{String, ToString as _};
use std::vec::Vec;

use super::{Reached, Subject, authorise, is_unjudged, remember_refused};
use crate::backend::secret::{Secret, SecretError};
use crate::backend::tpm::code;
use crate::backend::tpm::device::{AuthRequest, Object, Operator};
use crate::backend::tpm::error::{AuthProblem, TpmError};

/// A parent key, for its auth value.
#[derive(Debug)]
pub struct ParentAuth {
    /// What it is asked for.
    pub called: String,
    /// The one that the TPM took.
    pub taken: Option<Secret>,
}

impl ParentAuth {
    /// Runs a command that the parent key authorises, by `attempt`. `name` is the key's, and `counts` says
    /// whether its failures count towards lockout; it is called only where that matters.
    ///
    /// # Errors
    /// [`TpmError::Auth`] for its auth value; [`TpmError`].
    pub fn run<C: Reached, T>(
        &mut self,
        connection: &mut C,
        operator: &mut dyn Operator,
        name: &[u8],
        counts: impl FnOnce(&mut C) -> Result<bool, TpmError>,
        mut attempt: impl FnMut(&mut C, &Secret) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        if let Some(value) = &self.taken {
            return attempt(connection, value);
        }
        let request = AuthRequest {
            of: Object::Parent,
            name: self.called.clone(),
            refused: false,
            may_be_empty: true,
        };
        let stored = operator.auth(&request).map_err(|error| TpmError::Auth {
            of: Object::Parent,
            name: self.called.clone(),
            problem: match error.is_cancelled() {
                true => AuthProblem::Cancelled,
                false => AuthProblem::Source(error.in_brief().to_string()),
            },
        })?;
        let mut subject = Subject::key(Object::Parent, &self.called, name, false);
        let mut taken = None;
        let (mut costs, mut is_open) = (false, false);
        let mut attempt = |connection: &mut C, value: &Secret| {
            let done = attempt(connection, value);
            match &done {
                Ok(_) => taken = Some(value.clone()),
                Err(TpmError::Call { error, .. }) => {
                    costs |= error.code.bare() == code::AUTH_FAIL && value.expose().is_empty();
                }
                Err(_) => {}
            }
            is_open = done.as_ref().is_err_and(is_unjudged) && value.expose().is_empty();
            done
        };
        let done = match stored {
            Some(value) => {
                subject.counts = counts(connection)?;
                let value = Some(value);
                let mut known = Known { value, operator };
                authorise(connection, &subject, &mut known, &mut attempt)
            }
            None => {
                subject.empty = Some(true);
                let done = authorise(connection, &subject, operator, &mut attempt);
                // Through libtss2 it takes a command to know, which is not answered either.
                costs |= is_open && counts(connection).unwrap_or_default();
                done
            }
        };
        if costs {
            // That it is the empty value is worth a try, but not two.
            remember_refused(connection.access(), &subject, &Secret::new(Vec::new()));
        }
        self.taken = taken;
        match done {
            Err(error) if costs && is_open => Err(subject.unanswered(&error, None)),
            done => done,
        }
    }
}

/// An operator who was asked already.
struct Known<'a> {
    value: Option<Secret>,
    operator: &'a mut dyn Operator,
}

impl Operator for Known<'_> {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        match self.value.take() {
            Some(value) => Ok(Some(value)),
            None => self.operator.auth(request),
        }
    }

    fn is_person(&self) -> bool {
        self.operator.is_person()
    }
}

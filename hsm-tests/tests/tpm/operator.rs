//! Who has the auth values.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::tpm::{AuthRequest, Object, Operator};

/// Has a stored value for some objects, or a person who types one after the other. Clones are the same.
#[derive(Clone, Default)]
pub struct Values {
    stored: Vec<(Object, &'static str)>,
    typed: Option<Arc<Mutex<VecDeque<&'static str>>>>,
    asked: Arc<Mutex<Vec<AuthRequest>>>,
}

impl Values {
    /// Has none.
    pub fn none() -> Self {
        Self::default()
    }

    /// Has one more.
    pub fn and(mut self, of: Object, value: &'static str) -> Self {
        self.stored.push((of, value));
        self
    }

    /// Types one after the other.
    pub fn typed(values: &[&'static str]) -> Self {
        Self {
            typed: Some(Arc::new(Mutex::new(values.iter().copied().collect()))),
            ..Self::default()
        }
    }

    /// What was asked.
    pub fn asked(&self) -> Vec<AuthRequest> {
        self.asked.lock().unwrap().clone()
    }
}

impl Operator for Values {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        self.asked.lock().unwrap().push(request.clone());
        let value = match &self.typed {
            Some(_) if request.may_be_empty && !request.refused => None,
            Some(typed) => typed.lock().unwrap().pop_front(),
            None => {
                let mut stored = self.stored.iter();
                let found = stored.find(|(of, _)| *of == request.of);
                found.map(|(_, value)| *value)
            }
        };
        Ok(value.map(|value| Secret::new(value.as_bytes().to_vec())))
    }

    fn is_person(&self) -> bool {
        self.typed.is_some()
    }
}

//! Who has the PINs, in tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use keystead::backend::pkcs11::{Notice, Operator, PinRequest, PinRole};
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::tpm;

use crate::softhsm::{PIN, SO_PIN};

/// The right PIN, from nobody who could be asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoredPin;

impl Operator for StoredPin {
    fn pin(&mut self, request: &PinRequest) -> Result<Option<Secret>, SecretError> {
        let pin = match request.role {
            PinRole::SecurityOfficer => SO_PIN,
            PinRole::User | PinRole::Signature => PIN,
        };
        Ok(Some(Secret::new(pin.into())))
    }

    fn is_person(&self) -> bool {
        false
    }

    fn notify(&mut self, _: &Notice) {}
}

/// A PIN that is stored somewhere; or none.
#[derive(Clone)]
pub struct Stored(pub Option<String>);

impl Stored {
    pub fn new(pin: &str) -> Self {
        Self(Some(pin.to_owned()))
    }
}

impl Operator for Stored {
    fn pin(&mut self, _: &PinRequest) -> Result<Option<Secret>, SecretError> {
        Ok(self.0.clone().map(|pin| Secret::new(pin.into_bytes())))
    }

    fn is_person(&self) -> bool {
        false
    }

    fn notify(&mut self, _: &Notice) {}
}

/// A person who types these PINs, one for each question, and goes away after the last. Clones are the
/// same person.
#[derive(Clone, Default)]
pub struct Person(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    types: VecDeque<String>,
    asked: Vec<PinRequest>,
    told: Vec<Notice>,
}

impl Person {
    pub fn who_types(pins: &[&str]) -> Self {
        let person = Self::default();
        person.will_type(pins);
        person
    }

    pub fn will_type(&self, pins: &[&str]) {
        self.memory(|memory| {
            memory
                .types
                .extend(pins.iter().map(|pin| (*pin).to_owned()))
        });
    }

    /// What the person was asked, since the last time that this was called.
    pub fn asked(&self) -> Vec<PinRequest> {
        self.memory(|memory| std::mem::take(&mut memory.asked))
    }

    /// What the person was told, since the last time that this was called.
    pub fn told(&self) -> Vec<Notice> {
        self.memory(|memory| std::mem::take(&mut memory.told))
    }

    fn memory<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        work(&mut self.0.lock().expect("nobody panics with it"))
    }
}

impl Operator for Person {
    fn pin(&mut self, request: &PinRequest) -> Result<Option<Secret>, SecretError> {
        self.memory(|memory| {
            memory.asked.push(request.clone());
            let typed = memory.types.pop_front();
            Ok(typed.map(|pin| Secret::new(pin.into_bytes())))
        })
    }

    fn is_person(&self) -> bool {
        true
    }

    fn notify(&mut self, notice: &Notice) {
        self.memory(|memory| memory.told.push(notice.clone()));
    }
}

/// An auth value of a TPM's key that is stored somewhere; or none. Nothing else has one.
#[derive(Clone)]
pub struct StoredAuth(pub Option<String>);

impl StoredAuth {
    /// An empty one is none.
    pub fn new(auth: &str) -> Self {
        Self((!auth.is_empty()).then(|| auth.to_owned()))
    }
}

impl tpm::Operator for StoredAuth {
    fn auth(&mut self, request: &tpm::AuthRequest) -> Result<Option<Secret>, SecretError> {
        let auth = self.0.as_ref().filter(|_| request.of == tpm::Object::Key);
        Ok(auth.map(|auth| Secret::new(auth.clone().into_bytes())))
    }

    fn is_person(&self) -> bool {
        false
    }
}

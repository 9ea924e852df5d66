//! Who has the PINs in tests.

use keystead::backend::pkcs11::{Notice, Operator, PinRequest, PinRole};
use keystead::backend::secret::{Secret, SecretError};

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

//! PIN and PUK: comparing, counting, changing (SP 800-73-4 part 2, sections 3.2.1 to 3.2.3).

use crate::apdu::Status;
use crate::state::{FACTORY_PIN, FACTORY_PUK, Reference, State};

/// P2 of the PIN of this application, and of its PUK.
pub const PIN: u8 = 0x80;
pub const PUK: u8 = 0x81;

impl Reference {
    /// Compares, and counts.
    pub fn check(&mut self, value: &[u8]) -> Result<(), Status> {
        if self.left == 0 {
            return Err(Status::BLOCKED);
        }
        if value.len() != self.value.len() {
            return Err(Status::WRONG_DATA);
        }
        if value != self.value {
            self.left -= 1;
            return Err(Status::tries_left(self.left));
        }
        self.left = self.limit;
        Ok(())
    }

    /// Sets a new value, with all its tries.
    fn set(&mut self, value: &[u8]) -> Result<(), Status> {
        self.value = value.try_into().map_err(|_| Status::WRONG_DATA)?;
        self.left = self.limit;
        self.default = false;
        Ok(())
    }
}

/// CHANGE REFERENCE DATA.
pub fn change(state: &mut State, which: u8, data: &[u8]) -> Result<(), Status> {
    let (old, new) = data.split_at_checked(8).ok_or(Status::WRONG_DATA)?;
    let reference = match which {
        PIN => &mut state.pin,
        PUK => &mut state.puk,
        _ => return Err(Status::REFERENCE_NOT_FOUND),
    };
    reference.check(old)?;
    reference.set(new)
}

/// RESET RETRY COUNTER: a new PIN, with the PUK.
pub fn unblock(state: &mut State, which: u8, data: &[u8]) -> Result<(), Status> {
    let (puk, pin) = data.split_at_checked(8).ok_or(Status::WRONG_DATA)?;
    if which != PIN {
        return Err(Status::REFERENCE_NOT_FOUND);
    }
    state.puk.check(puk)?;
    state.pin.set(pin)
}

/// Yubico's SET PIN RETRIES: both get their factory value back.
pub fn set_limits(state: &mut State, pin: u8, puk: u8) -> Result<(), Status> {
    if pin == 0 || puk == 0 {
        return Err(Status::WRONG_PARAMETERS);
    }
    state.pin = Reference::new(FACTORY_PIN, pin);
    state.puk = Reference::new(FACTORY_PUK, puk);
    Ok(())
}

//! The commands of the PIV application (SP 800-73-4 part 2) and Yubico's own.

use crate::apdu::{Answer, Command, Status};
use crate::attestation;
use crate::authenticate::{ALGORITHMS, Pending, tag};
use crate::key::{SlotKey, pin_policy, touch_policy};
use crate::metadata::{MANAGEMENT, metadata};
use crate::references::{self, PIN};
use crate::state::{State, Store};
use crate::tlv::{self, tlv};
use crate::touch::Sensor;

/// The firmware whose commands these are: before 5.7, so that its management key is 3DES at first.
pub const VERSION: [u8; 3] = [5, 4, 3];
/// The application's identifier; a shorter one selects it too.
const AID: [u8; 11] = [0xa0, 0, 0, 3, 8, 0, 0, 0x10, 0, 1, 0];
/// The shortest that does.
const SHORT_AID: usize = 5;
/// The discovery object: the application and its PIN are what is asked for.
const DISCOVERY: u32 = 0x7e;

/// Instructions: SP 800-73-4 part 2 table 2, then Yubico's.
mod instruction {
    pub const VERIFY: u8 = 0x20;
    pub const CHANGE_REFERENCE: u8 = 0x24;
    pub const RESET_RETRY_COUNTER: u8 = 0x2c;
    pub const GENERATE: u8 = 0x47;
    pub const AUTHENTICATE: u8 = 0x87;
    pub const SELECT: u8 = 0xa4;
    pub const GET_DATA: u8 = 0xcb;
    pub const PUT_DATA: u8 = 0xdb;
    pub const GET_METADATA: u8 = 0xf7;
    pub const GET_SERIAL: u8 = 0xf8;
    pub const ATTEST: u8 = 0xf9;
    pub const SET_RETRIES: u8 = 0xfa;
    pub const RESET: u8 = 0xfb;
    pub const GET_VERSION: u8 = 0xfd;
    pub const IMPORT: u8 = 0xfe;
    pub const SET_MANAGEMENT_KEY: u8 = 0xff;
}

/// The application, and what holds until it is selected again or the card loses power.
pub struct Applet {
    store: Store,
    sensor: Sensor,
    session: Session,
}

#[derive(Default)]
struct Session {
    selected: bool,
    pin: bool,
    /// The PIN was given by the very last command: what a key with the PIN policy "always" wants.
    pin_just_now: bool,
    management: bool,
    pending: Pending,
}

impl Answer for Applet {
    fn answer(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        use instruction as i;
        let fresh = std::mem::take(&mut self.session.pin_just_now);
        if command.instruction == i::SELECT {
            return self.select(command);
        }
        if !self.session.selected {
            return Err(Status::UNKNOWN_INSTRUCTION);
        }
        match command.instruction {
            i::VERIFY => self.verify(command),
            i::CHANGE_REFERENCE => {
                self.changing(|state| references::change(state, command.p2, &command.data))
            }
            i::RESET_RETRY_COUNTER => {
                self.changing(|state| references::unblock(state, command.p2, &command.data))
            }
            i::GENERATE => self.generate(command),
            i::AUTHENTICATE => self.authenticate(command, fresh),
            i::GET_DATA => self.get_data(command),
            i::PUT_DATA => self.put_data(command),
            i::GET_METADATA => metadata(&self.store, command.p2),
            i::GET_SERIAL => Ok(self.store.serial.to_be_bytes().to_vec()),
            i::ATTEST => {
                attestation::attest(&self.store, command.p1).ok_or(Status::REFERENCE_NOT_FOUND)
            }
            i::SET_RETRIES if self.session.management && self.session.pin => {
                self.changing(|state| references::set_limits(state, command.p1, command.p2))
            }
            i::SET_RETRIES => Err(Status::SECURITY_STATUS),
            i::RESET => self.factory_reset(),
            i::GET_VERSION => Ok(VERSION.to_vec()),
            i::IMPORT => self.import(command),
            i::SET_MANAGEMENT_KEY => self.set_management_key(command),
            _ => Err(Status::UNKNOWN_INSTRUCTION),
        }
    }
}

impl Applet {
    pub fn new(store: Store, sensor: Sensor) -> Self {
        Self {
            store,
            sensor,
            session: Session::default(),
        }
    }

    /// The card loses power.
    pub fn reset(&mut self) {
        self.session = Session::default();
    }

    /// Keeps what a change of the state left, also a try that was spent in vain.
    fn changing(
        &mut self,
        change: impl FnOnce(&mut State) -> Result<(), Status>,
    ) -> Result<Vec<u8>, Status> {
        let outcome = change(&mut self.store);
        self.store.save().map_err(|_| Status::MEMORY_FAILURE)?;
        outcome.map(|()| Vec::new())
    }

    fn select(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        let wanted = &command.data;
        if wanted.len() < SHORT_AID || !AID.starts_with(wanted) {
            return Err(Status::NOT_FOUND);
        }
        self.session = Session {
            selected: true,
            ..Session::default()
        };
        let authority = tlv(0x79, &tlv(0x4f, &AID[..SHORT_AID]));
        Ok(tlv(
            0x61,
            &[tlv(0x4f, &AID[SHORT_AID..]), authority].concat(),
        ))
    }

    fn verify(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        if command.p2 != PIN {
            return Err(Status::REFERENCE_NOT_FOUND);
        }
        match (command.p1, &command.data[..]) {
            (0xff, []) => {
                self.session.pin = false;
                Ok(Vec::new())
            }
            (0, []) if self.session.pin => Ok(Vec::new()),
            (0, []) if self.store.pin.left == 0 => Err(Status::BLOCKED),
            (0, []) => Err(Status::tries_left(self.store.pin.left)),
            (0, value) => {
                let before = self.store.pin.left;
                let outcome = self.store.pin.check(value);
                if self.store.pin.left != before {
                    self.store.save().map_err(|_| Status::MEMORY_FAILURE)?;
                }
                self.session.pin = outcome.is_ok();
                self.session.pin_just_now = outcome.is_ok();
                outcome.map(|()| Vec::new())
            }
            _ => Err(Status::WRONG_PARAMETERS),
        }
    }

    fn get_data(&self, command: &Command) -> Result<Vec<u8>, Status> {
        let tag = object(&command.data).ok_or(Status::WRONG_DATA)?.0;
        if tag == DISCOVERY {
            let policy = tlv(0x5f2f, &[0x40, 0]);
            return Ok(tlv(DISCOVERY, &[tlv(0x4f, &AID), policy].concat()));
        }
        let value = self.store.objects.get(&tag).ok_or(Status::NOT_FOUND)?;
        Ok(tlv(0x53, value))
    }

    fn put_data(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        self.managed()?;
        let (tag, rest) = object(&command.data).ok_or(Status::WRONG_DATA)?;
        let value = tlv::find(rest, 0x53).ok_or(Status::WRONG_DATA)?;
        self.changing(|state| {
            match value {
                [] => state.objects.remove(&tag),
                value => state.objects.insert(tag, value.to_vec()),
            };
            Ok(())
        })
    }

    /// Only with the management key.
    fn managed(&self) -> Result<(), Status> {
        if self.session.management {
            Ok(())
        } else {
            Err(Status::SECURITY_STATUS)
        }
    }

    fn generate(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        let wanted = tlv::find(&command.data, 0xac).ok_or(Status::WRONG_DATA)?;
        let algorithm = tlv::find(wanted, 0x80).and_then(|value| value.first());
        let public = self.put_key(command.p2, wanted, |pin, touch| {
            SlotKey::generate(*algorithm?, pin, touch)
        })?;
        Ok(tlv(0x7f49, &public))
    }

    fn import(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        let fields = &command.data;
        self.put_key(command.p2, fields, |pin, touch| {
            SlotKey::import(command.p1, fields, pin, touch)
        })?;
        Ok(Vec::new())
    }

    /// Puts a key into a slot, with the policies that the fields ask for. Gives its public key.
    fn put_key(
        &mut self,
        slot: u8,
        fields: &[u8],
        make: impl FnOnce(u8, u8) -> Option<SlotKey>,
    ) -> Result<Vec<u8>, Status> {
        self.managed()?;
        if !is_key_slot(slot) {
            return Err(Status::WRONG_PARAMETERS);
        }
        let policy = |tag| {
            let value = tlv::find(fields, tag).and_then(|value| value.first().copied());
            value.unwrap_or(0)
        };
        let pin = match policy(0xaa) {
            0 => usual_pin_policy(slot),
            policy => policy,
        };
        let touch = policy(0xab).max(touch_policy::NEVER);
        let key = make(pin, touch).ok_or(Status::WRONG_DATA)?;
        let public = key.public_tlv().ok_or(Status::MEMORY_FAILURE)?;
        self.changing(|state| {
            state.keys.insert(slot, key);
            Ok(())
        })?;
        Ok(public)
    }

    fn authenticate(&mut self, command: &Command, fresh: bool) -> Result<Vec<u8>, Status> {
        let template = tlv::find(&command.data, tag::TEMPLATE).ok_or(Status::WRONG_DATA)?;
        let response = if command.p2 == MANAGEMENT {
            self.authenticate_manager(command.p1, template)?
        } else {
            self.sign(command, template, fresh)?
        };
        match response[..] {
            [] => Ok(Vec::new()),
            _ => Ok(tlv(tag::TEMPLATE, &response)),
        }
    }

    fn authenticate_manager(&mut self, algorithm: u8, template: &[u8]) -> Result<Vec<u8>, Status> {
        let key = &self.store.management;
        // 0 means 3DES too (SP 800-78-4 table 6-2).
        if (if algorithm == 0 { 3 } else { algorithm }) != key.algorithm {
            return Err(Status::WRONG_PARAMETERS);
        }
        if key.touch && !self.sensor.touched() {
            return Err(Status::SECURITY_STATUS);
        }
        let (response, proven) = self.session.pending.step(key, template)?;
        self.session.management |= proven;
        Ok(response)
    }

    fn sign(&mut self, command: &Command, template: &[u8], fresh: bool) -> Result<Vec<u8>, Status> {
        let key = self.store.keys.get(&command.p2).ok_or(Status::NOT_FOUND)?;
        if key.algorithm != command.p1 || command.p2 == attestation::SLOT {
            return Err(Status::WRONG_PARAMETERS);
        }
        let verified = match key.pin_policy {
            pin_policy::NEVER => true,
            pin_policy::ALWAYS => fresh,
            _ => self.session.pin,
        };
        let touched = verified
            && match key.touch_policy {
                touch_policy::ALWAYS => self.sensor.touched(),
                touch_policy::CACHED => self.sensor.touched_lately(),
                _ => true,
            };
        if !touched {
            return Err(Status::SECURITY_STATUS);
        }
        let input = tlv::find(template, tag::CHALLENGE).ok_or(Status::CONDITIONS)?;
        let signature = key.sign(input).ok_or(Status::WRONG_DATA)?;
        Ok(tlv(tag::RESPONSE, &signature))
    }

    /// SET MANAGEMENT KEY: algorithm, 9b, length, key; P2 says whether it wants a touch.
    fn set_management_key(&mut self, command: &Command) -> Result<Vec<u8>, Status> {
        self.managed()?;
        let touch = match (command.p1, command.p2) {
            (0xff, 0xff) => false,
            (0xff, 0xfe) => true,
            _ => return Err(Status::WRONG_PARAMETERS),
        };
        let [algorithm, MANAGEMENT, length, value @ ..] = &command.data[..] else {
            return Err(Status::WRONG_DATA);
        };
        let length = usize::from(*length);
        if value.len() != length || !ALGORITHMS.contains(&(*algorithm, length)) {
            return Err(Status::WRONG_DATA);
        }
        self.changing(|state| {
            state.management.algorithm = *algorithm;
            state.management.value = value.to_vec();
            state.management.touch = touch;
            state.management.default = false;
            Ok(())
        })
    }

    /// RESET: once neither PIN nor PUK can be given any more.
    fn factory_reset(&mut self) -> Result<Vec<u8>, Status> {
        if self.store.pin.left != 0 || self.store.puk.left != 0 {
            return Err(Status::CONDITIONS);
        }
        self.session.pin = false;
        self.session.management = false;
        self.changing(|state| {
            *state = State::new(state.serial).map_err(|_| Status::MEMORY_FAILURE)?;
            Ok(())
        })
    }
}

/// The object that a tag list names, and what follows the list.
fn object(data: &[u8]) -> Option<(u32, &[u8])> {
    let (0x5c, name, rest) = tlv::read(data)? else {
        return None;
    };
    let tag = name.iter().try_fold(0_u32, |tag, byte| {
        Some(tag.checked_mul(256)? | u32::from(*byte))
    })?;
    Some((tag, rest))
}

/// Slots that hold a user's key (SP 800-73-4 part 1, table 4b).
fn is_key_slot(slot: u8) -> bool {
    matches!(slot, 0x9a | 0x9c..=0x9e | 0x82..=0x95)
}

/// The PIN policy of a slot where none is asked for.
fn usual_pin_policy(slot: u8) -> u8 {
    match slot {
        0x9c => pin_policy::ALWAYS,
        0x9e => pin_policy::NEVER,
        _ => pin_policy::ONCE,
    }
}

//! Slots and the tokens in them, and which of them a URI means.

use core::time::Duration;
use std::format;
use std::string::String;
use std::thread;
use std::vec::Vec;

use cryptoki_sys::*;

use super::call::CallError;
use super::module::Module;
use super::tokens::{PinRole, PinState, TokenName};
use super::uri::Uri;

/// A slot.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Its number; a token that comes back may be in another one.
    pub id: CK_SLOT_ID,
    /// Its description.
    pub description: String,
    /// Its maker.
    pub manufacturer: String,
    /// CKF_HW_SLOT.
    pub hardware: bool,
    /// What is in it.
    pub token: Option<Token>,
}

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its name.
    pub name: TokenName,
    flags: CK_FLAGS,
}

impl Slot {
    /// Reads a slot and its token, if there is one.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn read(module: &Module, id: CK_SLOT_ID) -> Result<Self, CallError> {
        let info = module.slot_info(id)?;
        let mut slot = Self {
            id,
            description: text(&info.slotDescription),
            manufacturer: text(&info.manufacturerID),
            hardware: info.flags & CKF_HW_SLOT != 0,
            token: None,
        };
        if info.flags & CKF_TOKEN_PRESENT != 0 {
            slot.token = match Token::read(module, id) {
                Ok(token) => Some(token),
                Err(error)
                    if error.is(CKR_TOKEN_NOT_PRESENT) || error.is(CKR_TOKEN_NOT_RECOGNIZED) =>
                {
                    None
                }
                Err(error) => return Err(error),
            };
        }
        Ok(slot)
    }

    /// Whether the URI's attributes of slot and token fit.
    pub fn matches(&self, uri: &Uri) -> bool {
        let token = self.token.as_ref().map(|token| &token.name);
        let fits = |wanted: &Option<String>, found: Option<&String>| {
            wanted
                .as_deref()
                .is_none_or(|wanted| found.is_some_and(|found| found == wanted.trim_end()))
        };
        fits(&uri.token, token.map(|token| &token.label))
            && fits(&uri.manufacturer, token.map(|token| &token.manufacturer))
            && fits(&uri.model, token.map(|token| &token.model))
            && fits(&uri.serial, token.map(|token| &token.serial))
            && fits(&uri.slot_description, Some(&self.description))
            && fits(&uri.slot_manufacturer, Some(&self.manufacturer))
            && uri.slot_id.is_none_or(|wanted| wanted == id(self.id))
    }
}

/// SoftHSM fails to read a token whose PIN state another process is writing at that moment.
const RETRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(5);

impl Token {
    /// Reads it.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn read(module: &Module, slot: CK_SLOT_ID) -> Result<Self, CallError> {
        let mut info = module.token_info(slot);
        for _ in 0..RETRIES {
            if !info
                .as_ref()
                .is_err_and(|error| error.is(CKR_GENERAL_ERROR))
            {
                break;
            }
            thread::sleep(PAUSE);
            info = module.token_info(slot);
        }
        let info = info?;
        Ok(Self {
            name: TokenName {
                label: text(&info.label),
                manufacturer: text(&info.manufacturerID),
                model: text(&info.model),
                serial: text(&info.serialNumber),
            },
            flags: info.flags,
        })
    }

    /// Its URI.
    pub fn uri(&self) -> Uri {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        Uri {
            token: given(&self.name.label),
            manufacturer: given(&self.name.manufacturer),
            model: given(&self.name.model),
            serial: given(&self.name.serial),
            ..Uri::default()
        }
    }

    fn has(&self, flag: CK_FLAGS) -> bool {
        self.flags & flag != 0
    }

    /// CKF_TOKEN_INITIALIZED.
    pub fn is_initialized(&self) -> bool {
        self.has(CKF_TOKEN_INITIALIZED)
    }

    /// CKF_LOGIN_REQUIRED.
    pub fn login_required(&self) -> bool {
        self.has(CKF_LOGIN_REQUIRED)
    }

    /// CKF_PROTECTED_AUTHENTICATION_PATH.
    pub fn has_pin_pad(&self) -> bool {
        self.has(CKF_PROTECTED_AUTHENTICATION_PATH)
    }

    /// What it says of the PIN.
    pub fn pin_state(&self, role: PinRole) -> PinState {
        let (locked, last, low, change, missing) = match role {
            PinRole::User | PinRole::Signature => (
                CKF_USER_PIN_LOCKED,
                CKF_USER_PIN_FINAL_TRY,
                CKF_USER_PIN_COUNT_LOW,
                CKF_USER_PIN_TO_BE_CHANGED,
                !self.has(CKF_USER_PIN_INITIALIZED),
            ),
            PinRole::SecurityOfficer => (
                CKF_SO_PIN_LOCKED,
                CKF_SO_PIN_FINAL_TRY,
                CKF_SO_PIN_COUNT_LOW,
                CKF_SO_PIN_TO_BE_CHANGED,
                false,
            ),
        };
        match () {
            () if self.has(locked) => PinState::Locked,
            () if self.has(last) => PinState::FinalTry,
            () if missing => PinState::NotSet,
            () if self.has(change) => PinState::ToBeChanged,
            () if self.has(low) => PinState::CountLow,
            () => PinState::Ok,
        }
    }
}

/// The slots with tokens that the URI means. A slot that cannot be read is none of them: it must not hide
/// the others.
///
/// # Errors
/// [`CallError`], if there is no list of slots.
pub fn matching(module: &Module, uri: &Uri) -> Result<Vec<Slot>, CallError> {
    if !library_matches(module, uri)? {
        return Ok(Vec::new());
    }
    let slots = module.slots(true)?;
    let slots = slots
        .into_iter()
        .filter_map(|id| Slot::read(module, id).ok());
    Ok(slots
        .filter(|slot| slot.token.as_ref().is_some_and(Token::is_initialized))
        .filter(|slot| slot.matches(uri))
        .collect())
}

/// Whether the URI's attributes of the module fit.
///
/// # Errors
/// [`CallError`].
pub fn library_matches(module: &Module, uri: &Uri) -> Result<bool, CallError> {
    if uri.library_description.is_none()
        && uri.library_manufacturer.is_none()
        && uri.library_version.is_none()
    {
        return Ok(true);
    }
    let info = module.info()?;
    let fits = |wanted: &Option<String>, found: &[u8]| {
        wanted
            .as_deref()
            .is_none_or(|wanted| wanted.trim_end() == text(found))
    };
    let version = (info.libraryVersion.major, info.libraryVersion.minor);
    Ok(fits(&uri.library_description, &info.libraryDescription)
        && fits(&uri.library_manufacturer, &info.manufacturerID)
        && uri.library_version.is_none_or(|wanted| wanted == version))
}

/// The module's own description.
///
/// # Errors
/// [`CallError`].
pub fn library_description(module: &Module) -> Result<String, CallError> {
    let info = module.info()?;
    Ok(format!(
        "{} {}.{} ({})",
        text(&info.libraryDescription),
        info.libraryVersion.major,
        info.libraryVersion.minor,
        text(&info.manufacturerID)
    ))
}

/// A slot's number as URIs have it.
#[allow(
    clippy::useless_conversion,
    reason = "CK_ULONG is as long as the platform's `long`"
)]
pub fn id(slot: CK_SLOT_ID) -> u64 {
    slot.into()
}

/// Text of the interface is padded with blanks; some modules end it with a zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    let text = &bytes[..end.unwrap_or(bytes.len())];
    String::from_utf8_lossy(text).trim_end().into()
}

//! The tokens of a module that is loaded into this process.

use std::boxed::Box;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use cryptoki::mechanism::MechanismType;

use super::call::CallError;
use super::choice::token_uri;
use super::error::TokenError;
use super::locate;
use super::login;
use super::module::{Module, Session};
use super::objects;
use super::recovery::look_again;
use super::signer::TokenSigner;
use super::slots::{self, Slot, Token};
use super::tokens::{
    Access, FoundCertificate, FoundKey, FoundSlot, GenerateKey, GeneratedKey, Inventory, OpenKey,
    OpenedKey, Operator, PinRole, PinState, StoreCertificate, Tokens, Warning,
};
use super::uri::{ObjectClass, Uri};
use crate::core::key::KeyKind;
use crate::core::x509;

/// The tokens of a module in this process. The module is initialised once, however many of these there
/// are.
pub struct Local {
    access: Access,
    module: Option<Arc<Module>>,
}

impl Local {
    /// Nothing is loaded before it is needed.
    pub fn new(access: Access) -> Self {
        Self {
            access,
            module: None,
        }
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// The module, and whether it was in use before.
    fn module_in_use(&mut self) -> Result<(Arc<Module>, bool), TokenError> {
        let was_open = self.module.is_some();
        let module = self.module()?;
        // This and the one that is kept here.
        let is_shared = Arc::strong_count(&module) > 2;
        Ok((module, was_open || is_shared))
    }

    pub(super) fn module(&mut self) -> Result<Arc<Module>, TokenError> {
        if let Some(module) = &self.module {
            return Ok(module.clone());
        }
        let module = Module::open(&self.access.module)?;
        Ok(self.module.insert(module).clone())
    }
}

impl Tokens for Local {
    fn open(
        &mut self,
        request: &OpenKey,
        mut operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TokenError> {
        let (module, was_in_use) = self.module_in_use()?;
        let mut located = look_again(&module, was_in_use, || {
            locate::locate(&module, request, &self.access, &mut *operator)
        })?;
        let warnings = judge(&located, request.require_hardware)?;
        let certificates = core::mem::take(&mut located.certificates);
        let uri = located.uri.clone();
        let signer = TokenSigner::new(
            module,
            request.clone(),
            self.access.clone(),
            operator,
            located,
        )?;
        Ok(OpenedKey {
            signer: Box::new(signer),
            uri,
            certificates,
            warnings,
        })
    }

    fn certificates(
        &mut self,
        uri: &Uri,
        operator: &mut dyn Operator,
    ) -> Result<Vec<FoundCertificate>, TokenError> {
        let (module, was_in_use) = self.module_in_use()?;
        let holders = look_again(&module, was_in_use, || {
            locate::certificates(&module, uri, &self.access, operator)
        })?;
        let each = |holder: locate::Holder| {
            let token = token_uri(&holder.slot);
            holder.found.into_iter().map(move |one| FoundCertificate {
                uri: one.uri(token.clone()),
                der: one.der,
            })
        };
        Ok(holders.into_iter().flat_map(each).collect())
    }

    fn inventory(
        &mut self,
        uri: &Uri,
        login: bool,
        operator: &mut dyn Operator,
    ) -> Result<Inventory, TokenError> {
        let module = self.module()?;
        let failed = |error| module.error(error);
        let description = slots::library_description(&module).map_err(failed)?;
        let mut found = Vec::new();
        if slots::library_matches(&module, uri).map_err(failed)? {
            for id in module.slots(false).map_err(failed)? {
                let slot = match Slot::read(&module, id) {
                    Ok(slot) => slot,
                    Err(error) => {
                        found.push(unreadable(id, error));
                        continue;
                    }
                };
                if slot.matches(uri) {
                    found.push(self.describe(&module, slot, uri, login, operator));
                }
            }
        }
        Ok(Inventory {
            module: description,
            slots: found,
        })
    }

    fn generate(
        &mut self,
        request: &GenerateKey,
        operator: &mut dyn Operator,
    ) -> Result<GeneratedKey, TokenError> {
        super::provision::generate(self, request, operator)
    }

    fn store(
        &mut self,
        request: &StoreCertificate,
        operator: &mut dyn Operator,
    ) -> Result<Uri, TokenError> {
        super::provision::store(self, request, operator)
    }
}

impl Local {
    fn describe(
        &self,
        module: &Arc<Module>,
        slot: Slot,
        uri: &Uri,
        login: bool,
        operator: &mut dyn Operator,
    ) -> FoundSlot {
        let mut found = empty(&slot);
        let Some(token) = &slot.token else {
            return found;
        };
        found.token = Some(token.name.clone());
        found.uri = Some(token.uri());
        found.initialized = token.is_initialized();
        found.login_required = token.login_required();
        found.pin_pad = token.has_pin_pad();
        found.user_pin = token.pin_state(PinRole::User);
        found.so_pin = token.pin_state(PinRole::SecurityOfficer);
        if let Err(error) = self.fill(module, &slot, uri, login, operator, &mut found) {
            found.problem = Some(error.to_string());
        }
        found
    }

    fn fill(
        &self,
        module: &Arc<Module>,
        slot: &Slot,
        uri: &Uri,
        login: bool,
        operator: &mut dyn Operator,
        found: &mut FoundSlot,
    ) -> Result<(), TokenError> {
        let failed = |error| module.error(error);
        found.mechanisms = mechanism_names(&module.mechanisms(slot.id).map_err(failed)?);
        if !slot.token.as_ref().is_some_and(Token::is_initialized) {
            return Ok(());
        }
        let session = Session::open(module, slot.id, false).map_err(failed)?;
        // What can be seen without a login is seen whatever becomes of the login.
        list(&session, slot, uri, found).map_err(failed)?;
        let is_out = session.logged_in().map_err(failed)?.is_none();
        if login && found.login_required && is_out {
            login::log_in(&session, PinRole::User, &self.access, operator)?;
            list(&session, slot, uri, found).map_err(failed)?;
            // Other sessions of this process are not left with a login that they did not ask for.
            session.logout().map_err(failed)?;
        }
        Ok(())
    }
}

/// Reads the keys and certificates that the session shows, of the class that the URI names.
fn list(session: &Session, slot: &Slot, uri: &Uri, found: &mut FoundSlot) -> Result<(), CallError> {
    let token = token_uri(slot);
    let mut keys = Vec::new();
    if uri.class != Some(ObjectClass::Certificate) {
        keys = objects::private_keys(session, uri)?;
        keys.retain(|key| key.signs != Some(false));
    }
    let mut certificates = Vec::new();
    if matches!(uri.class, None | Some(ObjectClass::Certificate)) {
        certificates = objects::certificates(session, uri)?;
    }
    let keys = keys.into_iter().map(|key| {
        let public_key = key.public_key(session)?;
        Ok(FoundKey {
            uri: key.uri(token.clone()),
            kind: public_key
                .and_then(|public_key| x509::key_kind(&public_key))
                .map(|kind: KeyKind| kind.to_string()),
            sensitive: key.sensitive,
            extractable: key.extractable,
            always_authenticate: key.always_authenticate,
        })
    });
    found.keys = keys.collect::<Result<_, CallError>>()?;
    let certificates = certificates.into_iter().map(|one| FoundCertificate {
        uri: one.uri(token.clone()),
        der: one.der,
    });
    found.certificates = certificates.collect();
    Ok(())
}

fn empty(slot: &Slot) -> FoundSlot {
    FoundSlot {
        id: slots::id(slot.id),
        description: slot.description.clone(),
        hardware: slot.hardware,
        token: None,
        uri: None,
        initialized: false,
        login_required: false,
        pin_pad: false,
        user_pin: PinState::NotSet,
        so_pin: PinState::NotSet,
        mechanisms: Vec::new(),
        keys: Vec::new(),
        certificates: Vec::new(),
        problem: None,
    }
}

fn unreadable(id: cryptoki_sys::CK_SLOT_ID, error: CallError) -> FoundSlot {
    let slot = Slot {
        id,
        description: String::new(),
        manufacturer: String::new(),
        hardware: false,
        token: None,
    };
    FoundSlot {
        problem: Some(error.to_string()),
        ..empty(&slot)
    }
}

/// The mechanisms that sign or make keys as Roles Anywhere takes them, by name.
fn mechanism_names(mechanisms: &[cryptoki_sys::CK_MECHANISM_TYPE]) -> Vec<String> {
    let known = mechanisms
        .iter()
        .filter_map(|&code| MechanismType::try_from(code).ok())
        .map(|mechanism| mechanism.to_string())
        .filter(|name| {
            name.contains("ECDSA") || name.contains("RSA_PKCS") || name.contains("KEY_PAIR_GEN")
        });
    known.collect()
}

/// What is to be said of a key, and whether it is what `--require-hardware` demands.
fn judge(located: &locate::Located, require_hardware: bool) -> Result<Vec<Warning>, TokenError> {
    let key = &located.key;
    let uri = || located.uri.clone();
    if require_hardware {
        let claims = [
            (located.slot.hardware, "CKF_HW_SLOT"),
            (key.sensitive, "CKA_SENSITIVE"),
            (key.always_sensitive, "CKA_ALWAYS_SENSITIVE"),
            (key.never_extractable, "CKA_NEVER_EXTRACTABLE"),
            (key.local, "CKA_LOCAL"),
        ];
        let missing: Vec<String> = claims
            .iter()
            .filter(|(claimed, _)| !claimed)
            .map(|(_, name)| (*name).into())
            .collect();
        if !missing.is_empty() {
            return Err(TokenError::NotHardware {
                uri: Box::new(uri()),
                missing,
            });
        }
    }
    let mut warnings = Vec::new();
    if key.extractable {
        warnings.push(Warning::Extractable(uri()));
    }
    if !key.sensitive {
        warnings.push(Warning::NotSensitive(uri()));
    }
    if require_hardware {
        warnings.push(Warning::HardwareClaimed(uri()));
    }
    Ok(warnings)
}

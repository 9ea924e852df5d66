//! Making keys in tokens, and storing certificates beside them.

mod generate;
mod store;

pub use generate::generate;
pub use store::store;

use std::boxed::Box;
use std::string::String;
use std::sync::Arc;

use cryptoki_sys::*;

use super::call::CallError;
use super::choice::token_uri;
use super::error::{PinProblem, TokenError};
use super::local::Local;
use super::login;
use super::module::{Module, Session};
use super::slots::{self, Slot, Token};
use super::tokens::{Access, Operator, PinRole, TokenName};
use super::uri::Uri;
use crate::backend::secret::Secret;

/// A token that is open to be changed.
struct Workbench<'a> {
    module: Arc<Module>,
    access: Access,
    operator: &'a mut dyn Operator,
    slot: Slot,
    session: Session,
    role: PinRole,
    /// The user's PIN that the token took just now.
    pin: Option<Secret>,
    /// Whether the login is of this value's making.
    logged_in: bool,
}

impl<'a> Workbench<'a> {
    /// Opens the one token that a URI means, and logs in.
    fn open(
        tokens: &mut Local,
        uri: &Uri,
        role: PinRole,
        operator: &'a mut dyn Operator,
    ) -> Result<Self, TokenError> {
        let module = tokens.module()?;
        let failed = |error| module.error(error);
        let slots = slots::matching(&module, uri).map_err(failed)?;
        let slot = match <[Slot; 1]>::try_from(slots) {
            Ok([slot]) => slot,
            Err(slots) if slots.is_empty() => {
                let all = slots::matching(&module, &Uri::default()).map_err(failed)?;
                return Err(TokenError::NoToken {
                    uri: Box::new(uri.without_query()),
                    present: all.iter().map(token_uri).collect(),
                });
            }
            Err(slots) => {
                return Err(TokenError::SeveralTokens {
                    uri: Box::new(uri.without_query()),
                    matches: slots.iter().map(token_uri).collect(),
                });
            }
        };
        let session = match Session::open(&module, slot.id, true) {
            Ok(session) => session,
            Err(error) if error.is(CKR_TOKEN_WRITE_PROTECTED) => {
                return Err(unsupported(&slot, "be written to", Some(error), ""));
            }
            Err(error) => return Err(failed(error)),
        };
        let access = tokens.access().clone();
        let needed = role == PinRole::SecurityOfficer
            || slot.token.as_ref().is_some_and(Token::login_required);
        let is_in = session.logged_in().map_err(failed)? == Some(role);
        let mut pin = None;
        let logged_in = needed && !is_in;
        if logged_in {
            pin = login::log_in(&session, role, &access, operator)?;
        }
        Ok(Self {
            module,
            access,
            operator,
            slot,
            session,
            role,
            pin,
            logged_in,
        })
    }

    /// The error of a call that was to do `what`; `remedy` says which tool can, if the module cannot.
    fn failed(&self, error: CallError, what: &str, remedy: &str) -> TokenError {
        let cannot = [
            CKR_FUNCTION_NOT_SUPPORTED,
            CKR_MECHANISM_INVALID,
            CKR_TOKEN_WRITE_PROTECTED,
            CKR_ACTION_PROHIBITED,
            CKR_CURVE_NOT_SUPPORTED,
        ];
        if cannot.into_iter().any(|code| error.is(code)) {
            return unsupported(&self.slot, what, Some(error), remedy);
        }
        let is_others = error.is(CKR_USER_NOT_LOGGED_IN) || error.is(CKR_USER_TYPE_INVALID);
        // One of the two is logged in: it has to be the other one.
        match self.role {
            _ if !is_others => self.module.error(error),
            PinRole::SecurityOfficer => {
                let remedy = "leave --so-pin-source out: here it is the user's to do";
                unsupported(
                    &self.slot,
                    "let its security officer do this",
                    Some(error),
                    remedy,
                )
            }
            PinRole::User | PinRole::Signature => TokenError::Pin {
                token: Box::new(name(&self.slot)),
                role: PinRole::SecurityOfficer,
                problem: PinProblem::Needed,
            },
        }
    }
}

impl Drop for Workbench<'_> {
    fn drop(&mut self) {
        if self.logged_in {
            // Other sessions of this process are not left with a login that they did not ask for. If it
            // fails, the session's end is next.
            let _ = self.session.logout();
        }
    }
}

/// Whether a module does not take a template as it is.
fn is_template_refused(error: CallError) -> bool {
    [
        CKR_ATTRIBUTE_TYPE_INVALID,
        CKR_ATTRIBUTE_VALUE_INVALID,
        CKR_ATTRIBUTE_READ_ONLY,
        CKR_TEMPLATE_INCONSISTENT,
    ]
    .into_iter()
    .any(|code| error.is(code))
}

fn name(slot: &Slot) -> TokenName {
    match &slot.token {
        Some(token) => token.name.clone(),
        // It was found by its token.
        None => TokenName {
            label: String::new(),
            manufacturer: String::new(),
            model: String::new(),
            serial: String::new(),
        },
    }
}

fn unsupported(slot: &Slot, what: &str, error: Option<CallError>, remedy: &str) -> TokenError {
    TokenError::Unsupported {
        token: Box::new(name(slot)),
        what: what.into(),
        error,
        remedy: remedy.into(),
    }
}

/// Which family of tools a token is served by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    YubiKey,
    /// A PIV card, or a YubiKey through OpenSC.
    Piv,
    /// A card with a file system of its own, through OpenSC.
    Pkcs15,
    Other,
}

impl Family {
    fn of(slot: &Slot) -> Self {
        Self::named(&name(slot))
    }

    fn named(token: &TokenName) -> Self {
        match () {
            // A YubiHSM is another matter: its keys are in no slots.
            () if token.model.contains("YubiHSM") => Self::Other,
            () if token.manufacturer.contains("Yubico") => Self::YubiKey,
            () if token.manufacturer == "piv_II" => Self::Piv,
            () if token.model.starts_with("PKCS#15") => Self::Pkcs15,
            () => Self::Other,
        }
    }

    /// What makes a key where the module cannot.
    fn generates(self) -> &'static str {
        match self {
            Self::YubiKey | Self::Piv => {
                "make it with `ykman piv keys generate 9a KEY.pem` or `yubico-piv-tool -a generate -s 9a -o \
                 KEY.pem`, or through Yubico's module: --pkcs11-lib libykcs11.so with --so-pin-source"
            }
            Self::Pkcs15 => "make it with `pkcs15-init --generate-key ec:prime256v1 --auth-id 01`",
            Self::Other => "make it with the tool that came with the token, and name it by its URI",
        }
    }

    /// What stores a certificate where the module cannot.
    fn stores(self) -> &'static str {
        match self {
            Self::YubiKey | Self::Piv => {
                "store it with `ykman piv certificates import 9a CERT` or `yubico-piv-tool -a \
                 import-certificate -s 9a -i CERT`, or through Yubico's module: --pkcs11-lib libykcs11.so \
                 with --so-pin-source"
            }
            Self::Pkcs15 => "store it with `pkcs15-init --store-certificate CERT --auth-id 01`",
            Self::Other => {
                "store it with the tool that came with the token; or leave it in its file, and name that with \
                 --certificate"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_of_tokens() {
        for (manufacturer, model, family) in [
            ("Yubico (www.yubico.com)", "YubiKey YK5", Family::YubiKey),
            ("Yubico (www.yubico.com)", "YubiHSM", Family::Other),
            ("piv_II", "PKCS#15 emulated", Family::Piv),
            ("OpenSC Project", "PKCS#15", Family::Pkcs15),
            ("SoftHSM project", "SoftHSM v2", Family::Other),
        ] {
            let token = TokenName {
                label: String::new(),
                manufacturer: manufacturer.into(),
                model: model.into(),
                serial: String::new(),
            };
            assert_eq!(Family::named(&token), family, "{manufacturer} {model}");
        }
    }
}

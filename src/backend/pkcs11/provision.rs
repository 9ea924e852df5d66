//! Making keys in tokens and storing certificates beside them.

use std::boxed::Box;

use super::error::TokenError;
use super::local::Local;
use super::tokens::{GenerateKey, GeneratedKey, Operator, StoreCertificate, TokenName};
use super::uri::Uri;

fn not_yet(what: &str, uri: &Uri) -> TokenError {
    TokenError::Unsupported {
        token: Box::new(TokenName {
            label: uri.token.clone().unwrap_or_default(),
            manufacturer: uri.manufacturer.clone().unwrap_or_default(),
            model: uri.model.clone().unwrap_or_default(),
            serial: uri.serial.clone().unwrap_or_default(),
        }),
        what: what.into(),
        error: None,
        remedy: "use the token's own tool".into(),
    }
}

pub fn generate(
    _tokens: &mut Local,
    request: &GenerateKey,
    _operator: &mut dyn Operator,
) -> Result<GeneratedKey, TokenError> {
    Err(not_yet("make keys yet", &request.uri))
}

pub fn store(
    _tokens: &mut Local,
    request: &StoreCertificate,
    _operator: &mut dyn Operator,
) -> Result<Uri, TokenError> {
    Err(not_yet("store certificates yet", &request.key))
}

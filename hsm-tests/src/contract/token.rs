//! Opening keys in tokens, whatever the module.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keystead::backend::BoxedSigner;
use keystead::backend::pkcs11::{Access, Leaf, Local, OpenKey, Tokens};

use super::Refusal;
use crate::operator::Stored;

/// Opens a key by its URI, or by that of its certificate, through a module in this process.
pub fn open(
    module: impl Into<PathBuf>,
    folder: &Path,
    key: Option<&str>,
    certificate: Option<&str>,
    pin: &str,
) -> Result<BoxedSigner, Refusal> {
    let tokens = Local::new(access(module, folder));
    open_by(tokens, key, certificate, pin)
}

/// The same, wherever the module is.
pub fn open_by(
    mut tokens: impl Tokens,
    key: Option<&str>,
    certificate: Option<&str>,
    pin: &str,
) -> Result<BoxedSigner, Refusal> {
    let uri = |uri: &str| uri.parse().expect("the test's URIs are ones");
    let request = OpenKey {
        key: key.map(uri),
        leaf: match certificate {
            Some(certificate) => Leaf::Token(Box::new(uri(certificate))),
            None => Leaf::None,
        },
        require_hardware: false,
    };
    match tokens.open(&request, Box::new(Stored::new(pin))) {
        Ok(opened) => Ok(opened.signer),
        Err(error) => Err(Refusal {
            concerns_pin: error.concerns_pin(),
            text: error.to_string(),
        }),
    }
}

/// How a module is reached in the test's folder.
pub fn access(module: impl Into<PathBuf>, folder: &Path) -> Access {
    Access {
        module: module.into(),
        state: Some(folder.join("state")),
        reuse_pin: false,
        timeout: Duration::from_secs(30),
    }
}

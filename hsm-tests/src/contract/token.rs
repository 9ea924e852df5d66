//! Opening keys in tokens, whatever the module.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keystead::backend::BoxedSigner;
use keystead::backend::pkcs11::{Access, Leaf, Local, OpenKey, Tokens as _};

use super::Refusal;
use crate::operator::Stored;

/// Opens a key by its URI, or by that of its certificate.
pub fn open(
    module: impl Into<PathBuf>,
    folder: &Path,
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
    let access = Access {
        module: module.into(),
        state: Some(folder.join("state")),
        reuse_pin: false,
        timeout: Duration::from_secs(30),
    };
    match Local::new(access).open(&request, Box::new(Stored::new(pin))) {
        Ok(opened) => Ok(opened.signer),
        Err(error) => Err(Refusal {
            concerns_pin: error.concerns_pin(),
            text: error.to_string(),
        }),
    }
}

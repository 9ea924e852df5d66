//! Opening keys in tokens, whatever the module.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keystead::backend::BoxedSigner;
use keystead::backend::pkcs11::{
    Access, GenerateKey, KeyAlgorithm, Leaf, Local, OpenKey, OpenedKey, PinRole, StoreCertificate,
    Tokens, Uri,
};

use super::{Kind, Refusal, Workshop};
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

/// A token in which keys are made, and their certificates stored beside them.
pub struct TokenWorkshop {
    tokens: Box<dyn Tokens>,
    /// The token's.
    uri: String,
    operator: Stored,
    /// The URIs of the keys that were made, by their labels.
    made: HashMap<&'static str, Uri>,
}

impl TokenWorkshop {
    pub fn new(tokens: impl Tokens + 'static, uri: &str, pin: &str) -> Self {
        Self {
            tokens: Box::new(tokens),
            uri: uri.to_owned(),
            operator: Stored::new(pin),
            made: HashMap::new(),
        }
    }

    #[track_caller]
    fn open(&mut self, key: Option<Uri>, leaf: Leaf) -> OpenedKey {
        let request = OpenKey {
            key,
            leaf,
            require_hardware: false,
        };
        let opened = self.tokens.open(&request, Box::new(self.operator.clone()));
        opened.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Workshop for TokenWorkshop {
    fn kinds(&self) -> &[Kind] {
        &[Kind::P256, Kind::P384, Kind::P521, Kind::Rsa2048]
    }

    fn make(&mut self, kind: Kind) -> Vec<u8> {
        let label = kind.label();
        let uri = format!("{};object=made-{label}", self.uri);
        let request = GenerateKey {
            uri: uri.parse().expect("the test's URIs are ones"),
            algorithm: match kind {
                Kind::P256 => KeyAlgorithm::P256,
                Kind::P384 => KeyAlgorithm::P384,
                Kind::P521 => KeyAlgorithm::P521,
                Kind::Rsa2048 => KeyAlgorithm::Rsa(2048),
                Kind::Rsa3072 => KeyAlgorithm::Rsa(3072),
                Kind::Rsa4096 => KeyAlgorithm::Rsa(4096),
            },
            allow_duplicate: false,
            role: PinRole::User,
        };
        let made = self.tokens.generate(&request, &mut self.operator);
        let made = made.unwrap_or_else(|error| panic!("{label}: {error}"));
        self.made.insert(label, made.uri);
        made.public_key
    }

    /// By the key's URI, and by its certificate's.
    fn open(&mut self, kind: Kind, certificate: &[u8], hand_on: &mut dyn FnMut(BoxedSigner)) {
        let label = kind.label();
        let key = self.made[label].clone();
        let store = StoreCertificate {
            key: key.clone(),
            certificate: certificate.to_vec(),
            replace: false,
            role: PinRole::User,
        };
        let stored = self.tokens.store(&store, &mut self.operator);
        let stored = stored.unwrap_or_else(|error| panic!("{label}: {error}"));
        let by_key = self.open(Some(key), Leaf::None);
        let by_certificate = self.open(None, Leaf::Token(Box::new(stored)));
        // Others of the token may follow.
        let leaf = by_certificate.certificates.first();
        assert!(leaf.is_some_and(|leaf| leaf == certificate), "{label}");
        hand_on(by_key.signer);
        hand_on(by_certificate.signer);
    }
}

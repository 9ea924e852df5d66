//! Both sides of the conversation between `keystead` and `keystead-signer`.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::time::Duration;

use keystead::backend::isolated::{ChannelError, Isolated, Starter, Worker};
use keystead::backend::pkcs11::{
    Access, FoundCertificate, GenerateKey, GeneratedKey, Inventory, Leaf, Notice, OpenKey,
    OpenedKey, Operator, PinRequest, PinRole, PinState, StoreCertificate, TokenError, TokenName,
    Tokens, Uri,
};
use keystead::backend::secret::{Secret, SecretError};
use keystead::core::key::{KeyKind, Scheme, SignError, Signer};

/// What each side says first.
static GREETING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (mut said, output) = io::pipe().expect("there are pipes");
    serve(nothing(), output.into()).expect("the end is no error");
    let mut greeting = Vec::new();
    said.read_to_end(&mut greeting).expect("pipes can be read");
    greeting
});

fn serve(input: OwnedFd, output: OwnedFd) -> Result<(), ChannelError> {
    Worker::new(input, output).tokens(|_| Pretended).serve()
}

/// What a worker hears after the greeting.
pub fn isolated_request(data: &[u8]) {
    if let Err(error) = serve(saying(&GREETING, data), nothing()) {
        assert!(!error.to_string().is_empty());
    }
}

/// What a client hears after the greeting: when it opens a key and signs, and when it asks what there
/// is.
pub fn isolated_answer(data: &[u8]) {
    let data = data.to_vec();
    let starter = Starter::from_fn(move || Ok((saying(&GREETING, &data), nothing())));
    let access = Access {
        module: "module.so".into(),
        state: None,
        reuse_pin: false,
        timeout: Duration::from_secs(5),
    };
    let mut tokens = Isolated::new(starter, access);
    let request = OpenKey {
        key: Some(Uri::default()),
        leaf: Leaf::None,
        require_hardware: false,
    };
    match tokens.open(&request, Box::new(Nobody)) {
        Ok(mut opened) => {
            let mut out = [0; 80];
            if let Ok(len) = opened
                .signer
                .sign(Scheme::EcdsaSha256, b"message", &mut out)
            {
                assert!(len <= out.len());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Err(error) = tokens.inventory(&Uri::default(), true, &mut Nobody) {
        assert!(!error.to_string().is_empty());
    }
}

/// A pipe in which a greeting and these bytes are, and then its end. What a pipe does not hold is cut
/// off.
pub fn saying(greeting: &[u8], data: &[u8]) -> OwnedFd {
    const ROOM: usize = 60_000;
    let (said, mut output) = io::pipe().expect("there are pipes");
    let said_first = [greeting, &data[..data.len().min(ROOM)]].concat();
    output.write_all(&said_first).expect("a pipe holds 64 KiB");
    said.into()
}

/// Nothing to read, and what is written is lost.
pub fn nothing() -> OwnedFd {
    let both = File::options().read(true).write(true).open("/dev/null");
    both.expect("/dev/null can be opened").into()
}

struct Nobody;

impl Operator for Nobody {
    fn pin(&mut self, _: &PinRequest) -> Result<Option<Secret>, SecretError> {
        Ok(Some(Secret::new(b"1234".to_vec())))
    }

    fn is_person(&self) -> bool {
        false
    }

    fn notify(&mut self, _: &Notice) {}
}

/// Tokens that ask for a PIN, and take any.
struct Pretended;

struct Key(Box<dyn Operator>);

fn ask(operator: &mut dyn Operator) -> Result<(), TokenError> {
    let token = TokenName {
        label: "token".into(),
        manufacturer: String::new(),
        model: String::new(),
        serial: "1".into(),
    };
    operator.notify(&Notice::Touch(token.clone()));
    let request = PinRequest {
        token,
        role: PinRole::User,
        state: PinState::Ok,
        refused: false,
    };
    match operator.pin(&request) {
        Ok(_) => Ok(()),
        Err(error) => Err(TokenError::Signer {
            reason: error.to_string(),
        }),
    }
}

impl Tokens for Pretended {
    fn open(
        &mut self,
        request: &OpenKey,
        mut operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TokenError> {
        ask(&mut *operator)?;
        Ok(OpenedKey {
            signer: Box::new(Key(operator)),
            uri: request.key.clone().unwrap_or_default(),
            certificates: vec![vec![1, 2, 3]],
            warnings: Vec::new(),
        })
    }

    fn certificates(
        &mut self,
        uri: &Uri,
        operator: &mut dyn Operator,
    ) -> Result<Vec<FoundCertificate>, TokenError> {
        ask(operator)?;
        let uri = uri.clone();
        Ok(vec![FoundCertificate { uri, der: vec![1] }])
    }

    fn inventory(
        &mut self,
        uri: &Uri,
        _: bool,
        operator: &mut dyn Operator,
    ) -> Result<Inventory, TokenError> {
        ask(operator)?;
        Ok(Inventory {
            module: uri.to_string(),
            slots: Vec::new(),
        })
    }

    fn generate(
        &mut self,
        request: &GenerateKey,
        operator: &mut dyn Operator,
    ) -> Result<GeneratedKey, TokenError> {
        ask(operator)?;
        Ok(GeneratedKey {
            uri: request.uri.clone(),
            public_key: vec![1],
        })
    }

    fn store(
        &mut self,
        request: &StoreCertificate,
        operator: &mut dyn Operator,
    ) -> Result<Uri, TokenError> {
        ask(operator)?;
        Ok(request.key.clone())
    }
}

impl Signer for Key {
    fn key(&self) -> KeyKind {
        KeyKind::P256
    }

    fn public_key(&self) -> &[u8] {
        PUBLIC_KEY
    }

    fn sign(&mut self, _: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        ask(&mut *self.0).map_err(|_| SignError::PinNeeded)?;
        let len = message.len().min(out.len());
        out[..len].copy_from_slice(&message[..len]);
        Ok(len)
    }
}

/// P-256's generator as a `SubjectPublicKeyInfo`.
pub const PUBLIC_KEY: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1,
    0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d,
    0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe,
    0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b,
    0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

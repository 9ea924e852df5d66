//! Both sides of the conversation between `keystead` and a `keystead-signer` with a TPM.

use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::time::Duration;

use keystead::backend::isolated::{ChannelError, IsolatedTpm, Starter, Worker};
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::tpm::{
    Access, AuthRequest, Device, Done, KeyPlace, Object, OpenKey, OpenedKey, Operator, Task,
    TpmError,
};
use keystead::core::key::{KeyKind, Scheme, SignError, Signer};

use super::isolated::{PUBLIC_KEY, nothing, saying};

/// What each side says first.
static GREETING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (mut said, output) = io::pipe().expect("there are pipes");
    serve(nothing(), output.into()).expect("the end is no error");
    let mut greeting = Vec::new();
    said.read_to_end(&mut greeting).expect("pipes can be read");
    greeting
});

fn serve(input: OwnedFd, output: OwnedFd) -> Result<(), ChannelError> {
    Worker::new(input, output).tpm(|_| Pretended).serve()
}

/// What a worker hears after the greeting.
pub fn request(data: &[u8]) {
    if let Err(error) = serve(saying(&GREETING, data), nothing()) {
        assert!(!error.to_string().is_empty());
    }
}

/// What a client hears after the greeting: when it opens a key and signs, and when it asks for the
/// status.
pub fn answer(data: &[u8]) {
    let data = data.to_vec();
    let starter = Starter::from_fn(move || Ok((saying(&GREETING, &data), nothing())));
    let access = Access {
        tcti: "device:/dev/tpmrm0".into(),
        state: None,
        plain_auth: false,
        timeout: Duration::from_secs(5),
    };
    let mut tpm = IsolatedTpm::new(starter, access);
    let request = OpenKey {
        key: KeyPlace::Handle(0x8100_0011),
        certificates: Vec::new(),
        salt: None,
    };
    match tpm.open(&request, Box::new(Nobody)) {
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
    if let Err(error) = tpm.perform(&Task::Status, &mut Nobody) {
        assert!(!error.to_string().is_empty());
    }
}

struct Nobody;

impl Operator for Nobody {
    fn auth(&mut self, _: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        Ok(Some(Secret::new(b"auth".to_vec())))
    }

    fn is_person(&self) -> bool {
        false
    }
}

/// A TPM that asks for an auth value, and takes any.
struct Pretended;

struct Key(Box<dyn Operator>);

fn ask(operator: &mut dyn Operator) -> Result<(), TpmError> {
    let request = AuthRequest {
        of: Object::Key,
        name: "tpm:handle=0x81000011".into(),
        refused: false,
        may_be_empty: false,
    };
    match operator.auth(&request) {
        Ok(_) => Ok(()),
        Err(error) => Err(TpmError::Signer {
            reason: error.to_string(),
        }),
    }
}

impl Device for Pretended {
    fn open(
        &mut self,
        _: &OpenKey,
        mut operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TpmError> {
        ask(&mut *operator)?;
        Ok(OpenedKey {
            signer: Box::new(Key(operator)),
            name: vec![0, 0x0b, 1, 2, 3],
            warnings: Vec::new(),
        })
    }

    fn perform(&mut self, task: &Task, operator: &mut dyn Operator) -> Result<Done, TpmError> {
        ask(operator)?;
        Err(TpmError::Unsupported {
            what: format!("{task:?}"),
            remedy: String::new(),
        })
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

//! Holds a key open through `keystead-signer`, as a daemon does, for tests that end one or the other:
//! `key-holder direct|launcher SIGNER MODULE STATE KEY [WITHOUT]`; with a key in a TPM, a `tpm:` URI, its
//! TCTI in the module's place. Says `open`, then signs each line that it reads, and says `signed` or why
//! not.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hsm_tests::StoredPin;
use keystead::backend::BoxedSigner;
use keystead::backend::isolated::{Environment, Isolated, IsolatedTpm, Launcher, Starter};
use keystead::backend::pkcs11::{self, Leaf, Tokens as _};
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::tpm::{self, AuthRequest, Device as _, KeyName, KeyPlace, Object};
use keystead::core::key::{MAX_SIGNATURE_LEN, Signer as _};

const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().ok_or("an argument is missing");
    let (way, signer, place) = (next()?, PathBuf::from(next()?), next()?);
    let (state, key) = (PathBuf::from(next()?), next()?);
    let environment = Environment {
        without: arguments.collect(),
        quiet: env::var_os("TSS2_LOG").is_none(),
    };
    let starter = match way.as_str() {
        "direct" => Starter::direct(signer, environment),
        _ => Starter::launcher(Launcher::start(&signer, &environment)?),
    };
    let mut signer = match key.starts_with("tpm:") {
        true => open_tpm(starter, place, state, &key)?,
        false => open_token(starter, place, state, &key)?,
    };
    let scheme = signer.key().roles_anywhere_scheme();
    println!("open");
    for line in io::stdin().lines() {
        let mut signature = [0; MAX_SIGNATURE_LEN];
        match signer.sign(scheme, line?.as_bytes(), &mut signature) {
            Ok(_) => println!("signed"),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

fn open_token(
    starter: Starter,
    module: String,
    state: PathBuf,
    key: &str,
) -> Result<BoxedSigner, Box<dyn Error>> {
    let access = pkcs11::Access {
        module: module.into(),
        state: Some(state),
        reuse_pin: false,
        timeout: TIMEOUT,
    };
    let request = pkcs11::OpenKey {
        key: Some(key.parse()?),
        leaf: Leaf::None,
        require_hardware: false,
    };
    let opened = Isolated::new(starter, access).open(&request, Box::new(StoredPin))?;
    Ok(opened.signer)
}

fn open_tpm(
    starter: Starter,
    tcti: String,
    state: PathBuf,
    key: &str,
) -> Result<BoxedSigner, Box<dyn Error>> {
    let access = tpm::Access {
        tcti,
        state: Some(state),
        plain_auth: false,
        timeout: TIMEOUT,
    };
    let uri: tpm::Uri = key.parse()?;
    let request = tpm::OpenKey {
        key: match uri.key {
            KeyName::Handle(handle) => KeyPlace::Handle(handle),
            KeyName::File(file) => KeyPlace::File {
                contents: fs::read(&file)?,
                name: file.display().to_string(),
            },
        },
        certificates: Vec::new(),
        salt: uri.salt,
    };
    let opened = IsolatedTpm::new(starter, access).open(&request, Box::new(StoredAuth))?;
    Ok(opened.signer)
}

/// The auth value that the tests' keys have.
struct StoredAuth;

impl tpm::Operator for StoredAuth {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        Ok((request.of == Object::Key).then(|| Secret::new(b"keypin".to_vec())))
    }

    fn is_person(&self) -> bool {
        false
    }
}

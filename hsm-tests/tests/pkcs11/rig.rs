//! A token behind the module that fails on a schedule, and keystead before it, in this process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hsm_tests::alone::{alone, my_part, part};
use hsm_tests::operator::Stored;
use hsm_tests::softhsm::{CONFIGURATION, MODULE, PIN, configuration};
use hsm_tests::{FaultModule, SoftHsm, program};
use keystead::backend::BoxedSigner;
use keystead::backend::pkcs11::{
    Access, Leaf, Local, OpenKey, OpenedKey, Operator, TokenError, Tokens,
};
use keystead::backend::signature;
use keystead::core::key::{KeyKind, SignError, Signer};

/// The token's label, and the label and CKA_ID of the key that is in it.
pub const TOKEN: &str = "rig";
pub const LABEL: &str = "key";
pub const ID: u8 = 1;

pub struct Rig {
    pub hsm: SoftHsm,
    pub module: FaultModule,
}

impl Rig {
    /// Runs a test in a process of its own. `other` is what the processes do that it starts by
    /// [`others`]; what it gives is their answer.
    #[track_caller]
    pub fn run(test: impl FnOnce(Self), other: impl FnOnce(&Path, &str) -> String) {
        alone(
            |folder| vec![(CONFIGURATION, configuration(folder).into())],
            |folder| match my_part() {
                None => test(Self::new(folder)),
                Some(part) => {
                    let answer = other(folder, &part);
                    let file = folder.join(format!("answer-{}", std::process::id()));
                    fs::write(file, answer).expect("the test's folder can be written to");
                }
            },
        );
    }

    fn new(folder: &Path) -> Self {
        let hsm = SoftHsm::at(folder, TOKEN);
        program::private_key("EC:P-256", &folder.join("key.pem"));
        let rig = Self {
            module: FaultModule::new(folder, "fault", MODULE),
            hsm,
        };
        rig.import_key();
        rig
    }

    /// The private key that is in the token, as a file.
    pub fn key_file(&self) -> PathBuf {
        self.hsm.folder().join("key.pem")
    }

    pub fn import_key(&self) {
        self.hsm.import(&self.key_file(), ID, LABEL);
    }

    pub fn access(&self) -> Access {
        access(self.hsm.folder())
    }

    /// Opens the key with a PIN that is stored.
    pub fn open(&self, pin: &str) -> Result<OpenedKey, TokenError> {
        self.open_by(Stored::new(pin))
    }

    pub fn open_by(&self, operator: impl Operator + 'static) -> Result<OpenedKey, TokenError> {
        open(&self.access(), operator)
    }

    /// A signer of the key.
    #[track_caller]
    pub fn signer(&self) -> BoxedSigner {
        self.open(PIN)
            .map(|key| key.signer)
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// How the rig's token is reached, also by its other processes.
pub fn access(folder: &Path) -> Access {
    Access {
        module: folder.join("fault/module.so"),
        state: Some(folder.join("state")),
        reuse_pin: false,
        timeout: Duration::from_secs(30),
    }
}

pub fn open(access: &Access, operator: impl Operator + 'static) -> Result<OpenedKey, TokenError> {
    open_uri(
        access,
        &format!("pkcs11:token={TOKEN};object={LABEL};type=private"),
        operator,
    )
}

pub fn open_uri(
    access: &Access,
    uri: &str,
    operator: impl Operator + 'static,
) -> Result<OpenedKey, TokenError> {
    request(access, uri, Leaf::None, operator)
}

/// Opens the key of a certificate (DER).
pub fn open_with_leaf(
    access: &Access,
    uri: &str,
    certificate: &Path,
    operator: impl Operator + 'static,
) -> Result<OpenedKey, TokenError> {
    let certificate = fs::read(certificate).expect("the certificate is there");
    request(access, uri, Leaf::OneOf(vec![certificate]), operator)
}

fn request(
    access: &Access,
    uri: &str,
    leaf: Leaf,
    operator: impl Operator + 'static,
) -> Result<OpenedKey, TokenError> {
    let request = OpenKey {
        key: Some(uri.parse().expect("the test's URIs are ones")),
        leaf,
        require_hardware: false,
    };
    Local::new(access.clone()).open(&request, Box::new(operator))
}

/// Why a key does not open.
#[track_caller]
pub fn refusal(opened: Result<OpenedKey, TokenError>) -> TokenError {
    match opened {
        Ok(_) => panic!("the key opens"),
        Err(error) => error,
    }
}

/// Signs, and verifies the signature. ECDSA with SHA-256, or RSA PKCS#1 with SHA-256.
pub fn sign(signer: &mut (impl Signer + ?Sized)) -> Result<(), SignError> {
    let scheme = signer.key().roles_anywhere_scheme();
    let message = b"what is to be signed";
    let mut signature = [0; 512];
    let len = signer.sign(scheme, message, &mut signature)?;
    assert!(len <= KeyKind::max_signature_len(signer.key()));
    signature::verify(signer.public_key(), scheme, message, &signature[..len])
        .expect("the signature is one of the key's");
    Ok(())
}

/// Starts that many processes of the test at once, and gives their answers.
pub fn others(folder: &Path, count: usize, name: &str) -> Vec<String> {
    let start = |_| {
        part(name)
            .stdin(Stdio::null())
            .spawn()
            .expect("a process can be started")
    };
    let processes: Vec<_> = (0..count).map(start).collect();
    let mut answers = Vec::new();
    for mut process in processes {
        let answer = folder.join(format!("answer-{}", process.id()));
        let status = process.wait().expect("it is our process");
        answers.push(match fs::read_to_string(answer) {
            Ok(answer) => answer,
            Err(_) => format!("no answer: {status}"),
        });
    }
    answers
}

/// What an attempt to open came to, for an answer.
pub fn outcome(opened: Result<OpenedKey, TokenError>) -> String {
    match opened {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    }
}

//! Keys in `TSS2 PRIVATE KEY` files, as other programs write them.

mod layouts;
mod made;
mod openssl;
mod policy;
mod tools;
mod wrong;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hsm_tests::Swtpm;
use hsm_tests::program::{command, run};
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::tpm::{
    AuthRequest, Device as _, KeyPlace, Object, OpenKey, Operator, TpmError,
};
use keystead::core::key::{KeyKind, Scheme, Signer as _};

/// The auth values that are stored somewhere.
#[derive(Debug, Clone, Copy, Default)]
struct Stored {
    key: Option<&'static str>,
    parent: Option<&'static str>,
    owner: Option<&'static str>,
}

const NONE: Stored = Stored {
    key: None,
    parent: None,
    owner: None,
};

impl Operator for Stored {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        let value = match request.of {
            Object::Key => self.key,
            Object::Parent => self.parent,
            Object::Owner => self.owner,
            Object::Endorsement => None,
        };
        Ok(value.map(|value| Secret::new(value.as_bytes().to_vec())))
    }

    fn is_person(&self) -> bool {
        false
    }
}

const MESSAGE: &[u8] = b"what is signed";

/// Opens the key of a file, signs with it, and has OpenSSL verify the signature. Nothing is left in the
/// TPM then, whatever came of it.
#[track_caller]
fn sign(tpm: &Swtpm, file: &Path, stored: Stored) -> Result<(), TpmError> {
    let result = open_and_sign(tpm, file, stored);
    tpm.assert_nothing_left();
    result
}

fn open_and_sign(tpm: &Swtpm, file: &Path, stored: Stored) -> Result<(), TpmError> {
    open_with(tpm, file, stored)
}

fn open_with(tpm: &Swtpm, file: &Path, operator: impl Operator + 'static) -> Result<(), TpmError> {
    let request = OpenKey {
        key: KeyPlace::File {
            name: file.display().to_string(),
            contents: fs::read(tpm.folder().join(file)).expect("the file is there"),
        },
        certificates: Vec::new(),
        salt: None,
    };
    let mut opened = crate::device(tpm.access()).open(&request, Box::new(operator))?;
    let scheme = match opened.signer.key() {
        KeyKind::Rsa { .. } => Scheme::RsaPkcs1Sha256,
        _ => Scheme::EcdsaSha256,
    };
    let mut out = [0; 512];
    let len = match opened.signer.sign(scheme, MESSAGE, &mut out) {
        Ok(len) => len,
        Err(error) => panic!("{error}"),
    };
    verify(tpm, opened.signer.public_key(), &out[..len]);
    Ok(())
}

/// Has OpenSSL verify a signature of the message with SHA-256.
#[track_caller]
fn verify(tpm: &Swtpm, public_key: &[u8], signature: &[u8]) {
    let write = |name: &str, contents: &[u8]| {
        let file = tpm.folder().join(name);
        fs::write(&file, contents).expect("the test's folder can be written to");
        file
    };
    let mut dgst = command("openssl");
    dgst.args(["dgst", "-sha256", "-keyform", "DER", "-verify"])
        .arg(write("public.der", public_key))
        .arg("-signature")
        .arg(write("signature", signature))
        .arg(write("message", MESSAGE));
    assert_eq!(run(&mut dgst).success(), "Verified OK\n");
}

/// A command of OpenSSL's with tpm2-openssl.
fn with_provider(tpm: &Swtpm, name: &str) -> Command {
    let mut openssl = tpm.command("openssl");
    openssl
        .arg(name)
        .args(["-provider", "tpm2", "-provider", "default"])
        .args(["-propquery", "?provider=tpm2"]);
    openssl
}

/// Has tpm2-openssl make a key: its algorithm as `genpkey` has it, and more options for it.
#[track_caller]
pub fn genpkey(tpm: &Swtpm, algorithm: &str, options: &[&str]) -> PathBuf {
    let mut genpkey = with_provider(tpm, "genpkey");
    let (name, option) = match algorithm.split_once(':') {
        Some(("EC", curve)) => ("EC", format!("group:{curve}")),
        Some(("RSA", bits)) => ("RSA", format!("bits:{bits}")),
        _ => panic!("{algorithm} is neither EC:CURVE nor RSA:BITS"),
    };
    genpkey.args(["-algorithm", name, "-pkeyopt", &option]);
    for option in options {
        genpkey.args(["-pkeyopt", option]);
    }
    run(genpkey.args(["-out", "key.tss2"])).success();
    tpm.assert_nothing_left();
    "key.tss2".into()
}

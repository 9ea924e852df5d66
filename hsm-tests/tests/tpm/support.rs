//! What the tests have in common.

use hsm_tests::Swtpm;
use keystead::backend::BoxedSigner;
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::signature::verify;
use keystead::backend::tpm::{
    Access, AuthRequest, Device as _, KeyPlace, Object, OpenKey, OpenedKey, Operator, SaltKey,
    TpmError,
};
use keystead::core::key::{Scheme, SignError, Signer as _};

/// The handle of the key in most tests.
pub const HANDLE: u32 = 0x8100_0011;

/// The storage root key's.
pub const SRK: u32 = 0x8100_0001;

/// A key's auth value that is stored somewhere; or none.
pub struct Stored(pub Option<&'static str>);

impl Operator for Stored {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        let secret = |auth: &str| Secret::new(auth.as_bytes().to_vec());
        Ok(self.0.filter(|_| request.of == Object::Key).map(secret))
    }

    fn is_person(&self) -> bool {
        false
    }
}

/// The key at [`HANDLE`], of which nothing else is known.
pub fn request() -> OpenKey {
    OpenKey {
        key: KeyPlace::Handle(HANDLE),
        certificates: Vec::new(),
        salt: None,
    }
}

/// The key of a file in a TPM's folder.
pub fn file(tpm: &Swtpm, name: &str) -> OpenKey {
    OpenKey {
        key: KeyPlace::File {
            name: name.to_owned(),
            contents: std::fs::read(tpm.folder().join(name)).unwrap(),
        },
        ..request()
    }
}

/// What says that sessions are salted to the storage root key.
#[track_caller]
pub fn salt(tpm: &Swtpm) -> SaltKey {
    let name = tpm.tool(&format!("readpublic -c {SRK:#x} -n name.bin"));
    assert!(name.contains("name:"), "{name}");
    SaltKey {
        handle: SRK,
        name: std::fs::read(tpm.folder().join("name.bin")).unwrap(),
    }
}

pub fn open(
    access: &Access,
    request: &OpenKey,
    auth: Option<&'static str>,
) -> Result<OpenedKey, TpmError> {
    crate::device(access.clone()).open(request, Box::new(Stored(auth)))
}

/// Signs, and says what of.
pub fn sign(signer: &mut BoxedSigner, scheme: Scheme) -> Result<Vec<u8>, SignError> {
    let mut out = vec![0; signer.key().max_signature_len()];
    let len = signer.sign(scheme, b"message", &mut out)?;
    out.truncate(len);
    Ok(out)
}

/// Signs, and verifies what came of it.
#[track_caller]
pub fn signs(signer: &mut BoxedSigner, scheme: Scheme) {
    let signature = sign(signer, scheme).unwrap();
    verify(signer.public_key(), scheme, b"message", &signature).unwrap();
}

/// A certificate for the signer's key, by nobody in particular: the TPM's own user has no other way to
/// say which key is meant.
#[track_caller]
pub fn certificate(tpm: &Swtpm, public_key: &[u8]) -> Vec<u8> {
    let folder = tpm.folder();
    std::fs::write(folder.join("key.der"), public_key).unwrap();
    let run = |line: &str| {
        let mut command = tpm.command("openssl");
        hsm_tests::run(command.args(line.split(' '))).success();
    };
    run("ecparam -name prime256v1 -genkey -noout -out ca.pem");
    run(
        "x509 -new -force_pubkey key.der -key ca.pem -subj /CN=hub -days 1 -outform DER -out leaf.der",
    );
    std::fs::read(folder.join("leaf.der")).unwrap()
}

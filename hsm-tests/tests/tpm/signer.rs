//! Signatures by keys at persistent handles.

use hsm_tests::Swtpm;
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::signature::verify;
use keystead::backend::tpm::{AuthRequest, Device as _, KeyPlace, Local, OpenKey, Operator};
use keystead::core::key::{Scheme, Signer as _};

struct Stored(&'static str);

impl Operator for Stored {
    fn auth(&mut self, _: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        Ok(Some(Secret::new(self.0.as_bytes().to_vec())))
    }

    fn is_person(&self) -> bool {
        false
    }
}

#[test]
fn a_key_at_a_handle_signs() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|sign", "keypin", 0x8100_0011);
    let request = OpenKey {
        key: KeyPlace::Handle(0x8100_0011),
        certificates: Vec::new(),
        salt: None,
    };
    let mut device = Local::new(tpm.access());
    let mut opened = device.open(&request, Box::new(Stored("keypin"))).unwrap();
    let mut out = [0; 72];
    let message = b"message";
    let len = opened
        .signer
        .sign(Scheme::EcdsaSha256, message, &mut out)
        .unwrap();
    let public_key = opened.signer.public_key();
    verify(public_key, Scheme::EcdsaSha256, message, &out[..len]).unwrap();
}

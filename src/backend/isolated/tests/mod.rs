//! Clients and workers over real pipes.

#[cfg(feature = "pkcs11")]
mod fake_tokens;
#[cfg(feature = "tpm-direct")]
mod fake_tpm;
#[cfg(feature = "pkcs11")]
mod tokens;
#[cfg(feature = "tpm-direct")]
mod tpm;

use core::time::Duration;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::vec::Vec;

use p256::elliptic_curve::sec1::ToSec1Point as _;

use super::Starter;
use crate::backend::BoxedSigner;
use crate::core::key::{Scheme, SignError, Signer as _};

const TIMEOUT: Duration = Duration::from_secs(1);
const ECDSA: Scheme = Scheme::EcdsaSha256;

/// A `SubjectPublicKeyInfo` for P-256, up to the point.
const P256_INFO: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 3, 1, 7, 3, 0x42, 0,
];

fn public_key(number: u32) -> Vec<u8> {
    let number = u8::try_from(number).unwrap() + 1;
    let secret = p256::SecretKey::from_slice(&[number; 32]).unwrap();
    let point = secret.public_key().to_sec1_point(false);
    [P256_INFO, point.as_bytes()].concat()
}

fn sign(signer: &mut BoxedSigner) -> Result<Vec<u8>, SignError> {
    let mut out = [0; 72];
    let len = signer.sign(ECDSA, b"message", &mut out)?;
    Ok(out[..len].to_vec())
}

/// What the pretended signers make of it without a person.
const SIGNED: &[u8] = b"\0message";

/// Starts workers that say these bytes, and nothing else.
fn saying(bytes: &[u8]) -> Starter {
    let bytes = bytes.to_vec();
    let kept = Mutex::new(Vec::<OwnedFd>::new());
    Starter::from_fn(move || {
        let (their_input, output) = io::pipe()?;
        let (input, mut their_output) = io::pipe()?;
        io::Write::write_all(&mut their_output, &bytes)?;
        kept.lock().unwrap().push(their_input.into());
        Ok((input.into(), output.into()))
    })
}

//! Attestation: a certificate which says that a key was made in this card, signed by the key of slot f9.

use crate::applet::VERSION;
use crate::key::{P256, SlotKey, pin_policy, touch_policy};
use crate::state::State;
use crate::tlv::tlv;
use sha2::{Digest as _, Sha256};

/// The slot of the key that attests.
pub const SLOT: u8 = 0xf9;
/// Where its certificate lies.
const CERTIFICATE: u32 = 0x5f_ff01;

/// 1.3.6.1.4.1.41482.3, Yubico's arc for PIV; its extensions lie below.
const YUBICO_PIV: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xc4, 0x0a, 0x03];
/// ecdsa-with-SHA256.
const ECDSA_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// id-at-commonName.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The attesting key and its certificate, as they come from the factory. (A YubiKey's is RSA; P-256 is
/// made faster.)
pub fn provision(state: &mut State) -> Option<()> {
    let key = SlotKey::generate(P256, pin_policy::NEVER, touch_policy::NEVER)?;
    let name = name("Yubico PIV Attestation");
    let basic_constraints = tlv(0x30, &[tlv(0x01, &[0xff]), tlv(0x02, &[0])].concat());
    let extensions = extension(&[0x55, 0x1d, 0x13], &basic_constraints);
    let certificate = certificate(&name, &name, &key.public, &extensions, &key)?;
    state.objects.insert(
        CERTIFICATE,
        [tlv(0x70, &certificate), tlv(0x71, &[0]), tlv(0xfe, &[])].concat(),
    );
    state.keys.insert(SLOT, key);
    Some(())
}

/// The certificate for the key of a slot, if it was made there.
pub fn attest(state: &State, slot: u8) -> Option<Vec<u8>> {
    let key = state.keys.get(&slot).filter(|key| key.is_generated)?;
    let attesting = state.keys.get(&SLOT)?;
    let extensions = [
        yubico_extension(3, &VERSION),
        yubico_extension(7, &tlv(0x02, &positive(&state.serial.to_be_bytes()))),
        yubico_extension(8, &[key.pin_policy, key.touch_policy]),
        yubico_extension(9, &[0x01]),
    ]
    .concat();
    let subject = name(&format!("YubiKey PIV Attestation {slot:x}"));
    let issuer = name("Yubico PIV Attestation");
    certificate(&subject, &issuer, &key.public, &extensions, attesting)
}

/// An X.509 certificate (RFC 5280 section 4.1).
fn certificate(
    subject: &[u8],
    issuer: &[u8],
    public_key: &[u8],
    extensions: &[u8],
    signer: &SlotKey,
) -> Option<Vec<u8>> {
    let algorithm = tlv(0x30, &tlv(0x06, &ECDSA_SHA256));
    let validity = [tlv(0x17, b"160314000000Z"), tlv(0x18, b"20520417000000Z")].concat();
    let serial = &Sha256::digest(public_key)[..15];
    let tbs = tlv(
        0x30,
        &[
            tlv(0xa0, &tlv(0x02, &[2])),
            tlv(0x02, &positive(serial)),
            algorithm.clone(),
            issuer.to_vec(),
            tlv(0x30, &validity),
            subject.to_vec(),
            public_key.to_vec(),
            tlv(0xa3, &tlv(0x30, extensions)),
        ]
        .concat(),
    );
    let signature = signer.sign(&Sha256::digest(&tbs))?;
    let signature = tlv(0x03, &[&[0][..], &signature].concat());
    Some(tlv(0x30, &[tbs, algorithm, signature].concat()))
}

fn name(common_name: &str) -> Vec<u8> {
    let value = [tlv(0x06, &COMMON_NAME), tlv(0x0c, common_name.as_bytes())].concat();
    tlv(0x30, &tlv(0x31, &tlv(0x30, &value)))
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[tlv(0x06, oid), tlv(0x04, value)].concat())
}

fn yubico_extension(arc: u8, value: &[u8]) -> Vec<u8> {
    extension(&[&YUBICO_PIV[..], &[arc]].concat(), value)
}

/// The contents of a positive DER integer.
fn positive(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    match digits.first() {
        Some(first) if *first < 0x80 => digits.to_vec(),
        _ => [&[0], digits].concat(),
    }
}

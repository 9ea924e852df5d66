//! The challenge and response with the management key (SP 800-73-4 part 2, appendix A.1).

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};

use crate::apdu::Status;
use crate::state::ManagementKey;
use crate::tlv::{self, tlv};

/// 3DES, AES with 128, 192 and 256 bits (SP 800-78-4 table 6-2), with the key's length.
pub const ALGORITHMS: [(u8, usize); 4] = [(0x03, 24), (0x08, 16), (0x0a, 24), (0x0c, 32)];

/// The tags within the dynamic authentication template.
pub mod tag {
    pub const TEMPLATE: u32 = 0x7c;
    pub const WITNESS: u32 = 0x80;
    pub const CHALLENGE: u32 = 0x81;
    pub const RESPONSE: u32 = 0x82;
}

/// What the card waits for.
#[derive(Default)]
pub enum Pending {
    #[default]
    Nothing,
    /// That the host decrypts this witness.
    Witness(Vec<u8>),
    /// That the host encrypts this challenge.
    Challenge(Vec<u8>),
}

impl Pending {
    /// One step. Gives the response, and whether the host has shown now that it has the key.
    pub fn step(
        &mut self,
        key: &ManagementKey,
        template: &[u8],
    ) -> Result<(Vec<u8>, bool), Status> {
        let witness = tlv::find(template, tag::WITNESS);
        let challenge = tlv::find(template, tag::CHALLENGE);
        let response = tlv::find(template, tag::RESPONSE);
        match (std::mem::take(self), witness, challenge, response) {
            (_, Some([]), _, _) => {
                let witness = random(key)?;
                let hidden = encrypt(key, &witness)?;
                *self = Self::Witness(witness);
                Ok((tlv(tag::WITNESS, &hidden), false))
            }
            (_, None, Some([]), _) => {
                let challenge = random(key)?;
                *self = Self::Challenge(challenge.clone());
                Ok((tlv(tag::CHALLENGE, &challenge), false))
            }
            (Self::Witness(expected), Some(witness), Some(challenge), _) if expected == witness => {
                let response = encrypt(key, challenge)?;
                Ok((tlv(tag::RESPONSE, &response), true))
            }
            (Self::Challenge(challenge), _, _, Some(response))
                if encrypt(key, &challenge)? == response =>
            {
                Ok((Vec::new(), true))
            }
            _ => Err(Status::SECURITY_STATUS),
        }
    }
}

fn block_length(key: &ManagementKey) -> usize {
    if key.algorithm == 0x03 { 8 } else { 16 }
}

fn random(key: &ManagementKey) -> Result<Vec<u8>, Status> {
    let mut bytes = vec![0; block_length(key)];
    getrandom::fill(&mut bytes).map_err(|_| Status::MEMORY_FAILURE)?;
    Ok(bytes)
}

/// One block, encrypted.
fn encrypt(key: &ManagementKey, block: &[u8]) -> Result<Vec<u8>, Status> {
    fn with<C: KeyInit + BlockCipherEncrypt>(key: &[u8], block: &[u8]) -> Option<Vec<u8>> {
        let cipher = C::new_from_slice(key).ok()?;
        let mut block = Block::<C>::try_from(block).ok()?;
        cipher.encrypt_block(&mut block);
        Some(block.to_vec())
    }
    match key.algorithm {
        0x03 => with::<des::TdesEde3>(&key.value, block),
        0x08 => with::<aes::Aes128>(&key.value, block),
        0x0a => with::<aes::Aes192>(&key.value, block),
        _ => with::<aes::Aes256>(&key.value, block),
    }
    .ok_or(Status::WRONG_DATA)
}

//! Yubico's GET METADATA: what a key or a PIN is like.

use crate::apdu::Status;
use crate::references;
use crate::state::{Reference, State};
use crate::tlv::tlv;

/// The slot of the management key.
pub const MANAGEMENT: u8 = 0x9b;
/// Where a key comes from.
const GENERATED: u8 = 1;
const IMPORTED: u8 = 2;
/// The algorithm that stands for a PIN.
const NO_ALGORITHM: u8 = 0xff;

mod tag {
    pub const ALGORITHM: u32 = 1;
    pub const POLICY: u32 = 2;
    pub const ORIGIN: u32 = 3;
    pub const PUBLIC_KEY: u32 = 4;
    pub const IS_DEFAULT: u32 = 5;
    pub const RETRIES: u32 = 6;
}

pub fn metadata(state: &State, slot: u8) -> Result<Vec<u8>, Status> {
    match slot {
        references::PIN => Ok(reference(&state.pin)),
        references::PUK => Ok(reference(&state.puk)),
        MANAGEMENT => Ok([
            tlv(tag::ALGORITHM, &[state.management.algorithm]),
            tlv(
                tag::POLICY,
                &[0, if state.management.touch { 2 } else { 1 }],
            ),
            tlv(tag::IS_DEFAULT, &[state.management.default.into()]),
        ]
        .concat()),
        slot => {
            let key = state.keys.get(&slot).ok_or(Status::REFERENCE_NOT_FOUND)?;
            let public = key.public_tlv().ok_or(Status::MEMORY_FAILURE)?;
            Ok([
                tlv(tag::ALGORITHM, &[key.algorithm]),
                tlv(tag::POLICY, &[key.pin_policy, key.touch_policy]),
                tlv(
                    tag::ORIGIN,
                    &[if key.is_generated {
                        GENERATED
                    } else {
                        IMPORTED
                    }],
                ),
                tlv(tag::PUBLIC_KEY, &public),
            ]
            .concat())
        }
    }
}

fn reference(reference: &Reference) -> Vec<u8> {
    [
        tlv(tag::ALGORITHM, &[NO_ALGORITHM]),
        tlv(tag::IS_DEFAULT, &[reference.default.into()]),
        tlv(tag::RETRIES, &[reference.limit, reference.left]),
    ]
    .concat()
}

//! Digests of what is accepted, in one pass.

use core::fmt;

use ring::digest::{Context, SHA256};

use crate::host::s3::Digests;

/// The reversed polynomial of CRC-64/NVME.
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = match crc & 1 {
                1 => crc >> 1 ^ POLYNOMIAL,
                _ => crc >> 1,
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

pub(super) struct Digester {
    sha256: Context,
    crc: u64,
}

impl Digester {
    pub(super) fn new() -> Self {
        Self {
            sha256: Context::new(&SHA256),
            crc: !0,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc = bytes.iter().fold(self.crc, |crc, byte| {
            TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8
        });
    }

    pub(super) fn finish(&self, length: u64) -> Digests {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.sha256.clone().finish().as_ref());
        Digests {
            length,
            sha256,
            crc64nvme: !self.crc,
        }
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digester").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        let mut digester = Digester::new();
        digester.update(b"12345");
        digester.update(b"6789");
        assert_eq!(digester.finish(9).crc64nvme, 0xae8b_1486_0a79_9888);
    }
}

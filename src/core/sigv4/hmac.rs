//! SigV4 with a secret access key: `AWS4-HMAC-SHA256`.

use core::fmt::{self, Write as _};

use hmac::digest::{KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroize as _;

use super::{Scope, StringToSign};

/// The name of the algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

type HmacSha256 = hmac::Hmac<Sha256>;

/// The key for one day, region and service.
pub struct SigningKey([u8; 32]);

impl SigningKey {
    /// Derives the key of `scope` from a secret access key.
    #[inline(never)]
    pub fn derive(secret_access_key: &str, scope: &Scope<'_>) -> Self {
        let mut day = DayText::default();
        // Eight digits, as long as years have four.
        let _ = write!(day, "{}", scope.time.amz_day());
        let mut key: [u8; 32] = {
            let mut mac = keyed(&[b"AWS4", secret_access_key.as_bytes()]);
            mac.update(&day.0);
            mac.finalize().into_bytes().into()
        };
        for piece in [scope.region, scope.service, "aws4_request"] {
            let mut mac = keyed(&[&key]);
            mac.update(piece.as_bytes());
            key.zeroize();
            key = mac.finalize().into_bytes().into();
        }
        Self(key)
    }

    /// Signs a string to sign.
    #[inline(never)]
    pub fn sign(&self, string_to_sign: &StringToSign) -> [u8; 32] {
        let mut mac = keyed(&[&self.0]);
        mac.update(string_to_sign.as_str().as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// The eight digits of a day.
#[derive(Default)]
struct DayText([u8; 8], usize);

impl fmt::Write for DayText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.0[self.1..].get_mut(..text.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.1 += text.len();
        Ok(())
    }
}

/// HMAC-SHA256 under the concatenation of `key`'s pieces.
fn keyed(key: &[&[u8]]) -> HmacSha256 {
    // RFC 2104: a key longer than a block is hashed first; a shorter one is padded with zeros, so a
    // block-sized buffer is the same key.
    let len: usize = key.iter().map(|piece| piece.len()).sum();
    let mut block = [0u8; 64];
    if len <= block.len() {
        let mut at = 0;
        for piece in key {
            block[at..at + piece.len()].copy_from_slice(piece);
            at += piece.len();
        }
    } else {
        use sha2::Digest as _;
        let mut hash = Sha256::new();
        key.iter().for_each(|piece| hash.update(piece));
        block[..32].copy_from_slice(&hash.finalize());
    }
    let mac = HmacSha256::new(&block.into());
    block.zeroize();
    mac
}

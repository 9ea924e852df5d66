//! The token that a container's clients send, raw, as `Authorization`.

use core::fmt;
use std::string::String;

use ring::error::Unspecified;
use ring::hmac::{self, HMAC_SHA256, Key, Tag};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::core::text::Hex;

/// 256 bits, in hexadecimal: they need no quoting anywhere.
const TEXT_LEN: usize = 64;

/// A new token.
///
/// # Errors
/// [`Unspecified`] if the system has no randomness.
pub fn new_token() -> Result<Zeroizing<String>, Unspecified> {
    let mut bytes = Zeroizing::new([0; TEXT_LEN / 2]);
    SystemRandom::new().fill(&mut *bytes)?;
    let mut text = Zeroizing::new(String::with_capacity(TEXT_LEN));
    // Writing into a string does not fail.
    let _ = fmt::write(&mut *text, format_args!("{}", Hex(&*bytes)));
    Ok(text)
}

/// Whether `text` has the shape of a token that [`new_token`] made.
pub fn is_token(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == TEXT_LEN && text.iter().all(is_digit)
}

/// Knows the token without holding it.
pub struct Authorization {
    key: Key,
    expected: Tag,
}

impl Authorization {
    /// Who sends `token` may have credentials.
    ///
    /// # Errors
    /// [`Unspecified`] if the system has no randomness.
    pub fn new(token: &str) -> Result<Self, Unspecified> {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new())?;
        let expected = hmac::sign(&key, token.as_bytes());
        Ok(Self { key, expected })
    }

    /// Whether `sent` is the token. What is compared are codes of the two under a random key: the time that
    /// it takes says nothing about the token, its length included.
    pub fn allows(&self, sent: &[u8]) -> bool {
        hmac::verify(&self.key, sent, self.expected.as_ref()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_taken() {
        let token = new_token().unwrap();
        assert!(is_token(token.as_bytes()));
        let authorization = Authorization::new(&token).unwrap();
        assert!(authorization.allows(token.as_bytes()));
        let other = new_token().unwrap();
        for wrong in [
            "",
            " ",
            &other,
            &token[1..],
            &std::format!("Bearer {}", *token),
            &std::format!("{}\n", *token),
        ] {
            assert!(!authorization.allows(wrong.as_bytes()));
        }
    }

    #[test]
    fn the_shape_of_a_token() {
        for wrong in ["", "abc", &"g".repeat(64), &"A".repeat(64), &"a".repeat(65)] {
            assert!(!is_token(wrong.as_bytes()), "{wrong}");
        }
    }
}

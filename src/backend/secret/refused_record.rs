//! What is written down of the secrets that a device refused.

use core::num::NonZeroU32;
use std::string::String;
use std::vec::Vec;

use ring::{digest, pbkdf2};

use super::Secret;
use crate::core::text::Hex;

/// The length of the text, so short that a disk writes it whole or not at all.
pub const LEN: usize = 256;

const HEAD: &str = "keystead-refused-1";

/// How many refused secrets are remembered at most; the oldest are forgotten.
const MAX_HASHES: usize = 16;

/// About a millisecond. More would not protect a PIN of few digits either: what does is that the hash
/// is short.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(2_000).unwrap();

/// The secrets that a device refused, oldest first, as hashes: slow, salted, and so short that many
/// secrets have the same. Who reads one learns little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    salt: [u8; 16],
    hashes: Vec<Hash>,
}

/// The short hash of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 2]);

impl Record {
    /// A record of nothing.
    pub fn new(salt: [u8; 16]) -> Self {
        let hashes = Vec::new();
        Self { salt, hashes }
    }

    /// Reads [`Record::text`].
    pub fn parse(text: &[u8; LEN]) -> Option<Self> {
        let line = core::str::from_utf8(text).ok()?.trim_ascii_end();
        let (body, _checksum) = line.rsplit_once(' ')?;
        let mut words = body.strip_prefix(HEAD)?.strip_prefix(' ')?.split(' ');
        let salt = bytes(words.next()?)?;
        let hashes: Vec<_> = words
            .map(|word| bytes(word).map(Hash))
            .collect::<Option<_>>()?;
        let record = (hashes.len() <= MAX_HASHES).then_some(Self { salt, hashes })?;
        // Every byte of the text is as it was written, the checksum among them.
        (record.text() == *text).then_some(record)
    }

    /// One line: what it is, salt, hashes, checksum.
    pub fn text(&self) -> [u8; LEN] {
        let mut body = String::from(HEAD);
        let salt = core::iter::once(&self.salt[..]);
        for bytes in salt.chain(self.hashes.iter().map(|hash| &hash.0[..])) {
            body += &std::format!(" {}", Hex(bytes));
        }
        let line = std::format!("{body} {}", checksum(&body));
        let mut text = [b' '; LEN];
        text[..line.len()].copy_from_slice(line.as_bytes());
        text[LEN - 1] = b'\n';
        text
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether this secret, or one of the few that cannot be told from it, is in it.
    pub fn contains(&self, secret: Hash) -> bool {
        self.hashes.contains(&secret)
    }

    /// Adds a secret.
    pub fn insert(&mut self, secret: Hash) {
        if self.contains(secret) {
            return;
        }
        if self.hashes.len() == MAX_HASHES {
            self.hashes.remove(0);
        }
        self.hashes.push(secret);
    }

    /// Takes a secret out. The salt stays: a right secret is recorded before each login, and under ever
    /// new salts its short hashes together would tell it, to who digs them up from a flash chip.
    pub fn remove(&mut self, secret: Hash) {
        self.hashes.retain(|known| *known != secret);
    }

    /// What stands for a secret in this record, and in none with another salt.
    pub fn hash(&self, secret: &Secret) -> Hash {
        let mut hash = [0; 2];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(
            algorithm,
            ITERATIONS,
            &self.salt,
            secret.expose(),
            &mut hash,
        );
        Hash(hash)
    }
}

fn checksum(body: &str) -> String {
    let digest = digest::digest(&digest::SHA256, body.as_bytes());
    std::format!("{}", Hex(&digest.as_ref()[..4]))
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if hex.len() != 2 * N || !hex.is_ascii() {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let digit = |index: usize| char::from(digits[index]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The hash of a secret with that number, under the salt that most of these tests have.
    fn secret(number: u32) -> Hash {
        salted(7, number)
    }

    fn salted(salt: u8, number: u32) -> Hash {
        let secret = Secret::new(std::format!("pin {number}").into_bytes());
        Record::new([salt; 16]).hash(&secret)
    }

    #[test]
    fn what_was_refused_is_known_until_it_is_removed() {
        let mut record = Record::new([7; 16]);
        assert!(!record.contains(secret(0)));
        for number in 0..20 {
            record.insert(secret(number));
            record.insert(secret(number));
        }
        let mut read = Record::parse(&record.text()).unwrap();
        assert_eq!(read, record);
        assert_eq!(read.hashes.len(), MAX_HASHES);
        assert!((4..20).all(|number| read.contains(secret(number))));
        assert!(!read.contains(secret(0)));
        read.remove(secret(5));
        assert!(!read.contains(secret(5)) && read.contains(secret(6)));
        (0..20).for_each(|number| read.remove(secret(number)));
        assert_eq!(read, Record::new([7; 16]));
    }

    #[test]
    fn the_hash_depends_on_the_salt() {
        assert_ne!(salted(1, 1), salted(2, 1));
        assert_eq!(salted(1, 1), salted(1, 1));
    }

    #[test]
    fn every_damage_shows() {
        let mut record = Record::new([1; 16]);
        record.insert(secret(1));
        let text = record.text();
        for index in 0..LEN {
            let mut damaged = text;
            damaged[index] ^= 1;
            assert_eq!(Record::parse(&damaged), None, "{index}");
        }
        assert_eq!(Record::parse(&[0; LEN]), None);
        assert_eq!(Record::parse(&[b' '; LEN]), None);
    }

    proptest! {
        #[test]
        fn any_content_is_read_or_refused(text in proptest::array::uniform32(any::<[u8; 8]>())) {
            let mut whole = [0; LEN];
            whole.copy_from_slice(text.as_flattened());
            prop_assert_eq!(Record::parse(&whole), None);
        }
    }
}

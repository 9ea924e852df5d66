//! PEM (RFC 7468), as lenient about white space as the programs that write it.

use core::fmt;
use std::borrow::ToOwned;
use std::string::String;
use std::vec::Vec;

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// `NEW CERTIFICATE REQUEST` has 23; what is much longer is no label.
const MAX_LABEL_LEN: usize = 64;

/// Whether there is any PEM block, whole or not.
pub fn is_pem(text: &[u8]) -> bool {
    find(text, BEGIN).is_some()
}

/// One block: what is between `-----BEGIN LABEL-----` and `-----END LABEL-----`.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// `PRIVATE KEY`, `CERTIFICATE`, …
    pub label: &'a str,
    body: &'a [u8],
}

impl Block<'_> {
    /// Whether it is encrypted in the way of RFC 1421, which OpenSSL used before PKCS#8.
    pub fn is_legacy_encrypted(&self) -> bool {
        find(self.body, b"Proc-Type:").is_some()
    }

    /// The base64 in the block, without white space, in a buffer that is cleared when it is dropped.
    pub fn base64(&self) -> Zeroizing<Vec<u8>> {
        let mut text = Zeroizing::new(Vec::with_capacity(self.body.len()));
        for line in self.body.split(u8::is_ascii_whitespace) {
            text.extend_from_slice(line);
        }
        text
    }

    /// The DER in the block, in a buffer that is cleared when it is dropped. It may be a secret, so
    /// decoding takes the same time whatever it is.
    pub fn decode(&self) -> Result<Zeroizing<Vec<u8>>, PemError> {
        let mut der = self.base64();
        let len = Base64::decode_in_place(&mut der)
            .map_err(|_| PemError::NotBase64(self.label.to_owned()))?
            .len();
        der.truncate(len);
        Ok(der)
    }
}

/// The blocks of a text in order; what is around them is passed over. After an error there are no more.
pub fn blocks(text: &[u8]) -> impl Iterator<Item = Result<Block<'_>, PemError>> {
    let mut rest = Some(text);
    core::iter::from_fn(move || {
        let text = rest.take()?;
        let start = find(text, BEGIN)? + BEGIN.len();
        Some(split_block(&text[start..]).map(|(block, after)| {
            rest = Some(after);
            block
        }))
    })
}

/// Takes a block apart from what follows it; `text` starts at the label.
fn split_block(text: &[u8]) -> Result<(Block<'_>, &[u8]), PemError> {
    let label = find(&text[..text.len().min(MAX_LABEL_LEN)], DASHES)
        .and_then(|end| core::str::from_utf8(&text[..end]).ok())
        .filter(|label| label.bytes().all(|byte| matches!(byte, b' '..=b'~')))
        .ok_or(PemError::Label)?;
    let text = &text[label.len() + DASHES.len()..];
    let no_end = || PemError::NoEnd(label.to_owned());
    let end = find(text, DASHES).ok_or_else(no_end)?;
    let (body, text) = text.split_at(end);
    let text = text
        .strip_prefix(END)
        .and_then(|text| text.strip_prefix(label.as_bytes()))
        .and_then(|text| text.strip_prefix(DASHES))
        .ok_or_else(no_end)?;
    Ok((Block { label, body }, text))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let (first, rest) = what.split_first()?;
    let mut from = 0;
    loop {
        from += text[from..].iter().position(|byte| byte == first)? + 1;
        if text[from..].starts_with(rest) {
            return Some(from - 1);
        }
    }
}

/// Why a PEM text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemError {
    /// A `-----BEGIN` without a label.
    Label,
    /// The block of this label has no `-----END`.
    NoEnd(String),
    /// The block of this label holds something else than base64.
    NotBase64(String),
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label => f.write_str("a PEM block begins without a label"),
            Self::NoEnd(label) => {
                write!(f, "the PEM block `{label}` has no `-----END {label}-----`")
            }
            Self::NotBase64(label) => write!(f, "the PEM block `{label}` is not base64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn read(text: &str) -> Result<Vec<(&str, Vec<u8>)>, PemError> {
        blocks(text.as_bytes())
            .map(|block| {
                let block = block?;
                Ok((block.label, block.decode()?.to_vec()))
            })
            .collect()
    }

    #[test]
    fn blocks_and_what_is_around_them() {
        let text = "Bag Attributes: x\n-----BEGIN A B-----\r\nAAEC\r\n Aw==  \r\n-----END A B-----\r\n\
                    note -----BEGIN C----------END C-----";
        assert_eq!(
            read(text),
            Ok(vec![("A B", vec![0, 1, 2, 3]), ("C", vec![])])
        );
        assert_eq!(read("no block"), Ok(vec![]));
    }

    #[test]
    fn what_is_no_block() {
        let no_end = |label: &str| Err(PemError::NoEnd(label.to_owned()));
        assert_eq!(read("-----BEGIN A-----\nAAEC\n"), no_end("A"));
        assert_eq!(
            read("-----BEGIN A-----\nAAEC\n-----END B-----\n"),
            no_end("A")
        );
        assert_eq!(
            read("-----BEGIN A-----\n-----BEGIN A-----\n-----END A-----"),
            no_end("A")
        );
        assert_eq!(
            read("-----BEGIN A-----\nAA\u{e9}C\n-----END A-----"),
            Err(PemError::NotBase64("A".to_owned()))
        );
        assert_eq!(read("-----BEGIN A"), Err(PemError::Label));
    }

    #[test]
    fn legacy_encryption_is_seen() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAEC\n\
                    -----END RSA PRIVATE KEY-----\n";
        let block = blocks(text.as_bytes()).next().unwrap().unwrap();
        assert!(block.is_legacy_encrypted());
    }
}

//! The private key in a secure element. This one is played by the host, over a serial line, and takes what all of
//! them take: a digest, for which it gives the numbers `r` and `s`. README.md says how an ATECC608's or an SE050's
//! driver takes its place.

use embedded_io::{ErrorKind, Read as _, Write as _};
use keystead::core::ecdsa;
use keystead::core::key::{KeyKind, Scheme, SignError, Signer};
use sha2::{Digest as _, Sha256};

use super::PublicKey;
use crate::board::{Patience, Uart};

/// Asks for the public key: 64 bytes come back.
const PUBLIC_KEY: u8 = b'P';

/// Asks for a signature over the 32 bytes that follow: 64 bytes come back.
const SIGN: u8 = b'S';

/// A P-256 key that never leaves its element.
pub struct Element {
    line: Uart,
    patience: Patience,
    public: PublicKey,
    /// An answer did not come in time, and may come yet.
    is_late: bool,
}

impl Element {
    /// Asks the element for its public key.
    ///
    /// # Errors
    /// What became of the line to it.
    pub fn new(mut line: Uart, patience: Patience) -> Result<Self, ErrorKind> {
        line.begin(patience);
        let coordinates = ask(&mut line, PUBLIC_KEY, &[])?;
        Ok(Self {
            line,
            patience,
            public: PublicKey::new(&coordinates),
            is_late: false,
        })
    }
}

impl Signer for Element {
    fn key(&self) -> KeyKind {
        KeyKind::P256
    }

    fn public_key(&self) -> &[u8] {
        &self.public.0
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        if scheme != Scheme::EcdsaSha256 {
            return Err(SignError::UnsupportedScheme);
        }
        self.line.begin(self.patience);
        if self.is_late && !self.line.drain() {
            return Err(SignError::TimedOut);
        }
        let numbers = ask(&mut self.line, SIGN, &Sha256::digest(message));
        self.is_late = numbers.is_err();
        let numbers = numbers.map_err(|_| SignError::TimedOut)?;
        let (r, s) = numbers.split_at(32);
        ecdsa::write(r, s, out)
    }
}

fn ask(line: &mut Uart, command: u8, argument: &[u8]) -> Result<[u8; 64], ErrorKind> {
    line.write_all(&[command])?;
    line.write_all(argument)?;
    let mut answer = [0; 64];
    line.read_exact(&mut answer).map_err(|error| match error {
        embedded_io::ReadExactError::UnexpectedEof => ErrorKind::BrokenPipe,
        embedded_io::ReadExactError::Other(kind) => kind,
    })?;
    Ok(answer)
}

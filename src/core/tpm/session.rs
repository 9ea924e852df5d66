//! Sessions (TPM 2.0 Part 1, section 19): how a command is authorised by an auth value that nobody on the way to
//! the TPM is to learn.

use core::fmt;

use hmac::digest::Mac as _;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use super::crypto::{self, Key};
use super::error::Error;
use super::public::Name;

/// The length of our nonces.
pub(super) const NONCE_LEN: usize = 32;

/// A session with HMACs by SHA-256 and encryption by AES-128 in CFB mode. It stays in the TPM until it is flushed.
pub struct Session {
    pub(super) handle: u32,
    secret: [u8; 32],
    has_secret: bool,
    own: [u8; NONCE_LEN],
    theirs: Nonce,
    /// Whether the auth value is part of the HMACs' key: not in a policy session, unless the policy says so.
    pub(super) takes_auth: bool,
}

/// How a command is authorised.
pub enum Auth<'a> {
    /// By the auth value in clear; empty, where there is none.
    Password(&'a [u8]),
    /// By proving that it is known.
    Session {
        /// In this session.
        session: &'a mut Session,
        /// The value.
        value: &'a [u8],
        /// Whether the first parameter of the command is encrypted. It has to be one with a length.
        encrypts: bool,
    },
}

impl fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(_) => f.write_str("Password(…)"),
            Self::Session { session, .. } => session.fmt(f),
        }
    }
}

/// A nonce of the TPM's.
#[derive(Clone, Copy)]
pub(super) struct Nonce {
    bytes: [u8; 64],
    len: usize,
}

impl Nonce {
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let mut nonce = Self {
            bytes: [0; 64],
            len: bytes.len(),
        };
        let place = nonce.bytes.get_mut(..bytes.len()).ok_or(Error::Malformed)?;
        place.copy_from_slice(bytes);
        Ok(nonce)
    }

    fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Session {
    /// One that the TPM has started (TPM 2.0 Part 1, section 19.6.8).
    pub(super) fn started(
        handle: u32,
        own: [u8; NONCE_LEN],
        theirs: &[u8],
        salt: Option<&[u8; 32]>,
        is_policy: bool,
    ) -> Result<Self, Error> {
        let theirs = Nonce::new(theirs)?;
        let secret = match salt {
            Some(salt) => crypto::kdf_a(&Key::new(salt, &[])?, b"ATH", theirs.get(), &own),
            None => [0; 32],
        };
        Ok(Self {
            handle,
            secret,
            has_secret: salt.is_some(),
            own,
            theirs,
            takes_auth: !is_policy,
        })
    }

    /// Its handle, which is also its name.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// The nonce of the next command.
    pub(super) fn roll(&mut self, nonce: [u8; NONCE_LEN]) {
        self.own = nonce;
    }

    pub(super) fn key(&self, value: &[u8]) -> Result<Key, Error> {
        let secret = match self.has_secret {
            true => &self.secret[..],
            false => &[],
        };
        Key::new(
            secret,
            if self.takes_auth {
                without_zeros(value)
            } else {
                &[]
            },
        )
    }

    /// The key that parameters are encrypted by: there the auth value counts in any session.
    fn encryption_key(&self, value: &[u8]) -> Result<Key, Error> {
        let secret = match self.has_secret {
            true => &self.secret[..],
            false => &[],
        };
        Key::new(secret, without_zeros(value))
    }

    /// Encrypts a parameter of the command.
    pub(super) fn encrypt(&self, value: &[u8], parameter: &mut [u8]) -> Result<(), Error> {
        let key = self.encryption_key(value)?;
        crypto::encrypt(&key, &self.own, self.theirs.get(), parameter);
        Ok(())
    }

    /// The HMAC of a command (TPM 2.0 Part 1, section 19.6.5).
    pub(super) fn sign(
        &self,
        value: &[u8],
        code: u32,
        names: &[Name],
        parameters: &[u8],
        attributes: u8,
    ) -> Result<[u8; 32], Error> {
        let mut hash = Sha256::new();
        hash.update(code.to_be_bytes());
        for name in names {
            hash.update(&**name);
        }
        hash.update(parameters);
        let pieces = [
            &*hash.finalize(),
            &self.own,
            self.theirs.get(),
            &[attributes],
        ];
        let mac = crypto::hmac(&self.key(value)?, &pieces);
        Ok(mac.finalize().into_bytes().into())
    }

    /// Checks the HMAC of an answer (section 19.6.6), and takes over the nonce that came with it.
    pub(super) fn verify(
        &mut self,
        value: &[u8],
        code: u32,
        parameters: &[u8],
        answer: &SessionAnswer<'_>,
    ) -> Result<(), Error> {
        let newer = Nonce::new(answer.nonce)?;
        let mut hash = Sha256::new();
        // The response code: success.
        hash.update(0_u32.to_be_bytes());
        hash.update(code.to_be_bytes());
        hash.update(parameters);
        let pieces = [
            &*hash.finalize(),
            newer.get(),
            &self.own,
            &[answer.attributes],
        ];
        crypto::hmac(&self.key(value)?, &pieces)
            .verify_slice(answer.hmac)
            .map_err(|_| Error::WrongHmac)?;
        self.theirs = newer;
        Ok(())
    }

    pub(super) fn own_nonce(&self) -> &[u8] {
        &self.own
    }
}

/// What an answer says of its session (TPMS_AUTH_RESPONSE).
pub(super) struct SessionAnswer<'a> {
    pub nonce: &'a [u8],
    pub attributes: u8,
    pub hmac: &'a [u8],
}

/// A TPM leaves zeros at the end of an auth value out (TPM 2.0 Part 1, section 19.6.4.3).
pub(super) fn without_zeros(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| *byte != 0);
    &value[..end.map_or(0, |at| at + 1)]
}

impl Drop for Session {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:#010x})", self.handle)
    }
}

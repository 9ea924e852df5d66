//! The challenges that an authority waits for an answer to: `challenges/NUMBER.json` in its directory, for
//! its owner alone. A challenge is gone once its answer was used, or when it is too late for one.

use core::time::Duration;
use std::borrow::ToOwned as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use super::attest::{self, AttestError, Pending};
use super::validity::later;
use super::{Directory, Error};
use crate::backend::attestation::{Answer, Challenge, Endorsed, Request};
use crate::core::time::UnixTime;
use crate::host::files::{Access, NewFiles};

const FOLDER: &str = "challenges";

impl Directory {
    /// Makes a challenge for who shows `request`, to be answered within `lifetime`, and remembers it.
    /// `roots` are the certificates (DER) of the makers of TPMs.
    ///
    /// # Errors
    /// [`Error::Attestation`] by what is wrong with the request; another [`Error`] if the challenge cannot
    /// be remembered.
    pub fn challenge(
        &mut self,
        request: &Request,
        roots: &[Vec<u8>],
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Challenge, Error> {
        let (challenge, pending) = attest::challenge(request, roots, now, later(now, lifetime))?;
        self.forget_old_challenges(now)?;
        let text = serde_json::to_vec_pretty(&pending).map_err(Error::Json)?;
        let mut files = NewFiles::default();
        files.file(&self.pending_path(&challenge.id)?, &text, Access::Owner)?;
        files.commit()?;
        Ok(challenge)
    }

    /// Checks the answer to a challenge (see [`Pending::check`]). The challenge can be answered until a
    /// certificate is issued for the proof: no answer counts twice.
    ///
    /// # Errors
    /// [`Error::Attestation`] by what is wrong with the answer.
    pub fn prove(
        &self,
        answer: &Answer,
        roots: &[Vec<u8>],
        public_key: &[u8],
        now: UnixTime,
    ) -> Result<Proof, Error> {
        let path = self.pending_path(&answer.id)?;
        let pending = read(&path)?.ok_or(AttestError::UnknownChallenge)?;
        Ok(Proof {
            endorsed: pending.check(answer, roots, public_key, now)?,
            public_key: public_key.to_owned(),
            challenge: path,
        })
    }

    fn pending_path(&self, id: &[u8]) -> Result<PathBuf, Error> {
        let name = attest::file_name(id).ok_or(AttestError::UnknownChallenge)?;
        Ok(self.path().join(FOLDER).join(name).with_extension("json"))
    }

    fn forget_old_challenges(&self, now: UnixTime) -> Result<(), Error> {
        let Ok(entries) = fs::read_dir(self.path().join(FOLDER)) else {
            // There was none yet.
            return Ok(());
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            // What is no challenge is not ours to remove.
            if read(&path).is_ok_and(|pending| pending.is_some_and(|pending| pending.is_over(now)))
            {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// A key that was proven to be in a genuine TPM, for one certificate.
#[derive(Debug)]
pub struct Proof {
    endorsed: Endorsed,
    public_key: Vec<u8>,
    /// The file of the challenge that was answered.
    challenge: PathBuf,
}

impl Proof {
    /// The TPM.
    pub fn endorsed(&self) -> &Endorsed {
        &self.endorsed
    }

    /// The key, a DER `SubjectPublicKeyInfo`.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// Uses up the challenge.
    ///
    /// # Errors
    /// [`AttestError::UnknownChallenge`] if it was used up before.
    pub(super) fn spend(&self) -> Result<(), Error> {
        match remove(&self.challenge)? {
            true => Ok(()),
            false => Err(AttestError::UnknownChallenge.into()),
        }
    }
}

/// Removes a file; `false` if it was not there any more.
pub(super) fn remove(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("cannot remove", path)(error)),
    }
}

fn read(path: &Path) -> Result<Option<Pending>, Error> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| Error::Index(path.to_owned(), error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("cannot read", path)(error)),
    }
}

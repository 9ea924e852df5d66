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

    /// Checks the answer to a challenge (see [`Pending::check`]). Once it was good the challenge is
    /// forgotten: no answer counts twice.
    ///
    /// # Errors
    /// [`Error::Attestation`] by what is wrong with the answer; the challenge can still be answered then.
    pub fn redeem(
        &mut self,
        answer: &Answer,
        roots: &[Vec<u8>],
        public_key: &[u8],
        now: UnixTime,
    ) -> Result<Endorsed, Error> {
        let path = self.pending_path(&answer.id)?;
        let pending = read(&path)?.ok_or(AttestError::UnknownChallenge)?;
        let endorsed = pending.check(answer, roots, public_key, now)?;
        fs::remove_file(&path).map_err(Error::io("cannot remove", &path))?;
        Ok(endorsed)
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
                fs::remove_file(&path).map_err(Error::io("cannot remove", &path))?;
            }
        }
        Ok(())
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

//! Whether S3 has stored what it was sent.

use std::format;
use std::string::String;

use super::body::local;
use super::options::Extra;
use super::request::request;
use super::{Confirm, Object, Uploader};
use crate::host::s3::{Checksum, Encryption, FaultKind, S3Error, Stored};
use crate::output::push::{Halt, Outcome};

/// The checksums that an answer may have, as far as they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected {
    pub(super) length: u64,
    pub(super) crc64nvme: Option<u64>,
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) of_parts: Option<([u8; 32], u32)>,
}

impl Expected {
    /// Whether what S3 has stored is what is expected; `None` if it says nothing that can be compared.
    pub(super) fn judge(&self, stored: &Stored) -> Option<bool> {
        if stored.length.is_some_and(|length| length != self.length) {
            return Some(false);
        }
        match stored.checksum? {
            Checksum::Crc64Nvme(crc) => self.crc64nvme.map(|expected| expected == crc),
            Checksum::Sha256(hash) => self.sha256.map(|expected| expected == hash),
            Checksum::Sha256OfParts(hash, count) => {
                self.of_parts.map(|expected| expected == (hash, count))
            }
        }
    }
}

impl Uploader<'_> {
    /// What becomes of an upload that S3 has answered with 200: by the checksum in the answer, else by what HEAD says,
    /// else by the ETag, which `etag` computes from the content.
    pub(super) fn confirm(
        &mut self,
        object: &Object<'_>,
        stored: Stored,
        expected: &Expected,
        etag: impl FnOnce() -> Result<String, Halt>,
    ) -> Result<Outcome, Halt> {
        match expected.judge(&stored) {
            Some(true) => return Ok(Outcome::Confirmed(stored)),
            Some(false) => return Err(mismatch(object.key, &stored)),
            None if self.options.confirm == Confirm::Status => {
                return Ok(Outcome::Confirmed(stored));
            }
            None => {}
        }
        let mut failed = None;
        let mut seen = None;
        match self.look(object.key, true) {
            // Another ETag is another object: somebody else has written there since.
            Ok(Some(found)) if found.etag == stored.etag => match expected.judge(&found) {
                Some(true) => return Ok(Outcome::Confirmed(found)),
                // Some servers tell the checksum of an object that was there before: the ETag has the last word.
                Some(false) => {
                    failed = Some(mismatch(object.key, &found));
                    seen = Some(found);
                }
                None => seen = Some(found),
            },
            Ok(_) => {}
            // Who did not get an answer asks again, later.
            Err(halt) => failed = Some(halt),
        }
        let encryption = seen.as_ref().and_then(|seen| seen.encryption.as_deref());
        let encryption = stored.encryption.as_deref().or(encryption);
        if etag_is_md5(object, encryption) && etag()? == stored.etag {
            return Ok(Outcome::Confirmed(stored));
        }
        failed.map_or(Ok(Outcome::Unconfirmed(stored)), Err)
    }

    /// S3 says that there is an object already. Whether it is this very one only HEAD can tell.
    pub(super) fn settle(
        &mut self,
        object: &Object<'_>,
        expected: &Expected,
        etag: impl FnOnce() -> Result<String, Halt>,
    ) -> Result<Outcome, Halt> {
        let unsettled = |why: &str| {
            Ok(Outcome::Unsettled(format!(
                "there is an object under {} already, and {why}",
                object.key
            )))
        };
        let Some(found) = self.look(object.key, true)? else {
            return unsettled("nobody may look whether it is this one (that takes s3:GetObject)");
        };
        match expected.judge(&found) {
            Some(true) => Ok(Outcome::WasThere(found)),
            Some(false) => unsettled("it is another one"),
            None if etag_is_md5(object, found.encryption.as_deref()) && etag()? == found.etag => {
                Ok(Outcome::WasThere(found))
            }
            None => unsettled("the server does not tell whether it is this one"),
        }
    }

    /// HEAD, where it is allowed. `None` if it is not, or if there is nothing. Only of an object that S3 has just said
    /// `is_there` a refusal says that nobody may look: without `s3:ListBucket` it answers with 403 as well where there
    /// is none.
    pub(super) fn look(&mut self, key: &str, is_there: bool) -> Result<Option<Stored>, Halt> {
        if !self.allowed.may(Extra::Head) {
            return Ok(None);
        }
        let asked = request(self.sessions, self.pace, |credentials| {
            self.store.head(credentials, key).map_err(Halt::Store)
        });
        match asked {
            Err(Halt::Store(error)) if is_refusal(&error) => {
                if is_there {
                    self.allowed.refuse(Extra::Head);
                }
                Ok(None)
            }
            other => other,
        }
    }
}

/// Whether the answer means that this is not for us to ask: not allowed, or not something that the server has.
pub(super) fn is_refusal(error: &S3Error) -> bool {
    error.kind == FaultKind::Refused || matches!(error.status, Some(405 | 501))
}

/// With KMS the ETag is something else than an MD5.
fn etag_is_md5(object: &Object<'_>, encryption: Option<&str>) -> bool {
    !matches!(object.attributes.encryption, Some(Encryption::Kms { .. }))
        && !encryption.is_some_and(|encryption| encryption.starts_with("aws:kms"))
}

fn mismatch(key: &str, stored: &Stored) -> Halt {
    Halt::Store(S3Error {
        kind: FaultKind::Server,
        status: Some(200),
        ..local(match stored.checksum {
            Some(_) => format!(
                "S3 says that what it stored under {key} has another checksum than what was sent"
            ),
            None => format!(
                "S3 says that what it stored under {key} has another length than what was sent"
            ),
        })
    })
}

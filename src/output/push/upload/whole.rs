//! An object in one PUT.

use super::body::{Section, Told, local, send};
use super::confirm::Expected;
use super::digest::{SectionDigests, md5};
use super::request::request;
use super::{Object, Uploader};
use crate::host::s3::{FaultKind, Md5, S3Error};
use crate::output::push::{Halt, Outcome, Progress};

/// How often a PUT is repeated at once that met another one (409), or whose content S3 received otherwise than it
/// is on the disk.
pub(super) const AGAIN: u32 = 2;

impl Uploader<'_> {
    pub(super) fn whole(
        &mut self,
        object: &Object<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, Halt> {
        let section = Section {
            content: object.content,
            offset: 0,
            length: object.length,
        };
        let progress = Told::to(progress);
        let etag = || md5(section).map(|md5| Md5::etag(&md5));
        let mut again = 0;
        loop {
            let digests = match object.digests {
                Some(digests) => digests.into(),
                None => SectionDigests::of(section, self.options)?,
            };
            let expected = Expected {
                length: object.length,
                crc64nvme: Some(digests.crc64nvme),
                sha256: digests.sha256,
                of_parts: None,
            };
            let seal = digests.seal(self.options);
            let put = request(self.sessions, self.pace, |credentials| {
                send(section, seal, self.pace, &progress, |body| {
                    self.store
                        .put(credentials, object.key, object.attributes, body)
                })
            });
            let error = match put {
                Ok(stored) => {
                    // Where S3 has compared nothing, the disk may have changed it, and the ETag be that of what it is now.
                    if expected.judge(&stored) != Some(true)
                        && object.digests.is_some()
                        && SectionDigests::of(section, self.options)?.crc64nvme != digests.crc64nvme
                    {
                        return Ok(Outcome::Poison(rotten()));
                    }
                    return self.confirm(object, stored, &expected, etag);
                }
                Err(Halt::Store(error)) => error,
                Err(halt) => return Err(halt),
            };
            match error.kind {
                FaultKind::Exists => return self.settle(object, &expected, etag),
                FaultKind::Restart if again < AGAIN => again += 1,
                FaultKind::Object if is_other_content(&error) => {
                    // Either the network or the disk has changed it.
                    if SectionDigests::of(section, self.options)?.crc64nvme != digests.crc64nvme
                        && object.digests.is_some()
                    {
                        return Ok(Outcome::Poison(rotten()));
                    }
                    if again == AGAIN {
                        return Ok(Outcome::Poison(error));
                    }
                    again += 1;
                }
                FaultKind::Object => return Ok(Outcome::Poison(error)),
                _ => return Err(Halt::Store(error)),
            }
        }
    }
}

/// Whether S3 received something else than it was told (PROTOCOL 7.7).
pub(super) fn is_other_content(error: &S3Error) -> bool {
    matches!(
        error.code.as_str(),
        "BadDigest" | "XAmzContentSHA256Mismatch"
    )
}

/// The content is not what was accepted.
pub(super) fn rotten() -> S3Error {
    S3Error {
        remedy: "look at the disk; the content has to come from where it came from before".into(),
        ..local("the content is no longer what was accepted: its checksum differs".into())
    }
}

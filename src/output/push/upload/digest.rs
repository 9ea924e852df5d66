//! Reading a section of a content for its digests.

use std::format;
use std::io;
use std::vec;

use super::UploadOptions;
use super::body::{Seal, Section, local, open, unreadable};
use crate::host::s3::{Checksum, ChecksumAlgorithm, Crc64Nvme, Digester, Digests, Md5};
use crate::output::push::Halt;

/// Read at once: what fits into a small processor's cache.
const PIECE: usize = 64 << 10;

/// The digests of a section, as far as they are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SectionDigests {
    pub(super) crc64nvme: u64,
    pub(super) sha256: Option<[u8; 32]>,
}

impl From<Digests> for SectionDigests {
    fn from(digests: Digests) -> Self {
        Self {
            crc64nvme: digests.crc64nvme,
            sha256: Some(digests.sha256),
        }
    }
}

impl SectionDigests {
    /// Reads the section. SHA-256 is computed only if `options` need it: it costs many times what the CRC does.
    pub(super) fn of(section: Section<'_>, options: &UploadOptions) -> Result<Self, Halt> {
        if options.sign_payload || options.checksum == ChecksumAlgorithm::Sha256 {
            let mut digester = Digester::new();
            each_piece(section, |piece| digester.update(piece))?;
            return Ok(digester.finish().into());
        }
        let mut crc = Crc64Nvme::new();
        each_piece(section, |piece| crc.update(piece))?;
        Ok(Self {
            crc64nvme: crc.finish(),
            sha256: None,
        })
    }

    /// What S3 is told.
    pub(super) fn seal(&self, options: &UploadOptions) -> Seal {
        let checksum = match (options.checksum, self.sha256) {
            (ChecksumAlgorithm::Sha256, Some(sha256)) => Checksum::Sha256(sha256),
            _ => Checksum::Crc64Nvme(self.crc64nvme),
        };
        Seal {
            sha256: self.sha256.filter(|_| options.sign_payload),
            checksum,
        }
    }
}

/// The MD5 of a section.
pub(super) fn md5(section: Section<'_>) -> Result<[u8; 16], Halt> {
    let mut md5 = Md5::default();
    each_piece(section, |piece| md5.update(piece))?;
    Ok(md5.finish())
}

fn each_piece(section: Section<'_>, mut each: impl FnMut(&[u8])) -> Result<(), Halt> {
    let mut reader = open(section)?;
    let mut piece = vec![0; PIECE];
    let mut left = section.length;
    while left > 0 {
        match reader.read(&mut piece) {
            Ok(0) => {
                return Err(Halt::Store(local(format!(
                    "the content ends {left} bytes early: has it been changed?"
                ))));
            }
            Ok(read) => {
                each(&piece[..read]);
                left = left.saturating_sub(read as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(&error)),
        }
    }
    Ok(())
}

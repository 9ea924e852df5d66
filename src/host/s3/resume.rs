//! What is remembered of an upload in parts, so that what was sent once is not sent again.

use std::io;
use std::vec::Vec;

use super::digest::ChecksumAlgorithm;
use super::store::{Part, UploadId};

/// An upload in parts that was begun and not completed, as far as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// How S3 names it.
    pub upload: UploadId,
    /// The length of all parts but the last.
    pub part_size: u64,
    /// What the parts' checksums are made with.
    pub checksum: ChecksumAlgorithm,
    /// The parts that S3 has confirmed, in no order.
    pub parts: Vec<Part>,
}

/// Remembers the confirmed parts of one upload, also after the power failed. What it does not remember is sent
/// again; what it remembers wrongly, S3 refuses at the end, and the upload is begun anew.
pub trait PartsJournal: Send {
    /// What is remembered. `None` if there is nothing, or nothing that can be relied on.
    ///
    /// # Errors
    /// The journal is there and cannot be read.
    fn load(&mut self) -> io::Result<Option<Resumed>>;

    /// An upload was begun; whatever was remembered before is forgotten.
    ///
    /// # Errors
    /// It cannot be written.
    fn begin(
        &mut self,
        upload: &UploadId,
        part_size: u64,
        checksum: ChecksumAlgorithm,
    ) -> io::Result<()>;

    /// S3 has confirmed a part.
    ///
    /// # Errors
    /// It cannot be written. The upload goes on all the same.
    fn part(&mut self, part: &Part) -> io::Result<()>;

    /// The upload is completed, or given up.
    ///
    /// # Errors
    /// It cannot be removed.
    fn clear(&mut self) -> io::Result<()>;
}

/// A journal that lives as long as the program: for uploads whose source is gone with it.
#[derive(Debug, Default)]
pub struct MemoryJournal(Option<Resumed>);

impl PartsJournal for MemoryJournal {
    fn load(&mut self) -> io::Result<Option<Resumed>> {
        Ok(self.0.clone())
    }

    fn begin(
        &mut self,
        upload: &UploadId,
        part_size: u64,
        checksum: ChecksumAlgorithm,
    ) -> io::Result<()> {
        self.0 = Some(Resumed {
            upload: upload.clone(),
            part_size,
            checksum,
            parts: Vec::new(),
        });
        Ok(())
    }

    fn part(&mut self, part: &Part) -> io::Result<()> {
        if let Some(resumed) = &mut self.0 {
            resumed.parts.push(part.clone());
        }
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.0 = None;
        Ok(())
    }
}

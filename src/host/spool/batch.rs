//! Several entries at once.

use std::panic::resume_unwind;
use std::thread;
use std::vec::Vec;

use super::Spool;
use super::error::SpoolError;
use super::pending::Pending;
use super::writer::{Added, EntryWriter, Naming};

/// So many threads wait for the disk at the same time.
const SYNCING: usize = 16;

/// They call one function.
const SYNCING_STACK: usize = 64 * 1024;

/// Several entries that are accepted together, and wait for the disk together.
#[derive(Debug)]
pub struct Batch {
    spool: Spool,
    pending: Vec<Pending>,
}

impl Batch {
    pub(super) fn new(spool: &Spool) -> Self {
        Self {
            spool: spool.clone(),
            pending: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes an entry that is complete.
    ///
    /// # Errors
    /// [`SpoolError`]: there is no room for this one. Those that are in the batch stay in it.
    pub fn add(&mut self, writer: EntryWriter, naming: Naming) -> Result<(), SpoolError> {
        self.pending.push(writer.finish(naming)?);
        Ok(())
    }

    /// Accepts all of them, in their order.
    ///
    /// # Errors
    /// [`SpoolError`]. None of them can be relied on then; those that are there nevertheless are whole.
    pub fn commit(mut self) -> Result<Vec<Added>, SpoolError> {
        sync_together(&self.pending)?;
        for pending in &mut self.pending {
            pending.publish()?;
        }
        if !self.is_empty() {
            self.spool.sync_entries()?;
        }
        Ok(self.pending.iter().map(|pending| pending.added).collect())
    }
}

/// One after the other, each file would wait for a write of its own to the medium: the file system puts into one
/// what is asked for at the same time.
fn sync_together(pending: &[Pending]) -> Result<(), SpoolError> {
    if let [one] = pending {
        return one.sync();
    }
    for pending in pending {
        pending.start_writing();
    }
    let share = pending.len().div_ceil(SYNCING).max(1);
    thread::scope(|scope| {
        let shares = pending.chunks(share).map(|share| {
            let sync = move || share.iter().try_for_each(Pending::sync);
            // Without a thread, here.
            thread::Builder::new()
                .stack_size(SYNCING_STACK)
                .spawn_scoped(scope, sync)
                .map_err(|_| sync())
        });
        let shares: Vec<_> = shares.collect();
        shares.into_iter().try_for_each(|share| match share {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(synced) => synced,
        })
    })
}

impl Spool {
    /// Several new entries that wait for the disk together.
    pub fn batch(&self) -> Batch {
        Batch::new(self)
    }
}

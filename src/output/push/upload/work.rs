//! Parts on their way, by one thread or several.

use std::format;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::{self, Vec};

use super::body::{Section, Told, local, send};
use super::digest::SectionDigests;
use super::parts::Plan;
use super::request::request;
use super::whole::{AGAIN, is_other_content};
use super::{Object, Sessions, UploadOptions};
use crate::host::s3::{FaultKind, ObjectStore, Part, PartsJournal, S3Error, UploadId};
use crate::output::push::{Halt, Pace};

/// A part that S3 has taken.
pub(super) struct Done {
    /// With the checksum that it was sent with.
    pub(super) part: Part,
    pub(super) crc64nvme: u64,
    /// Whether S3 has told the checksum as well.
    pub(super) echoed: bool,
}

/// Parts that are to be sent, and what became of them.
pub(super) struct Work<'w, 'p> {
    part: PartSender<'w, 'p>,
    object: &'w Object<'w>,
    plan: &'w Plan,
    queue: Mutex<vec::IntoIter<u32>>,
    journal: Mutex<&'w mut dyn PartsJournal>,
    done: Mutex<Vec<Done>>,
    halted: Mutex<Option<Halt>>,
}

/// What is needed to send one part.
#[derive(Clone, Copy)]
pub(super) struct PartSender<'w, 'p> {
    pub(super) key: &'w str,
    pub(super) upload: &'w UploadId,
    pub(super) sessions: &'w dyn Sessions,
    pub(super) options: &'w UploadOptions,
    pub(super) pace: &'w Pace,
    pub(super) told: &'w Told<'p>,
}

impl<'w, 'p> Work<'w, 'p> {
    pub(super) fn new(
        part: PartSender<'w, 'p>,
        object: &'w Object<'w>,
        plan: &'w Plan,
        missing: Vec<u32>,
        journal: &'w mut dyn PartsJournal,
    ) -> Self {
        Self {
            part,
            object,
            plan,
            queue: Mutex::new(missing.into_iter()),
            journal: Mutex::new(journal),
            done: Mutex::new(Vec::new()),
            halted: Mutex::new(None),
        }
    }

    /// Sends one part after the other, until there are none left or one of them did not get through. What the
    /// other threads are sending then, they send to its end.
    pub(super) fn run(&self, store: &mut dyn ObjectStore) {
        while let Some(number) = self.next() {
            match self
                .part
                .send(store, self.plan.section(self.object, number), number)
            {
                Ok(done) => {
                    // What is not remembered is sent again, should it come to that.
                    let _ = lock(&self.journal).part(&done.part);
                    lock(&self.done).push(done);
                }
                Err(halt) => {
                    lock(&self.halted).get_or_insert(halt);
                }
            }
        }
    }

    /// What S3 has taken, and what kept it from taking the rest.
    pub(super) fn end(self) -> (Vec<Done>, Option<Halt>) {
        let done = self
            .done
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let halted = self
            .halted
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        (done, halted)
    }

    fn next(&self) -> Option<u32> {
        if lock(&self.halted).is_some() {
            return None;
        }
        lock(&self.queue).next()
    }
}

impl PartSender<'_, '_> {
    pub(super) fn send(
        &self,
        store: &mut dyn ObjectStore,
        section: Section<'_>,
        number: u32,
    ) -> Result<Done, Halt> {
        let mut again = 0;
        loop {
            let digests = SectionDigests::of(section, self.options)?;
            let seal = digests.seal(self.options);
            let sent = request(self.sessions, self.pace, |credentials| {
                send(section, seal, self.pace, self.told, |body| {
                    store.put_part(credentials, self.key, self.upload, number, body)
                })
            });
            match sent {
                Ok(part) if part.checksum.is_none_or(|echo| echo == seal.checksum) => {
                    let echoed = part.checksum.is_some();
                    let part = Part {
                        number,
                        etag: part.etag,
                        length: section.length,
                        checksum: Some(seal.checksum),
                    };
                    return Ok(Done {
                        part,
                        crc64nvme: digests.crc64nvme,
                        echoed,
                    });
                }
                Ok(_) => {
                    self.told.tell(|progress| progress.again(section.length));
                    if again == AGAIN {
                        return Err(Halt::Store(S3Error {
                            kind: FaultKind::Server,
                            status: Some(200),
                            ..local(format!(
                                "S3 says that part {number} of {} has another checksum than what was sent",
                                self.key
                            ))
                        }));
                    }
                }
                Err(Halt::Store(error)) if is_other_content(&error) && again < AGAIN => {}
                Err(halt) => return Err(halt),
            }
            again += 1;
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

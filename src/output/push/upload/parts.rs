//! An object in parts.

use std::collections::HashSet;
use std::format;
use std::string::String;
use std::time::Instant;
use std::vec::Vec;

use super::body::{Section, Told, local};
use super::confirm::{Expected, is_refusal};
use super::digest::{SectionDigests, md5};
use super::options::Extra;
use super::request::{last_request, request};
use super::whole::rotten;
use super::work::{Done, PartSender, Work};
use super::{MAX_PARTS, MIN_PART, Object, Uploader};
use crate::core::text::Hex;
use crate::host::s3::{
    Checksum, ChecksumAlgorithm, Completed, Crc64Nvme, Digester, FaultKind, Md5, Part,
    PartsJournal, Resumed, S3Error, UploadId,
};
use crate::output::push::{Halt, Outcome, Progress};

/// How often an upload is begun in one go.
const ROUNDS: u32 = 3;

/// An upload in parts that is under way.
pub(super) struct Plan {
    pub(super) upload: UploadId,
    pub(super) part_size: u64,
    /// How many parts there are in all.
    pub(super) count: u32,
    /// Those that S3 has.
    pub(super) done: Vec<Done>,
}

/// How one go at it ends, if it does not end in a [`Halt`].
pub(super) enum Round {
    Ended(Outcome),
    /// S3 has no use for what it has got: everything is to be sent again.
    Anew(S3Error),
    /// It does not take the end of this upload: because it does not know it any more, or because nothing is allowed.
    /// That shows with whether another one can be begun; until then nothing is given up.
    Doubtful(S3Error, UploadId),
}

impl Plan {
    pub(super) fn section<'a>(&self, object: &Object<'a>, number: u32) -> Section<'a> {
        let offset = u64::from(number - 1) * self.part_size;
        Section {
            content: object.content,
            offset,
            length: self.part_size.min(object.length - offset),
        }
    }
}

impl Uploader<'_> {
    /// `resumed` is what the journal remembers.
    pub(super) fn in_parts(
        &mut self,
        object: &Object<'_>,
        part_size: u64,
        resumed: Option<Resumed>,
        journal: &mut dyn PartsJournal,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, Halt> {
        let told = Told::to(progress);
        let mut resumed = match resumed {
            Some(resumed) => self.take_up(object, resumed, journal)?,
            None => None,
        };
        let (mut failed, mut doubtful) = (None, None);
        for _ in 0..ROUNDS {
            let plan = match resumed.take() {
                Some(plan) => Ok(plan),
                None => self.begin(object, part_size, journal),
            };
            if let (Ok(_), Some(upload)) = (&plan, doubtful.take()) {
                self.abort(object.key, &upload);
                told.tell(|progress| progress.again(object.length));
            }
            let round = match plan {
                Ok(plan) => self.round(object, plan, journal, &told),
                Err(halt) => sort(halt),
            };
            match round? {
                Round::Ended(outcome) => return Ok(outcome),
                Round::Anew(error) => failed = Some(error),
                Round::Doubtful(error, upload) => {
                    failed = Some(error);
                    doubtful = Some(upload);
                }
            }
        }
        Err(Halt::Store(failed.unwrap_or_else(|| {
            local("the upload was not begun".into())
        })))
    }

    /// An upload that is given up for good: the journal forgets it, and S3 is told where that is allowed. Where it is
    /// not, a rule of the bucket's life cycle has to end it.
    pub fn abandon(&mut self, key: &str, journal: &mut dyn PartsJournal) {
        if let Ok(Some(resumed)) = journal.load() {
            self.give_up(key, &resumed.upload, journal);
        }
    }

    /// What the journal remembers, if it can be gone on with.
    fn take_up(
        &mut self,
        object: &Object<'_>,
        resumed: Resumed,
        journal: &mut dyn PartsJournal,
    ) -> Result<Option<Plan>, Halt> {
        let count = object.length.div_ceil(resumed.part_size.max(1));
        if resumed.checksum != self.options.checksum
            || resumed.part_size < MIN_PART
            || count > MAX_PARTS
        {
            self.give_up(object.key, &resumed.upload, journal);
            return Ok(None);
        }
        let mut plan = Plan {
            upload: resumed.upload,
            part_size: resumed.part_size,
            count: count as u32,
            done: Vec::new(),
        };
        for part in resumed.parts {
            if !(1..=plan.count).contains(&part.number) {
                continue;
            }
            let section = plan.section(object, part.number);
            let crc64nvme = match part.checksum {
                _ if part.length != section.length => continue,
                Some(Checksum::Crc64Nvme(crc)) => crc,
                // A CRC of the whole is computed from the parts' CRCs, which S3 did not get to know here.
                Some(Checksum::Sha256(sha256)) => {
                    let digests = SectionDigests::of(section, self.options)?;
                    if digests.sha256 != Some(sha256) {
                        continue;
                    }
                    digests.crc64nvme
                }
                _ => continue,
            };
            plan.done.push(Done {
                part,
                crc64nvme,
                echoed: true,
            });
        }
        // Of two parts with one number S3 has the later one.
        plan.done.reverse();
        plan.done.sort_by_key(|done| done.part.number);
        plan.done.dedup_by_key(|done| done.part.number);
        Ok(Some(plan))
    }

    fn begin(
        &mut self,
        object: &Object<'_>,
        part_size: u64,
        journal: &mut dyn PartsJournal,
    ) -> Result<Plan, Halt> {
        let upload = request(self.sessions, self.pace, |credentials| {
            self.store
                .create_upload(
                    credentials,
                    object.key,
                    object.attributes,
                    self.options.checksum,
                )
                .map_err(Halt::Store)
        })?;
        // A disk that is full is no reason not to upload what is on it: it is sent from the beginning after a
        // break then.
        if journal
            .begin(&upload, part_size, self.options.checksum)
            .is_err()
        {
            let _ = journal.clear();
        }
        let count = object.length.div_ceil(part_size) as u32;
        Ok(Plan {
            upload,
            part_size,
            count,
            done: Vec::new(),
        })
    }

    fn round(
        &mut self,
        object: &Object<'_>,
        mut plan: Plan,
        journal: &mut dyn PartsJournal,
        told: &Told<'_>,
    ) -> Result<Round, Halt> {
        let kept: u64 = plan.done.iter().map(|done| done.part.length).sum();
        let had = plan.done.len();
        if kept > 0 {
            told.tell(|progress| progress.resumed(kept));
        }
        if let Err(halt) = self.send_missing(object, &mut plan, journal, told) {
            let round = sort(halt)?;
            self.give_up(object.key, &plan.upload, journal);
            told.tell(|progress| {
                progress.again(plan.done.iter().map(|done| done.part.length).sum());
            });
            return Ok(round);
        }
        plan.done.sort_unstable_by_key(|done| done.part.number);
        let expected = expected(object.length, &plan.done);
        if object
            .digests
            .is_some_and(|known| Some(known.crc64nvme) != expected.crc64nvme)
        {
            self.give_up(object.key, &plan.upload, journal);
            told.tell(|progress| progress.again(object.length));
            // What was remembered may be of something else; what was read just now is not.
            return Ok(if had > 0 {
                Round::Anew(rotten())
            } else {
                Round::Ended(Outcome::Poison(rotten()))
            });
        }
        let may_be_there = had == plan.done.len();
        let round = self.complete(object, &plan, &expected, may_be_there, || {
            etag(object, &plan)
        })?;
        match &round {
            Round::Ended(Outcome::Confirmed(_) | Outcome::Unconfirmed(_)) => {
                let _ = journal.clear();
            }
            Round::Ended(_) => self.give_up(object.key, &plan.upload, journal),
            Round::Anew(_) => {
                self.give_up(object.key, &plan.upload, journal);
                told.tell(|progress| progress.again(object.length));
            }
            Round::Doubtful(..) => {}
        }
        Ok(round)
    }

    /// Sends what S3 has not, with all the stores that there are.
    fn send_missing(
        &mut self,
        object: &Object<'_>,
        plan: &mut Plan,
        journal: &mut dyn PartsJournal,
        told: &Told<'_>,
    ) -> Result<(), Halt> {
        let had: HashSet<u32> = plan.done.iter().map(|done| done.part.number).collect();
        let missing: Vec<u32> = (1..=plan.count)
            .filter(|number| !had.contains(number))
            .collect();
        let helpers = missing.len().saturating_sub(1).min(self.helpers.len());
        let sender = PartSender {
            key: object.key,
            upload: &plan.upload,
            sessions: self.sessions,
            options: self.options,
            pace: self.pace,
            told,
        };
        let work = Work::new(sender, object, plan, missing, journal);
        if helpers == 0 {
            work.run(self.store);
        } else {
            let (work, store, helpers) = (&work, &mut *self.store, &mut self.helpers[..helpers]);
            std::thread::scope(|scope| {
                for helper in helpers {
                    scope.spawn(|| work.run(&mut **helper));
                }
                work.run(store);
            });
        }
        let (done, halted) = work.end();
        plan.done.extend(done);
        halted.map_or(Ok(()), Err)
    }

    /// Ends the upload. `may_be_there` is whether it may have been ended before, and the answer got lost; `etag`
    /// computes the ETag.
    pub(super) fn complete(
        &mut self,
        object: &Object<'_>,
        plan: &Plan,
        expected: &Expected,
        may_be_there: bool,
        etag: impl Fn() -> Result<String, Halt>,
    ) -> Result<Round, Halt> {
        let parts: Vec<Part> = plan.done.iter().map(|done| done.part.clone()).collect();
        let checksum = match (self.options.checksum, expected.of_parts, expected.crc64nvme) {
            (ChecksumAlgorithm::Sha256, Some((hash, count)), _) => {
                Checksum::Sha256OfParts(hash, count)
            }
            (_, _, crc) => Checksum::Crc64Nvme(crc.unwrap_or_default()),
        };
        let completed = Completed {
            parts: &parts,
            length: object.length,
            checksum,
            only_if_absent: object.attributes.only_if_absent,
        };
        let refused_since = self.allowed.take_refused_end(&plan.upload);
        let answer = request(self.sessions, self.pace, |credentials| {
            self.store
                .complete(credentials, object.key, &plan.upload, &completed)
                .map_err(Halt::Store)
        });
        let error = match answer {
            Ok(stored) => {
                return self
                    .confirm(object, stored, expected, etag)
                    .map(Round::Ended);
            }
            Err(Halt::Store(error)) => error,
            Err(halt) => return Err(halt),
        };
        match error.kind {
            FaultKind::Exists => self.settle(object, expected, etag).map(Round::Ended),
            // Some servers say of an upload that they do not know any more that it is not allowed (403).
            FaultKind::Restart | FaultKind::Refused if may_be_there => {
                match self.look(object.key, false)? {
                    Some(found) if expected.judge(&found) == Some(true) => {
                        Ok(Round::Ended(Outcome::Confirmed(found)))
                    }
                    _ if error.kind == FaultKind::Restart => Ok(Round::Anew(error)),
                    _ => match refused_since {
                        None => Ok(Round::Doubtful(error, plan.upload.clone())),
                        // S3 knew it then: another one would be refused as well, with everything sent again.
                        Some(since) => {
                            self.allowed.refuse_end(&plan.upload, since);
                            Err(Halt::Store(error))
                        }
                    },
                }
            }
            kind => {
                // It has just taken parts of it.
                if kind == FaultKind::Refused {
                    self.allowed.refuse_end(&plan.upload, Instant::now());
                }
                sort(Halt::Store(error))
            }
        }
    }

    fn give_up(&mut self, key: &str, upload: &UploadId, journal: &mut dyn PartsJournal) {
        let _ = journal.clear();
        self.abort(key, upload);
    }

    /// Tells S3 that nothing more comes, where that is allowed. Parts that stay cost money, and do no other harm.
    pub(super) fn abort(&mut self, key: &str, upload: &UploadId) {
        if !self.allowed.may(Extra::Abort) {
            return;
        }
        let aborted = last_request(self.sessions, |credentials| {
            self.store
                .abort(credentials, key, upload)
                .map_err(Halt::Store)
        });
        if matches!(aborted, Err(Halt::Store(error)) if is_refusal(&error)) {
            self.allowed.refuse(Extra::Abort);
        }
    }
}

/// What a failure of any of the requests but the last one means.
fn sort(halt: Halt) -> Result<Round, Halt> {
    match halt {
        Halt::Store(error) if error.kind == FaultKind::Restart => Ok(Round::Anew(error)),
        Halt::Store(error) if error.kind == FaultKind::Object => {
            Ok(Round::Ended(Outcome::Poison(error)))
        }
        halt => Err(halt),
    }
}

/// The checksums of the whole, from those of its parts, which are in order.
pub(super) fn expected(length: u64, parts: &[Done]) -> Expected {
    let mut crc64nvme = 0;
    let mut hashes = Digester::new();
    let mut hashed = 0;
    for done in parts {
        crc64nvme = Crc64Nvme::combine(crc64nvme, done.crc64nvme, done.part.length);
        if let Some(Checksum::Sha256(hash)) = &done.part.checksum {
            hashes.update(hash);
            hashed += 1;
        }
    }
    let of_parts = (hashed == parts.len()).then(|| (hashes.finish().sha256, hashed as u32));
    Expected {
        length,
        crc64nvme: Some(crc64nvme),
        sha256: None,
        of_parts,
    }
}

/// The `ETag` of an object in parts, where it is one of MD5s.
fn etag(object: &Object<'_>, plan: &Plan) -> Result<String, Halt> {
    let md5s = (1..=plan.count).map(|number| md5(plan.section(object, number)));
    Ok(etag_of_md5s(&md5s.collect::<Result<Vec<_>, _>>()?))
}

/// The MD5 of the parts' MD5s, and how many they are.
pub(super) fn etag_of_md5s(md5s: &[[u8; 16]]) -> String {
    let mut of_parts = Md5::default();
    of_parts.update(md5s.as_flattened());
    format!("\"{}-{}\"", Hex(&of_parts.finish()), md5s.len())
}

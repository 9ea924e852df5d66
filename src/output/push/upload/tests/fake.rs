//! An S3 in memory that fails on a schedule.

use std::collections::HashMap;
use std::format;
use std::io::Read as _;
use std::string::{String, ToString as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::vec::Vec;

use super::super::Halt;
use super::world::{Begun, Manners, World, etag_of, refusal};
use crate::host::s3::{
    Attributes, Body, Checksum, ChecksumAlgorithm, Completed, Digests, FaultKind, ObjectStore,
    Part, PartList, S3Error, Stored, UploadId,
};
use crate::host::session::Credentials;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It never arrives.
    LostBefore,
    /// It is done, and the answer gets lost.
    LostAfter,
    /// The connection breaks in the middle of the body.
    Cut,
    /// It is refused: with a kind, a status and a code.
    Refused(FaultKind, u16, &'static str),
}

/// What a request is for, as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Put,
    Create,
    PutPart,
    Complete,
    Abort,
    Head,
}

/// A connection to it.
#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Arc<Mutex<World>>);

impl Fake {
    pub(super) fn with(manners: Manners) -> Self {
        Self(Arc::new(Mutex::new(World {
            manners,
            ..World::default()
        })))
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(super) fn fail(&self, request: usize, fault: Fault) {
        self.world().faults.insert(request, fault);
    }

    /// The request after so many others, from now on.
    pub(super) fn fail_later(&self, others: usize, fault: Fault) {
        let made = self.world().requests.len();
        self.fail(made + others, fault);
    }

    pub(super) fn content(&self, key: &str) -> Option<Vec<u8>> {
        self.world()
            .objects
            .get(key)
            .map(|found| found.content.clone())
    }

    pub(super) fn count(&self, operation: Operation) -> usize {
        let is_it = |request: &&(Operation, String)| request.0 == operation;
        self.world().requests.iter().filter(is_it).count()
    }

    /// Uploads in parts that are neither completed nor aborted.
    pub(super) fn left_over(&self) -> usize {
        self.world().begun.len()
    }

    /// S3 forgets all uploads in parts, as a rule of the bucket's life cycle has it.
    pub(super) fn forget_uploads(&self) {
        self.world().begun.clear();
    }

    fn request<T>(
        &self,
        operation: Operation,
        credentials: &Credentials,
        body: Option<Body<'_>>,
        effect: impl FnOnce(&mut World, Vec<u8>, Option<Checksum>) -> Result<T, S3Error>,
    ) -> Result<T, S3Error> {
        let mut world = self.world();
        let number = world.requests.len();
        world
            .requests
            .push((operation, credentials.access_key_id.clone()));
        let fault = world.faults.remove(&number);
        let expired = world.expired.contains(&credentials.access_key_id);
        let compares = world.manners.compares;
        drop(world);
        let lost = || refusal(FaultKind::Network, 0, "");
        match fault {
            Some(Fault::LostBefore) => return Err(lost()),
            Some(Fault::Refused(kind, status, code)) => return Err(refusal(kind, status, code)),
            _ if expired => return Err(refusal(FaultKind::Credentials, 400, "ExpiredToken")),
            _ => {}
        }
        let (mut content, mut checksum) = (Vec::new(), None);
        if let Some(body) = body {
            let wanted = if fault == Some(Fault::Cut) {
                body.length / 2
            } else {
                body.length
            };
            let read = body.reader.take(wanted).read_to_end(&mut content);
            // Whoever sends cannot, as its client would say.
            read.map_err(|error| refusal(FaultKind::Content, 0, &error.to_string()))?;
            if fault == Some(Fault::Cut) {
                return Err(lost());
            }
            assert_eq!(content.len() as u64, body.length);
            let digests = Digests::of(&content);
            let stored = digests.checksum(body.checksum.algorithm());
            if compares && body.sha256.is_some_and(|hash| hash != digests.sha256) {
                return Err(refusal(FaultKind::Object, 400, "XAmzContentSHA256Mismatch"));
            }
            if compares && stored != body.checksum {
                return Err(refusal(FaultKind::Object, 400, "BadDigest"));
            }
            checksum = Some(stored);
        }
        let mut world = self.world();
        world.received += content.len() as u64;
        let done = effect(&mut world, content, checksum);
        if fault == Some(Fault::LostAfter) {
            Err(lost())
        } else {
            done
        }
    }
}

impl ObjectStore for Fake {
    fn put(
        &mut self,
        credentials: &Credentials,
        key: &str,
        attributes: &Attributes,
        body: Body<'_>,
    ) -> Result<Stored, S3Error> {
        self.request(
            Operation::Put,
            credentials,
            Some(body),
            |world, content, checksum| {
                let etag = etag_of(&content);
                let absent = attributes.only_if_absent;
                world.keep(key, attributes, content, etag, checksum.unwrap(), absent)
            },
        )
    }

    fn create_upload(
        &mut self,
        credentials: &Credentials,
        _key: &str,
        attributes: &Attributes,
        algorithm: ChecksumAlgorithm,
    ) -> Result<UploadId, S3Error> {
        self.request(Operation::Create, credentials, None, |world, _, _| {
            world.uploads += 1;
            let id = format!("upload/{}", world.uploads);
            let attributes = attributes.clone();
            world.begun.insert(
                id.clone(),
                Begun {
                    attributes,
                    algorithm,
                    parts: HashMap::new(),
                },
            );
            Ok(UploadId(id))
        })
    }

    fn put_part(
        &mut self,
        credentials: &Credentials,
        _key: &str,
        upload: &UploadId,
        number: u32,
        body: Body<'_>,
    ) -> Result<Part, S3Error> {
        self.request(
            Operation::PutPart,
            credentials,
            Some(body),
            |world, content, checksum| {
                let echoes = world.manners.echoes;
                let Some(begun) = world.begun.get_mut(&upload.0) else {
                    return Err(refusal(FaultKind::Restart, 404, "NoSuchUpload"));
                };
                let part = Part {
                    number,
                    etag: etag_of(&content),
                    length: content.len() as u64,
                    checksum: checksum.filter(|_| echoes),
                };
                begun.parts.insert(number, content);
                Ok(part)
            },
        )
    }

    fn complete(
        &mut self,
        credentials: &Credentials,
        key: &str,
        upload: &UploadId,
        completed: &Completed<'_>,
    ) -> Result<Stored, S3Error> {
        self.request(Operation::Complete, credentials, None, |world, _, _| {
            world.assemble(key, upload, completed)
        })
    }

    fn abort(
        &mut self,
        credentials: &Credentials,
        _key: &str,
        upload: &UploadId,
    ) -> Result<(), S3Error> {
        self.request(Operation::Abort, credentials, None, |world, _, _| {
            if !world.manners.may_abort {
                return Err(refusal(FaultKind::Refused, 403, "AccessDenied"));
            }
            world.begun.remove(&upload.0);
            Ok(())
        })
    }

    fn parts(
        &mut self,
        _credentials: &Credentials,
        _key: &str,
        _upload: &UploadId,
    ) -> Result<PartList, S3Error> {
        panic!("the journal knows the parts");
    }

    fn head(&mut self, credentials: &Credentials, key: &str) -> Result<Option<Stored>, S3Error> {
        self.request(Operation::Head, credentials, None, |world, _, _| {
            let is_hidden = !world.manners.may_list && !world.objects.contains_key(key);
            if !world.manners.may_head || is_hidden {
                return Err(refusal(FaultKind::Refused, 403, ""));
            }
            Ok(world.objects.get(key).map(|found| Stored {
                checksum: found
                    .stored
                    .checksum
                    .filter(|_| world.manners.head_has_checksums),
                length: Some(found.content.len() as u64),
                ..found.stored.clone()
            }))
        })
    }
}

/// Whether asking again may help.
pub(super) fn is_passing(halt: &Halt) -> bool {
    !matches!(halt, Halt::Store(error) if error.kind == FaultKind::Refused)
}

//! An S3 in memory that fails on a schedule.

use std::collections::HashMap;
use std::format;
use std::io::Read as _;
use std::string::{String, ToString as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::vec;
use std::vec::Vec;

use super::super::body::local;
use super::super::{Halt, Sessions};
use crate::core::time::UnixTime;
use crate::host::refresh::{Failure, FailureKind};
use crate::host::s3::{
    Attributes, Body, Checksum, ChecksumAlgorithm, Completed, Digester, Digests, Encryption,
    FaultKind, Md5, ObjectStore, Part, PartList, S3Error, Stored, UploadId,
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

#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) content: Vec<u8>,
    pub(super) attributes: Attributes,
    pub(super) stored: Stored,
}

#[derive(Debug, Default)]
struct Begun {
    attributes: Attributes,
    algorithm: ChecksumAlgorithm,
    parts: HashMap<u32, Vec<u8>>,
}

/// How this S3 is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// Compares what arrives with its checksum.
    pub(super) compares: bool,
    /// Tells the checksum of what it stored.
    pub(super) echoes: bool,
    /// Has checksums in the answers to HEAD.
    pub(super) head_has_checksums: bool,
    /// `s3:GetObject` is allowed.
    pub(super) may_head: bool,
    /// `s3:ListBucket` is allowed.
    pub(super) may_list: bool,
    /// `s3:AbortMultipartUpload` is allowed.
    pub(super) may_abort: bool,
    /// ETags are something else than MD5s.
    pub(super) odd_etags: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            compares: true,
            echoes: true,
            head_has_checksums: true,
            may_head: true,
            may_list: true,
            may_abort: true,
            odd_etags: false,
        }
    }
}

#[derive(Default)]
pub(super) struct World {
    pub(super) manners: Manners,
    pub(super) objects: HashMap<String, Found>,
    begun: HashMap<String, Begun>,
    uploads: u32,
    /// What happens to the request of this number, from 0.
    pub(super) faults: HashMap<usize, Fault>,
    /// Each request, and whose credentials it came with.
    pub(super) requests: Vec<(Operation, String)>,
    /// Bytes of bodies that arrived whole.
    pub(super) received: u64,
    /// Access keys that are over.
    pub(super) expired: Vec<String>,
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

impl World {
    fn keep(
        &mut self,
        key: &str,
        attributes: &Attributes,
        content: Vec<u8>,
        md5: String,
        checksum: Checksum,
        only_if_absent: bool,
    ) -> Result<Stored, S3Error> {
        if only_if_absent && self.objects.contains_key(key) {
            return Err(refusal(FaultKind::Exists, 412, "PreconditionFailed"));
        }
        let kms = matches!(attributes.encryption, Some(Encryption::Kms { .. }));
        let stored = Stored {
            etag: if kms || self.manners.odd_etags {
                format!("\"odd-{}\"", self.requests.len())
            } else {
                md5
            },
            checksum: Some(checksum),
            encryption: kms.then(|| "aws:kms".into()),
            length: None,
            ..Stored::default()
        };
        let found = Found {
            content,
            attributes: attributes.clone(),
            stored: stored.clone(),
        };
        self.objects.insert(key.into(), found);
        Ok(self.answer(stored))
    }

    fn answer(&self, stored: Stored) -> Stored {
        Stored {
            checksum: stored.checksum.filter(|_| self.manners.echoes),
            ..stored
        }
    }

    fn assemble(
        &mut self,
        key: &str,
        upload: &UploadId,
        completed: &Completed<'_>,
    ) -> Result<Stored, S3Error> {
        let Some(begun) = self.begun.get(&upload.0) else {
            return Err(refusal(FaultKind::Restart, 404, "NoSuchUpload"));
        };
        let (mut content, mut md5s, mut hashes) = (Vec::new(), Md5::default(), Digester::new());
        for (at, part) in completed.parts.iter().enumerate() {
            assert_eq!(part.number as usize, at + 1, "parts in order");
            let Some(bytes) = begun.parts.get(&part.number) else {
                return Err(refusal(FaultKind::Restart, 400, "InvalidPart"));
            };
            if etag_of(bytes) != part.etag {
                return Err(refusal(FaultKind::Restart, 400, "InvalidPart"));
            }
            assert!(bytes.len() >= 5 << 20 || at + 1 == completed.parts.len());
            content.extend_from_slice(bytes);
            md5s.update(&md5_of(bytes));
            hashes.update(&Digests::of(bytes).sha256);
        }
        assert_eq!(completed.length, content.len() as u64);
        let count = completed.parts.len() as u32;
        let checksum = match begun.algorithm {
            ChecksumAlgorithm::Crc64Nvme => Checksum::Crc64Nvme(Digests::of(&content).crc64nvme),
            ChecksumAlgorithm::Sha256 => Checksum::Sha256OfParts(hashes.finish().sha256, count),
        };
        if checksum != completed.checksum {
            return Err(refusal(FaultKind::Object, 400, "BadDigest"));
        }
        let etag = Md5::etag(&md5s.finish());
        let etag = format!("{}-{count}\"", etag.trim_end_matches('"'));
        let attributes = begun.attributes.clone();
        let stored = self.keep(
            key,
            &attributes,
            content,
            etag,
            checksum,
            completed.only_if_absent,
        )?;
        self.begun.remove(&upload.0);
        Ok(stored)
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

/// Sessions that are numbered: `AKID0`, `AKID1`… The last one is good for ever.
#[derive(Default)]
pub(super) struct Numbered {
    now: Mutex<Vec<Arc<Credentials>>>,
    /// How many there are.
    pub(super) most: usize,
}

impl Numbered {
    pub(super) fn up_to(most: usize) -> Self {
        Self {
            now: Mutex::default(),
            most,
        }
    }
}

impl Sessions for Numbered {
    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        let mut now = self.now.lock().unwrap();
        if now.is_empty() {
            now.push(session(0));
        }
        now.last().cloned().ok_or_else(|| Failure {
            kind: FailureKind::Temporary,
            what: "none".into(),
            remedy: String::new(),
        })
    }

    fn refused(&self, used: &Arc<Credentials>) {
        let mut now = self.now.lock().unwrap();
        let next = now.len();
        if now.last().is_some_and(|last| Arc::ptr_eq(last, used)) && next < self.most {
            now.push(session(next));
        }
    }
}

fn session(number: usize) -> Arc<Credentials> {
    Arc::new(Credentials {
        access_key_id: format!("AKID{number}"),
        secret_access_key: String::from("secret").into(),
        session_token: String::from("token").into(),
        expiration: UnixTime::from_secs(4_000_000_000),
        role_arn: String::new(),
    })
}

pub(super) fn refusal(kind: FaultKind, status: u16, code: &str) -> S3Error {
    S3Error {
        kind,
        status: Some(status).filter(|status| *status != 0),
        code: code.into(),
        ..local(format!("{kind:?} {code}"))
    }
}

/// Whether asking again may help.
pub(super) fn is_passing(halt: &Halt) -> bool {
    !matches!(halt, Halt::Store(error) if error.kind == FaultKind::Refused)
}

fn md5_of(content: &[u8]) -> [u8; 16] {
    let mut md5 = Md5::default();
    md5.update(content);
    md5.finish()
}

pub(super) fn etag_of(content: &[u8]) -> String {
    Md5::etag(&md5_of(content))
}

/// A content in which no two blocks are the same.
pub(super) fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; length];
    for (number, block) in bytes.chunks_mut(4096).enumerate() {
        let number = (number as u64 + 1).to_le_bytes();
        let most = number.len().min(block.len());
        block[..most].copy_from_slice(&number[..most]);
    }
    bytes
}

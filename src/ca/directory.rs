//! An authority in a directory:
//!
//! | file | what |
//! |---|---|
//! | `root.pem`, `root.key` | the root: what IAM Roles Anywhere takes as trust anchor |
//! | `intermediate.pem`, `intermediate.key` | if they are there, they issue, and the root's key may be taken away |
//! | `index.json` | what was issued and revoked |
//! | `crl.pem` | the last revocation list |
//! | `challenges/` | challenges that wait for the answer of a TPM |

use core::time::Duration;
use std::borrow::ToOwned as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::string::ToString as _;
use std::vec;
use std::vec::Vec;

use super::certificate::certificate_pem;
use super::challenges::Proof;
use super::index::Index;
use super::validity::later;
use super::{
    Authority, Error, KeyType, PrivateKey, Reason, Record, Revocation, Subject, Template, Validity,
};
use crate::backend::file::{open_key, read_certificates};
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::host::files::{Access, NewFiles, replace};
use crate::host::pkix::pem;
use crate::host::serial::Serial;

/// An authority in a directory, open for one process at a time.
pub struct Directory {
    path: PathBuf,
    authority: Authority,
    index: Index,
    /// Holds the lock on the directory.
    _lock: File,
}

/// What a new authority is to be.
#[derive(Debug, Clone)]
pub struct NewAuthority {
    /// The root's name.
    pub root: Subject,
    /// The name of the intermediate that issues in its place, if there is to be one.
    pub intermediate: Option<Subject>,
    /// The kind of their keys.
    pub key_type: KeyType,
    /// How long they are valid.
    pub validity: Validity,
}

/// The key that a certificate is for.
#[derive(Debug, Clone, Copy)]
pub enum CertifiedKey<'a> {
    /// A new one of this kind, written to a new file.
    New(KeyType, &'a Path),
    /// That of someone else: a DER `SubjectPublicKeyInfo`.
    Public(&'a [u8]),
    /// One that is in a TPM. The proof counts once.
    Proven(&'a Proof),
}

const ROOT: &str = "root";
const INTERMEDIATE: &str = "intermediate";
const INDEX: &str = "index.json";
const CRL: &str = "crl.pem";

impl Directory {
    /// Makes a new authority in `path`, which is made if it is not there, and gives the files that
    /// were written.
    ///
    /// # Errors
    /// [`Error::Exists`] if one of the files is there already; then, and after every other
    /// [`Error`], nothing was written.
    pub fn create(path: &Path, plan: &NewAuthority) -> Result<Vec<PathBuf>, Error> {
        let mut files = NewFiles::default();
        let key = PrivateKey::generate(plan.key_type)?;
        let path_len = plan.intermediate.is_some().into();
        let mut root = Authority::new_root(plan.root.clone(), &key, path_len, plan.validity)?;
        let mut written = stage_authority(&mut files, path, ROOT, &root, &key)?;
        if let Some(subject) = &plan.intermediate {
            let key = PrivateKey::generate(plan.key_type)?;
            let intermediate = root.new_intermediate(subject.clone(), &key, plan.validity)?;
            let more = stage_authority(&mut files, path, INTERMEDIATE, &intermediate, &key)?;
            written.extend(more);
        }
        let index = path.join(INDEX);
        files.file(&index, &Index::default().to_json()?, Access::Everyone)?;
        written.push(index);
        files.commit()?;
        Ok(written)
    }

    /// Opens the authority in `path`, after other processes have closed it.
    ///
    /// # Errors
    /// [`Error::NoAuthority`] if there is none; [`Error`] by what cannot be read or does not fit.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let certificate_of = |name: &str| path.join(name).with_extension("pem");
        if !certificate_of(ROOT).exists() {
            return Err(Error::NoAuthority(path.to_owned()));
        }
        let lock = File::open(path)
            .and_then(|directory| directory.lock().map(|()| directory))
            .map_err(Error::io("cannot lock", path))?;
        let mut chain = read_certificates(&certificate_of(ROOT))?;
        let mut issuing = ROOT;
        if certificate_of(INTERMEDIATE).exists() {
            issuing = INTERMEDIATE;
            chain.splice(..0, read_certificates(&certificate_of(INTERMEDIATE))?);
        }
        let key = path.join(issuing).with_extension("key");
        let signer = open_key(&key, &mut || Ok(None))?;
        Ok(Self {
            authority: Authority::from_parts(chain, signer)?,
            index: Index::read(&path.join(INDEX))?,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the root's certificate in `path`.
    pub fn root_certificate_path(path: &Path) -> PathBuf {
        path.join(ROOT).with_extension("pem")
    }

    /// The file of the last revocation list in `path`.
    pub fn revocation_list_path(path: &Path) -> PathBuf {
        path.join(CRL)
    }

    /// The authority itself.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What it issued, the oldest first.
    pub fn records(&self) -> &[Record] {
        &self.index.certificates
    }

    /// The file with the certificate between those that are issued and the root, if there is one.
    pub fn intermediate_path(&self) -> Option<PathBuf> {
        let has_intermediate = !self.authority.intermediates().is_empty();
        has_intermediate.then(|| self.path.join(INTERMEDIATE).with_extension("pem"))
    }

    /// Issues a certificate and writes it to the new file `certificate`, and with the intermediates
    /// after it to the new file `chain`, if there is to be one.
    ///
    /// # Errors
    /// [`Error::Exists`] if one of the files is there already; then, and after every other
    /// [`Error`], no file was written. A proof is used up only if the files could not be given their names.
    pub fn issue(
        &mut self,
        template: &Template,
        key: CertifiedKey<'_>,
        certificate: &Path,
        chain: Option<&Path>,
    ) -> Result<Record, Error> {
        let mut files = NewFiles::default();
        let leaf = match key {
            CertifiedKey::Public(public_key) => self.authority.certify(template, public_key)?,
            CertifiedKey::Proven(proof) => self.authority.certify(template, proof.public_key())?,
            CertifiedKey::New(kind, path) => {
                let key = PrivateKey::generate(kind)?;
                files.file(path, key.to_pem()?.as_bytes(), Access::Owner)?;
                self.authority
                    .certify(template, key.signer()?.public_key())?
            }
        };
        let mut text = certificate_pem(&leaf)?;
        files.file(certificate, text.as_bytes(), Access::Everyone)?;
        if let Some(chain) = chain {
            for intermediate in self.authority.intermediates() {
                text += &certificate_pem(intermediate)?;
            }
            files.file(chain, text.as_bytes(), Access::Everyone)?;
        }

        let record = Record {
            serial: Serial::new(Certificate::from_der(&leaf)?.serial),
            subject: template.subject.to_string(),
            not_before: template.validity.not_before,
            not_after: template.validity.not_after,
            revoked: None,
        };
        // A certificate that nobody has is better in the index than one that somebody has is not.
        self.index.certificates.push(record.clone());
        self.write_index()?;
        // Whatever can be wrong with what was asked for was found by now.
        let spent = match key {
            CertifiedKey::Proven(proof) => proof.spend(),
            CertifiedKey::New(..) | CertifiedKey::Public(_) => Ok(()),
        };
        if let Err(error) = spent.and_then(|()| Ok(files.commit()?)) {
            self.index.certificates.pop();
            self.write_index()?;
            return Err(error);
        }
        Ok(record)
    }

    /// The serial number of a certificate in a file, which must be one that this authority issued.
    ///
    /// # Errors
    /// [`Error::OtherAuthority`], or another [`Error`] if the file cannot be read.
    pub fn serial_in(&self, certificate: &Path) -> Result<Serial, Error> {
        let leaf = read_certificates(certificate)?.swap_remove(0);
        let leaf = Certificate::from_der(&leaf)?;
        if leaf.issuer != Certificate::from_der(self.authority.certificate())?.subject {
            return Err(Error::OtherAuthority(certificate.to_owned()));
        }
        Ok(Serial::new(leaf.serial))
    }

    /// Notes in the index that a certificate is revoked. The next revocation list says so.
    ///
    /// # Errors
    /// [`Error::NotIssued`] and [`Error::AlreadyRevoked`].
    pub fn revoke(
        &mut self,
        serial: &Serial,
        reason: Reason,
        now: UnixTime,
    ) -> Result<Record, Error> {
        let record = self
            .index
            .find(serial)
            .ok_or_else(|| Error::NotIssued(serial.clone()))?;
        if let Some(Revocation { at, .. }) = record.revoked {
            return Err(Error::AlreadyRevoked(serial.clone(), at));
        }
        record.revoked = Some(Revocation { at: now, reason });
        let record = record.clone();
        self.write_index()?;
        Ok(record)
    }

    /// Writes `crl.pem` anew, to be replaced after `lifetime`, and gives its path.
    ///
    /// # Errors
    /// [`Error`] if the key does not sign or the file cannot be written.
    pub fn write_revocation_list(
        &mut self,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<PathBuf, Error> {
        self.index.crl_number += 1;
        let list = self.authority.revocation_list(
            self.index.crl_number,
            &self.index.revoked(),
            now,
            later(now, lifetime),
        )?;
        let path = Self::revocation_list_path(&self.path);
        // A number that is skipped does no harm; one that is used twice does.
        self.write_index()?;
        replace(&path, pem("X509 CRL", &list)?.as_bytes())?;
        Ok(path)
    }

    fn write_index(&self) -> Result<(), Error> {
        Ok(replace(&self.path.join(INDEX), &self.index.to_json()?)?)
    }
}

/// Prepares `NAME.pem` and `NAME.key`, and gives their paths.
fn stage_authority(
    files: &mut NewFiles,
    directory: &Path,
    name: &str,
    authority: &Authority,
    key: &PrivateKey,
) -> Result<Vec<PathBuf>, Error> {
    let certificate = directory.join(name).with_extension("pem");
    let text = certificate_pem(authority.certificate())?;
    files.file(&certificate, text.as_bytes(), Access::Everyone)?;
    let private_key = directory.join(name).with_extension("key");
    files.file(&private_key, key.to_pem()?.as_bytes(), Access::Owner)?;
    Ok(vec![certificate, private_key])
}

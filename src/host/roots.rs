//! Root certificates for TLS: the system's, or those of a file.
//!
//! The system's 140 roots are most of what a short-lived process does over HTTPS. They are public, so
//! their base64 is decoded by a decoder that need not take constant time, and the folder with a copy of
//! each is read only where there is no file that holds them all.

use std::format;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// The largest CA bundle that is read; the usual ones have 220 KB.
const MAX_BUNDLE: u64 = 4 << 20;

/// The roots of the operating system, from where OpenSSL would look for them.
///
/// # Errors
/// A sentence for people, if there are none.
pub(super) fn system() -> Result<RootCertStore, String> {
    let found = openssl_probe::probe();
    let mut store = RootCertStore::empty();
    // The system's store may hold certificates that rustls does not take; they do no harm.
    if let Some(file) = &found.cert_file
        && let Ok(certificates) = read(file)
    {
        store.add_parsable_certificates(certificates);
    }
    if store.is_empty() {
        for file in found.cert_dir.iter().flat_map(|folder| files(folder)) {
            store.add_parsable_certificates(read(&file).unwrap_or_default());
        }
    }
    if store.is_empty() {
        let why = "the system has no root certificates";
        let remedy = "install ca-certificates, or name a file with --ca-bundle";
        return Err(format!("{why}; {remedy}"));
    }
    Ok(store)
}

/// The certificates of a PEM file, all of them.
///
/// # Errors
/// A sentence for people: the file, and what is wrong in it.
pub(super) fn bundle(path: &Path) -> Result<RootCertStore, String> {
    let wrong = |why: String| format!("CA bundle {}: {why}", path.display());
    let certificates = read(path).map_err(|error| wrong(format!("{error}")))?;
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        (store.add(certificate))
            .map_err(|error| wrong(format!("certificate {}: {error}", index + 1)))?;
    }
    if store.is_empty() {
        return Err(wrong(String::from("there is no certificate in it")));
    }
    Ok(store)
}

fn read(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_BUNDLE).read_to_end(&mut text)?;
    let blocks = pem::parse_many(text).map_err(io::Error::other)?;
    let certificates = blocks
        .into_iter()
        .filter(|block| block.tag() == "CERTIFICATE");
    Ok(certificates
        .map(|block| block.into_contents().into())
        .collect())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

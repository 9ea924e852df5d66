//! Root certificates for TLS: the system's, or those of a file.
//!
//! The system's 140 roots are most of what a short-lived process does over HTTPS: they are read one at a
//! time, and the folder with a copy of each only where there is no file that holds them all.

use std::format;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::backend::{pem, regular_file};

/// The largest CA bundle that is read; the usual ones have 220 KB.
const MAX_BUNDLE: u64 = 4 << 20;

/// A block that is longer than this is no certificate.
const MAX_BLOCK: usize = 64 << 10;

/// The roots of the operating system, from where OpenSSL would look for them.
///
/// # Errors
/// A sentence for people, if there are none.
pub(super) fn system() -> Result<RootCertStore, String> {
    let found = openssl_probe::probe();
    let mut store = RootCertStore::empty();
    // The system's store may hold certificates that rustls does not take; they do no harm, and neither
    // does a file that cannot be read, as long as another one can.
    let mut add_all = |file: &Path| {
        let _ = for_each_certificate(file, |certificate| {
            store.add_parsable_certificates([certificate]);
            Ok(())
        });
        store.is_empty()
    };
    let mut empty = found.cert_file.is_none_or(|file| add_all(&file));
    if empty {
        for file in found.cert_dir.iter().flat_map(|folder| files(folder)) {
            empty = add_all(&file);
        }
    }
    if empty {
        let why = "the system has no root certificates";
        let remedy = "install ca-certificates, or name a file with --ca-bundle";
        return Err(format!("{why}; {remedy}"));
    }
    Ok(store)
}

/// Where the system's roots are: a file, a folder, or both.
pub(super) fn places() -> impl Iterator<Item = PathBuf> {
    let found = openssl_probe::probe();
    found.cert_file.into_iter().chain(found.cert_dir)
}

/// The certificates of a PEM file, all of them.
///
/// # Errors
/// A sentence for people: the file, and what is wrong in it.
pub(super) fn bundle(path: &Path) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for_each_certificate(path, |certificate| {
        let number = store.len() + 1;
        let added = store.add(certificate);
        added.map_err(|error| format!("certificate {number}: {error}"))
    })
    .and_then(|()| match store.is_empty() {
        true => Err(String::from("there is no certificate in it")),
        false => Ok(store),
    })
    .map_err(|why| format!("CA bundle {}: {why}", path.display()))
}

/// Reads a PEM file block by block, and shows each certificate to `visit`.
fn for_each_certificate(
    path: &Path,
    mut visit: impl FnMut(CertificateDer<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let file = regular_file::open(path).map_err(|error| error.to_string())?;
    let mut reader = BufReader::new(file.take(MAX_BUNDLE));
    let mut text = Vec::new();
    loop {
        let line = text.len();
        let len = reader.read_until(b'\n', &mut text);
        let end = len.map_err(|error| error.to_string())? == 0;
        if !end && !text[line..].starts_with(b"-----END ") && text.len() <= MAX_BLOCK {
            continue;
        }
        for block in pem::blocks(&text) {
            let block = block.map_err(|error| error.to_string())?;
            if block.label == "CERTIFICATE" {
                // A public certificate: the quick decoder will do.
                let der = STANDARD.decode(block.base64().as_slice());
                let der = der.map_err(|error| format!("a certificate's base64: {error}"))?;
                visit(CertificateDer::from(der))?;
            }
        }
        if end {
            return Ok(());
        }
        text.clear();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

//! Keys and certificates from files, as OpenSSL writes them.

mod chains;
mod damage;
mod encrypted;
mod files;
mod forms;
mod ml_dsa;
mod pkcs12;
mod rules;

use std::path::Path;

use keystead::backend::BoxedSigner;
use keystead::backend::file::{self, OpenError};
use keystead::backend::secret::{Secret, SecretError};

use crate::support::openssl::Workshop;

/// A password that is there.
fn password(text: &str) -> impl FnMut() -> Result<Option<Secret>, SecretError> {
    let secret = Secret::new(text.as_bytes().to_vec());
    move || Ok(Some(secret.clone()))
}

/// For files that are not encrypted.
fn never_asked() -> Result<Option<Secret>, SecretError> {
    panic!("a password was asked for")
}

fn open(path: impl AsRef<Path>) -> Result<BoxedSigner, OpenError> {
    file::open_key(path.as_ref(), &mut never_asked)
}

/// The error of a file that cannot be used: one sentence that begins with its name.
#[track_caller]
fn error<T>(path: &Path, result: Result<T, OpenError>) -> String {
    let error = result.err().expect("it cannot be used").to_string();
    let sentence = error
        .strip_prefix(&format!("{}: ", path.display()))
        .expect("the file's name comes first");
    assert!(!sentence.contains('\n'), "{sentence}");
    sentence.to_owned()
}

/// The public key, DER, as OpenSSL sees it.
fn public_key(workshop: &Workshop, key: &str) -> Vec<u8> {
    workshop.openssl(&format!(
        "pkey -in {key} -pubout -outform DER -out public.der"
    ));
    workshop.read("public.der")
}

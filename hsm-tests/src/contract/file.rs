//! Keys in encrypted files.

use std::path::{Path, PathBuf};

use keystead::backend::BoxedSigner;
use keystead::backend::file::open_key;
use keystead::backend::secret::Secret;

use super::{Bench, Kind, Refusal, Workshop};
use crate::alone::Surroundings;
use crate::lab::restrict;
use crate::program::{self, run};

/// Encrypted PKCS#8 files.
pub struct Files(PathBuf);

impl Files {
    fn file(&self, kind: Kind) -> PathBuf {
        self.0.join(format!("{kind}.encrypted.pem"))
    }
}

impl Bench for Files {
    const LIMITS: &'static [(&'static str, &'static str)] = &[
        ("keys are made in it", "files are written: tests/it"),
        ("a wrong PIN is not tried twice", "a file counts no tries"),
        ("a locked PIN is told", "a file counts no tries"),
        ("it goes away and comes back", "an open key is in memory"),
    ];

    const PIN: &'static str = "1234";

    fn surroundings(_: &Path) -> Surroundings {
        Surroundings::default()
    }

    fn set_up(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    fn again(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String> {
        let mut encrypt = program::command("openssl");
        encrypt
            .args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in"])
            .arg(key);
        encrypt
            .args(["-passout", "pass:1234", "-out"])
            .arg(self.file(kind));
        run(&mut encrypt).success();
        restrict(&self.file(kind));
        Ok(())
    }

    fn open(&self, kind: Kind, pin: &str) -> Result<BoxedSigner, Refusal> {
        let mut password = || Ok(Some(Secret::new(pin.into())));
        open_key(&self.file(kind), &mut password).map_err(|error| Refusal {
            concerns_pin: error.concerns_password(),
            text: error.to_string(),
        })
    }

    fn workshop(&self) -> Result<Box<dyn Workshop>, String> {
        Err("a file is no token".to_owned())
    }

    fn lock_pin(&mut self) -> Result<(), String> {
        Err("a file counts no tries".to_owned())
    }

    fn remove(&mut self) -> Result<(), String> {
        std::fs::remove_file(self.file(Kind::P256)).expect("the file is ours");
        self.open(Kind::P256, Self::PIN)
            .err()
            .expect("the file is gone");
        Err("the signer has the key".to_owned())
    }

    fn insert(&mut self) {}
}

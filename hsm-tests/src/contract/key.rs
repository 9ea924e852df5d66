//! The keys, and OpenSSL's judgement of what they sign.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use keystead::core::key::Scheme;

use crate::program::{self, run};

/// The kinds of keys that tokens have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    P256,
    P384,
    P521,
    Rsa2048,
    Rsa3072,
    Rsa4096,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
    ];

    /// A name without blanks, which is its label in a token.
    pub fn label(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::Rsa4096 => "RSA-4096",
        }
    }

    /// Its CKA_ID in a token.
    pub fn id(self) -> u8 {
        self as u8 + 1
    }

    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    /// Makes a private key with OpenSSL, in the test's folder.
    pub fn make(self, folder: &Path) -> PathBuf {
        let file = folder.join(format!("{self}.pem"));
        let algorithm = match self.label().split_once('-') {
            Some(("P", _)) => format!("EC:{self}"),
            Some((_, bits)) => format!("RSA:{bits}"),
            None => unreachable!("every label has a hyphen"),
        };
        program::private_key(&algorithm, &file);
        file
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Schemes with an RSA key, and schemes with one on a curve.
pub const RSA: [Scheme; 6] = [
    Scheme::RsaPkcs1Sha256,
    Scheme::RsaPkcs1Sha384,
    Scheme::RsaPkcs1Sha512,
    Scheme::RsaPssSha256,
    Scheme::RsaPssSha384,
    Scheme::RsaPssSha512,
];
pub const EC: [Scheme; 3] = [
    Scheme::EcdsaSha256,
    Scheme::EcdsaSha384,
    Scheme::EcdsaSha512,
];

/// Whether OpenSSL takes a signature for one by the key in a file (PEM), private or public.
#[track_caller]
pub fn verify(folder: &Path, key: &Path, scheme: Scheme, message: &[u8], signature: &[u8]) {
    let pem = fs::read_to_string(key).expect("the test's folder can be read");
    let how = match pem.starts_with("-----BEGIN PUBLIC KEY") {
        true => "-verify",
        false => "-prverify",
    };
    verify_by(folder, &[how], key, scheme, message, signature);
}

/// The same with the words that tell OpenSSL what kind of file the key is.
#[track_caller]
pub fn verify_by(
    folder: &Path,
    how: &[&str],
    key: &Path,
    scheme: Scheme,
    message: &[u8],
    signature: &[u8],
) {
    let (hash, is_pss) = match scheme {
        Scheme::RsaPkcs1Sha256 | Scheme::EcdsaSha256 => ("-sha256", false),
        Scheme::RsaPkcs1Sha384 | Scheme::EcdsaSha384 => ("-sha384", false),
        Scheme::RsaPkcs1Sha512 | Scheme::EcdsaSha512 => ("-sha512", false),
        Scheme::RsaPssSha256 => ("-sha256", true),
        Scheme::RsaPssSha384 => ("-sha384", true),
        Scheme::RsaPssSha512 => ("-sha512", true),
        other => panic!("no token signs with {other:?}"),
    };
    let write = |name: &str, bytes: &[u8]| {
        let file = folder.join(name);
        fs::write(&file, bytes).expect("the test's folder can be written to");
        file
    };
    let mut dgst = program::command("openssl");
    dgst.args(["dgst", hash]).args(how).arg(key);
    if is_pss {
        let salt = "rsa_pss_saltlen:digest";
        dgst.args(["-sigopt", "rsa_padding_mode:pss", "-sigopt", salt]);
    }
    dgst.arg("-signature").arg(write("signature", signature));
    dgst.arg(write("message", message));
    let finished = run(&mut dgst);
    assert_eq!(
        finished.stdout, "Verified OK\n",
        "{scheme:?}: {}",
        finished.stderr
    );
}

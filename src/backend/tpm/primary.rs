//! What hierarchies' primary keys are made by: the same template gives the same key each time, and any other
//! template another key.

use core::time::Duration;

use super::key_file;
use crate::core::tpm::attributes::{FIXED_PARENT, FIXED_TPM, NO_DA};
use crate::core::tpm::{PublicArea, STORAGE_ROOT, StorageKey};

/// How long a TPM may take, beside the usual time, for a primary key: an RSA key made anew from its hierarchy's seed.
pub const TIME: Duration = Duration::from_secs(120);

/// How long a command may take beside the usual time.
pub fn time(call: &str) -> Duration {
    match call {
        "TPM2_CreatePrimary" => TIME,
        _ => Duration::ZERO,
    }
}

/// A template.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// What it is called.
    pub called: &'static str,
    kind: StorageKey,
    attributes: u32,
    /// Whether `unique` is as long as a key, and full of zeros (the TCG's templates L), or empty (H).
    is_filled: bool,
}

const H_2: Template = Template {
    called: "the TCG's template H-2 (P-256)",
    kind: StorageKey::P256,
    attributes: STORAGE_ROOT,
    is_filled: false,
};
const H_1: Template = Template {
    called: "the TCG's template H-1 (RSA 2048)",
    kind: StorageKey::Rsa2048,
    ..H_2
};
const LEGACY: Template = Template {
    called: "the template H-2 without fixedTPM and fixedParent (P-256)",
    attributes: STORAGE_ROOT & !(FIXED_TPM | FIXED_PARENT),
    ..H_2
};

/// Those that other programs have made primary keys by.
pub const KNOWN: [Template; 7] = [
    H_2,
    Template {
        called: "the TCG's template L-2 (P-256, unique filled with zeros)",
        is_filled: true,
        ..H_2
    },
    Template {
        called: "the template H-2 without noDA (P-256)",
        attributes: STORAGE_ROOT & !NO_DA,
        ..H_2
    },
    LEGACY,
    H_1,
    Template {
        called: "the template H-1 without noDA (RSA 2048), which is that of tpm2_createprimary",
        attributes: STORAGE_ROOT & !NO_DA,
        ..H_1
    },
    Template {
        called: "the TCG's template L-1 (RSA 2048, unique filled with zeros)",
        is_filled: true,
        ..H_1
    },
];

/// That which a key file means.
pub fn template(template: key_file::Template) -> Template {
    match template {
        key_file::Template::Ecc => H_2,
        key_file::Template::Rsa => H_1,
        key_file::Template::Legacy => LEGACY,
    }
}

impl Template {
    /// As the TPM takes it.
    pub fn area(&self) -> PublicArea {
        PublicArea::storage(self.kind, self.attributes, self.is_filled)
    }
}

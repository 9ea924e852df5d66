//! One list of cases for every device that keeps keys: what keystead promises of each.
//!
//! A [`Bench`] is a device with keys in it. [`contract!`](crate::contract!) makes a module with a test
//! for each of the cases. What a device cannot do it lists with the reason ([`Bench::LIMITS`]), and
//! the list is held to: a device that can do it after all fails the test.

mod cases;
mod file;
mod key;
mod making;
mod nss;
mod p11_kit;
mod piv;
mod softhsm;
mod token;
mod tpm;

use std::path::Path;

use keystead::backend::BoxedSigner;

pub use self::cases::{Case, Finding};
pub use self::file::Files;
pub use self::key::Kind;
pub use self::making::Workshop;
pub use self::nss::Nss;
pub use self::p11_kit::{Client, Proxy};
pub use self::piv::{OpenSc, Ykcs11, Ykcs11InSigner};
pub use self::softhsm::{Direct, InSigner};
pub use self::tpm::{
    TpmFile, TpmFileAlone, TpmFileDirect, TpmFileInSigner, TpmFileInSignerAlone,
    TpmFileThatCountsDirect, TpmFileWithAuth, TpmHandle, TpmHandleAlone, TpmHandleDirect,
    TpmHandleInSigner, TpmHandleThatCounts, TpmHandleThatCountsDirect, TpmHandleWithAuth,
};
use crate::alone::{Surroundings, alone_as, my_part};

/// A device with keys in it.
pub trait Bench: Sized + Sync {
    /// What it cannot do: names of findings, each with the reason.
    const LIMITS: &'static [(&'static str, &'static str)];

    /// What opens its keys: a PIN, a password, an auth value; empty if nothing is needed.
    const PIN: &'static str;

    /// What is around the process that uses it.
    fn surroundings(folder: &Path) -> Surroundings;

    /// A new one, in the test's folder.
    fn set_up(folder: &Path) -> Self;

    /// The one in the test's folder, as another process of the test finds it.
    fn again(folder: &Path) -> Self;

    /// Puts a private key (PKCS#8, PEM) into it. Where its keys cannot come from outside, makes one in it,
    /// and has the public key (PEM) in that file.
    ///
    /// # Errors
    /// Why the device takes none of the kind.
    fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String>;

    /// Opens a key, with a stored PIN.
    ///
    /// # Errors
    /// [`Refusal`].
    fn open(&self, kind: Kind, pin: &str) -> Result<BoxedSigner, Refusal>;

    /// Whether several can have its keys open at the same time, not just one after the other.
    ///
    /// # Errors
    /// Why not.
    fn is_shared(&self) -> Result<(), String> {
        Ok(())
    }

    /// What keystead makes keys in.
    ///
    /// # Errors
    /// Why it makes none in this device.
    fn workshop(&self) -> Result<Box<dyn Workshop>, String>;

    /// Has the device lock its PIN.
    ///
    /// # Errors
    /// Why it does not.
    fn lock_pin(&mut self) -> Result<(), String>;

    /// Takes the device away while it is in use.
    ///
    /// # Errors
    /// Why that cannot be.
    fn remove(&mut self) -> Result<(), String>;

    /// Puts it back.
    fn insert(&mut self);
}

/// Why a key does not open.
#[derive(Debug)]
pub struct Refusal {
    /// Whether the PIN is what has to be looked at.
    pub concerns_pin: bool,
    /// The error.
    pub text: String,
}

/// Runs one case, `module::test`, on one kind of device.
#[track_caller]
pub fn run<B: Bench>(name: &str, case: Case<B>) {
    // A test's name is without its crate.
    let (_, name) = name.split_once("::").expect("a test has a path");
    alone_as(name, B::surroundings, |folder| match my_part() {
        None => hold_to::<B>(&(case.whole)(B::set_up(folder), folder)),
        Some(part) => (case.part)(&B::again(folder), &part),
    });
}

/// The findings are as the device's list of limits says.
#[track_caller]
fn hold_to<B: Bench>(findings: &[Finding]) {
    let mut wrong = Vec::new();
    for Finding { name, result } in findings {
        let limit = B::LIMITS.iter().find(|(limit, _)| limit == name);
        match (result, limit) {
            (Ok(()), None) | (Err(_), Some(_)) => {}
            (Ok(()), Some((_, why))) => wrong.push(format!("{name}: it can, though: {why}")),
            (Err(why), None) => wrong.push(format!("{name}: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A module with a test for each case, on one kind of device.
#[macro_export]
macro_rules! contract {
    ($module:ident, $bench:ty) => {
        mod $module {
            $crate::contract!(@each $bench: signs, makes, messages, pins, locks, removed, threads, processes);

            /// No limit is of a finding that there is none of.
            #[test]
            fn limits_are_of_cases() {
                $crate::contract::limits_are_of_cases::<$bench>();
            }
        }
    };
    (@each $bench:ty: $($case:ident),*) => {
        $(
            #[test]
            fn $case() {
                let name = concat!(module_path!(), "::", stringify!($case));
                $crate::contract::run::<$bench>(name, $crate::contract::Case::$case());
            }
        )*
    };
}

/// Every limit is of a finding that there may be.
pub fn limits_are_of_cases<B: Bench>() {
    for (limit, why) in B::LIMITS {
        assert!(
            cases::names().iter().any(|name| name == limit),
            "{limit}: {why}"
        );
    }
}

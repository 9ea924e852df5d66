//! SoftHSM, its module loaded directly.

use std::fs;
use std::path::{Path, PathBuf};

use keystead::backend::BoxedSigner;
use keystead::backend::isolated::{Environment, Isolated, Starter};
use keystead::backend::pkcs11::{Local, Tokens as Pkcs11};

use super::token::{self, TokenWorkshop};
use super::{Bench, Kind, Refusal, Workshop};
use crate::alone::Surroundings;
use crate::program;
use crate::softhsm::{CONFIGURATION, MODULE, PIN, SoftHsm, configuration};

/// The label of the token.
const LABEL: &str = "contract";

/// What SoftHSM itself cannot do, through whichever module.
pub const SOFTHSM_NEVER_LOCKS: (&str, &str) = (
    "a locked PIN is told",
    "SoftHSM only ever says that the count is low",
);

/// A token of SoftHSM.
pub struct Direct(Tokens);

/// A folder with a token, for the other ways to it, too.
pub struct Tokens {
    pub folder: PathBuf,
    /// Only the process that set it up has it.
    hsm: Option<SoftHsm>,
}

impl Tokens {
    pub fn set_up(folder: &Path) -> Self {
        Self {
            hsm: Some(SoftHsm::at(folder, LABEL)),
            folder: folder.to_owned(),
        }
    }

    pub fn again(folder: &Path) -> Self {
        Self {
            hsm: None,
            folder: folder.to_owned(),
        }
    }

    pub fn put(&self, kind: Kind, key: &Path) {
        let hsm = self.hsm.as_ref().expect("it was set up here");
        hsm.import(key, kind.id(), kind.label());
    }

    pub fn open(
        &self,
        module: impl Into<PathBuf>,
        kind: Kind,
        pin: &str,
    ) -> Result<BoxedSigner, Refusal> {
        token::open(module, &self.folder, Some(&uri(kind)), None, pin)
    }

    pub fn workshop(&self, module: impl Into<PathBuf>) -> TokenWorkshop {
        workshop(Local::new(token::access(module, &self.folder)))
    }

    /// More wrong PINs than any card takes.
    pub fn lock_pin(&self) -> Result<(), String> {
        let hsm = self.hsm.as_ref().expect("it was set up here");
        for _ in 0..12 {
            let mut wrong = hsm.command("pkcs11-tool");
            wrong.args(["--module", MODULE, "--slot", &hsm.slot.to_string()]);
            wrong.args(["--login", "--pin", "98765432", "--list-objects"]);
            let said = crate::run(&mut wrong).failure();
            if said.contains("CKR_PIN_LOCKED") {
                return Ok(());
            }
        }
        Err("it takes every number of wrong PINs".to_owned())
    }

    pub fn remove(&self) {
        let aside = self.folder.join("tokens.aside");
        fs::rename(self.folder.join("tokens"), aside).expect("the folder is ours");
        fs::create_dir(self.folder.join("tokens")).expect("the folder is ours");
    }

    pub fn insert(&self) {
        let place = self.folder.join("tokens");
        fs::remove_dir_all(&place).expect("the folder is ours");
        fs::rename(self.folder.join("tokens.aside"), place).expect("the folder is ours");
    }
}

fn workshop(tokens: impl Pkcs11 + 'static) -> TokenWorkshop {
    TokenWorkshop::new(tokens, &format!("pkcs11:token={LABEL}"), PIN)
}

fn uri(kind: Kind) -> String {
    format!("pkcs11:token={LABEL};object={kind};type=private")
}

impl Bench for Direct {
    const LIMITS: &'static [(&'static str, &'static str)] = &[SOFTHSM_NEVER_LOCKS];

    const PIN: &'static str = PIN;

    fn surroundings(folder: &Path) -> Surroundings {
        vec![(CONFIGURATION, configuration(folder).into())].into()
    }

    fn set_up(folder: &Path) -> Self {
        Self(Tokens::set_up(folder))
    }

    fn again(folder: &Path) -> Self {
        Self(Tokens::again(folder))
    }

    fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String> {
        self.0.put(kind, key);
        Ok(())
    }

    fn open(&self, kind: Kind, pin: &str) -> Result<BoxedSigner, Refusal> {
        self.0.open(MODULE, kind, pin)
    }

    fn workshop(&self) -> Result<Box<dyn Workshop>, String> {
        Ok(Box::new(self.0.workshop(MODULE)))
    }

    fn lock_pin(&mut self) -> Result<(), String> {
        self.0.lock_pin()
    }

    fn remove(&mut self) -> Result<(), String> {
        self.0.remove();
        Ok(())
    }

    fn insert(&mut self) {
        self.0.insert();
    }
}

/// The same token, its module in another process: `keystead-signer`.
pub struct InSigner(Tokens);

impl InSigner {
    fn tokens(&self) -> Isolated {
        let starter = Starter::direct(program::keystead_signer(), Environment::default());
        Isolated::new(starter, token::access(MODULE, &self.0.folder))
    }
}

impl Bench for InSigner {
    const LIMITS: &'static [(&'static str, &'static str)] = &[SOFTHSM_NEVER_LOCKS];

    const PIN: &'static str = PIN;

    fn surroundings(folder: &Path) -> Surroundings {
        Direct::surroundings(folder)
    }

    fn set_up(folder: &Path) -> Self {
        Self(Tokens::set_up(folder))
    }

    fn again(folder: &Path) -> Self {
        Self(Tokens::again(folder))
    }

    fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String> {
        self.0.put(kind, key);
        Ok(())
    }

    fn open(&self, kind: Kind, pin: &str) -> Result<BoxedSigner, Refusal> {
        token::open_by(self.tokens(), Some(&uri(kind)), None, pin)
    }

    fn workshop(&self) -> Result<Box<dyn Workshop>, String> {
        Ok(Box::new(workshop(self.tokens())))
    }

    fn lock_pin(&mut self) -> Result<(), String> {
        self.0.lock_pin()
    }

    fn remove(&mut self) -> Result<(), String> {
        self.0.remove();
        Ok(())
    }

    fn insert(&mut self) {
        self.0.insert();
    }
}

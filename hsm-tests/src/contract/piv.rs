//! The virtual PIV card, through Yubico's module and through OpenSC's.

use std::path::{Path, PathBuf};

use keystead::backend::BoxedSigner;
use keystead::backend::isolated::{Environment, Isolated, Starter};
use keystead::backend::pkcs11::{Access, Local};

use super::{Bench, Kind, Refusal, Workshop, token};
use crate::alone::Surroundings;
use crate::piv::{Card, OPENSC, PIN, YKCS11};
use crate::program::{self, run};

/// What the card itself cannot do, through whichever module.
const LIMITS: &[(&str, &str)] = &[
    ("keys are made in it", IN_SLOTS),
    ("P-521 keys", NO_SUCH_KEY),
    ("RSA-3072 keys", NO_SUCH_KEY),
    ("RSA-4096 keys", NO_SUCH_KEY),
];

const NO_SUCH_KEY: &str = "PIV has P-256, P-384 and RSA up to 2048 bits";

const IN_SLOTS: &str = "its keys have slots, and want the management key: tests/piv/provision.rs";

/// A card through Yubico's module.
pub struct Ykcs11(Piv);

/// A card through OpenSC's.
pub struct OpenSc(Piv);

/// A card through Yubico's module in another process: `keystead-signer`.
pub struct Ykcs11InSigner(Piv);

struct Piv {
    folder: PathBuf,
    /// Only the process that set it up has it.
    card: Option<Card>,
}

impl Piv {
    fn set_up(folder: &Path) -> Self {
        let card = Card::at(folder);
        card.identify();
        Self {
            folder: folder.to_owned(),
            card: Some(card),
        }
    }

    fn again(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            card: None,
        }
    }

    fn card(&mut self) -> &mut Card {
        self.card.as_mut().expect("it was set up here")
    }

    fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String> {
        let (slot, _) = place(kind).ok_or(NO_SUCH_KEY)?;
        let card = self.card();
        let file = |path: &Path| {
            path.to_str()
                .expect("the test's paths are UTF-8")
                .to_owned()
        };
        let certificate = key.with_extension("crt");
        let mut issue = program::command("openssl");
        issue.args(["req", "-new", "-x509", "-days", "2", "-subj"]);
        issue.arg(format!("/CN={kind}")).arg("-key").arg(key);
        run(issue.arg("-out").arg(&certificate)).success();
        card.tool(&["-a", "import-key", "-s", slot, "-i", &file(key)]);
        card.import_certificate(slot, &certificate);
        Ok(())
    }

    fn access(&self, module: &str) -> Access {
        token::access(module, &self.folder)
    }

    fn lock_pin(&mut self) {
        let card = self.card();
        while card.tries_left() > 0 {
            let mut wrong = card.command("yubico-piv-tool");
            run(wrong.args(["-a", "verify-pin", "-P", "98765432"])).failure();
        }
    }
}

/// The slot of a key of a kind, and its CKA_ID.
fn place(kind: Kind) -> Option<(&'static str, u8)> {
    match kind {
        Kind::P256 => Some(("9a", 1)),
        // It wants the PIN for each signature.
        Kind::Rsa2048 => Some(("9c", 2)),
        Kind::P384 => Some(("9e", 4)),
        Kind::P521 | Kind::Rsa3072 | Kind::Rsa4096 => None,
    }
}

fn uri(kind: Kind) -> String {
    let (_, id) = place(kind).expect("it was put there");
    format!("pkcs11:id=%{id:02x};type=private")
}

fn in_signer(access: Access) -> Isolated {
    Isolated::new(
        Starter::direct(program::keystead_signer(), Environment::default()),
        access,
    )
}

macro_rules! bench {
    ($bench:ident, $module:expr, $tokens:expr) => {
        impl Bench for $bench {
            const LIMITS: &'static [(&'static str, &'static str)] = LIMITS;

            const PIN: &'static str = PIN;

            fn surroundings(folder: &Path) -> Surroundings {
                Card::surroundings(folder)
            }

            fn set_up(folder: &Path) -> Self {
                Self(Piv::set_up(folder))
            }

            fn again(folder: &Path) -> Self {
                Self(Piv::again(folder))
            }

            fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String> {
                self.0.put(kind, key)
            }

            fn open(&self, kind: Kind, pin: &str) -> Result<BoxedSigner, Refusal> {
                let tokens = $tokens(self.0.access($module));
                token::open_by(tokens, Some(&uri(kind)), None, pin)
            }

            fn workshop(&self) -> Result<Box<dyn Workshop>, String> {
                Err(IN_SLOTS.to_owned())
            }

            fn lock_pin(&mut self) -> Result<(), String> {
                self.0.lock_pin();
                Ok(())
            }

            fn remove(&mut self) -> Result<(), String> {
                self.0.card().remove();
                Ok(())
            }

            fn insert(&mut self) {
                self.0.card().insert();
            }
        }
    };
}

bench!(Ykcs11, YKCS11, Local::new);
bench!(OpenSc, OPENSC, Local::new);
bench!(Ykcs11InSigner, YKCS11, in_signer);

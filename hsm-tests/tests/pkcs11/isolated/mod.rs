//! Modules in a process of their own, with the real program.

mod confined;
mod ends;
mod faults;
mod signatures;

use std::path::PathBuf;
use std::time::Duration;

use hsm_tests::fault::{Effect, Fault, When};
use hsm_tests::softhsm::MODULE;
use hsm_tests::{FaultModule, SoftHsm, StoredPin, program};
use keystead::backend::BoxedSigner;
use keystead::backend::isolated::{Environment, Isolated, Launcher, Starter};
use keystead::backend::pkcs11::{
    Access, KeyAlgorithm, Leaf, OpenKey, OpenedKey, Operator, TokenError, Tokens as _,
};
use keystead::backend::signature::verify;
use keystead::core::key::{MAX_SIGNATURE_LEN, Scheme, SignError, Signer as _};

const TIMEOUT: Duration = Duration::from_secs(4);
const MESSAGE: &[u8] = b"what is signed";

/// A token with a P-256 key, behind a module that can fail.
struct Bench {
    hsm: SoftHsm,
    module: FaultModule,
}

impl Bench {
    fn new(hsm: SoftHsm) -> Self {
        hsm.generate(KeyAlgorithm::P256, 1, "key", &[]);
        let module = FaultModule::new(hsm.folder(), "fault", MODULE);
        Self { hsm, module }
    }

    fn fail(&mut self, function: &str, when: When, effect: Effect) {
        self.module.fail(Fault::new(function, when, effect));
    }

    fn access(&self) -> Access {
        Access {
            module: self.module.path(),
            timeout: TIMEOUT,
            ..self.hsm.access()
        }
    }

    fn request(&self) -> OpenKey {
        OpenKey {
            key: Some(self.hsm.key_uri(1).parse().unwrap()),
            leaf: Leaf::None,
            require_hardware: false,
        }
    }

    fn open_with(
        &self,
        starter: Starter,
        operator: impl Operator + 'static,
    ) -> Result<OpenedKey, TokenError> {
        Isolated::new(starter, self.access()).open(&self.request(), Box::new(operator))
    }

    fn open(&self) -> BoxedSigner {
        let opened = self.open_with(direct(), StoredPin);
        opened.map_err(|error| error.to_string()).unwrap().signer
    }

    /// The process that has loaded the module.
    fn worker(&self) -> u32 {
        self.module.calls().last().expect("it was called").process
    }
}

fn signer() -> PathBuf {
    program::keystead_signer()
}

fn direct() -> Starter {
    Starter::direct(signer(), Environment::default())
}

fn launcher() -> Starter {
    Starter::launcher(Launcher::start(&signer(), &Environment::default()).unwrap())
}

/// Signs, and judges the signature.
#[track_caller]
fn sign(signer: &mut BoxedSigner) -> Result<(), SignError> {
    sign_as(signer, signer.key().roles_anywhere_scheme())
}

#[track_caller]
fn sign_as(signer: &mut BoxedSigner, scheme: Scheme) -> Result<(), SignError> {
    let mut signature = [0; MAX_SIGNATURE_LEN];
    let len = signer.sign(scheme, MESSAGE, &mut signature)?;
    verify(signer.public_key(), scheme, MESSAGE, &signature[..len]).unwrap();
    Ok(())
}

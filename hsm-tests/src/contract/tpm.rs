//! Keys in swtpm: at persistent handles and in key files, with and without an auth value, whose failures
//! count towards lockout or not; with swtpm for themselves, and behind a resource manager.

use std::collections::HashMap;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use keystead::backend::BoxedSigner;
use keystead::backend::isolated::{Environment, IsolatedTpm, Starter};
use keystead::backend::tpm::{
    Access, Destination, Device, Direct, Done, GenerateKey, KeyAlgorithm, KeyPlace, Local, OpenKey,
    OpenedKey, Operator, Parent, Task, TpmError,
};
use keystead::core::key::{SignError, Signer as _};

use super::{Bench, Kind, Refusal, Workshop};
use crate::alone::Surroundings;
use crate::operator::StoredAuth;
use crate::program;
use crate::swtpm::{ResourceManager, Swtpm};

/// A TPM whose keys are used in one of the ways.
pub struct Tpm<W> {
    folder: PathBuf,
    /// Only the process that set it up has it.
    tpm: Option<Swtpm>,
    way: PhantomData<W>,
}

/// A way to use keys of a TPM.
pub trait Way: Sync + 'static {
    /// What cannot be done so.
    const LIMITS: &'static [(&'static str, &'static str)];

    /// The keys' auth value; empty if they have none.
    const AUTH: &'static str;

    /// Their attributes, beside those that each has that signs.
    const ATTRIBUTES: &'static str;

    /// Whether they are in files, and not at handles.
    const IN_FILES: bool;

    /// Whether a resource manager is before the TPM.
    const IS_MANAGED: bool;

    /// Who uses them.
    fn device(access: Access) -> Box<dyn Device>;
}

const RSA_4096: (&str, &str) = ("RSA-4096 keys", "libtpms has RSA up to 3072 bits");
const P_521: (&str, &str) = ("P-521 keys", "keystead has no use for it in a TPM");
const ALONE: (&str, &str) = (
    "several have keys open at once",
    "swtpm has three places for keys, and three for sessions, for all",
);
const NO_AUTH: (&str, &str) = ("a locked PIN is told", "the keys have no auth value");
const NO_DA: (&str, &str) = ("a locked PIN is told", "noDA: their failures lock nothing");

const AUTH: &str = "the-auth-value";

macro_rules! ways {
    ($($(#[$doc:meta])* $bench:ident $way:ident: $auth:expr, $attributes:literal, $in_files:literal, $is_managed:literal, $device:expr,
        [$($limit:expr),*];)*) => {$(
        $(#[$doc])*
        pub type $bench = Tpm<$way>;

        #[doc(hidden)]
        pub struct $way;

        impl Way for $way {
            const LIMITS: &'static [(&'static str, &'static str)] =
                &[RSA_4096, P_521, $($limit),*];
            const AUTH: &'static str = $auth;
            const ATTRIBUTES: &'static str = $attributes;
            const IN_FILES: bool = $in_files;
            const IS_MANAGED: bool = $is_managed;

            fn device(access: Access) -> Box<dyn Device> {
                Box::new($device(access))
            }
        }
    )*};
}

ways! {
    /// Keys at handles that anyone may use.
    TpmHandle HandleWay: "", "|noda", false, true, Local::new, [NO_AUTH];
    /// The same without a resource manager.
    TpmHandleAlone HandleAloneWay: "", "|noda", false, false, Local::new, [NO_AUTH, ALONE];
    /// Keys at handles with an auth value.
    TpmHandleWithAuth HandleWithAuthWay: AUTH, "|noda", false, true, Local::new, [NO_DA];
    /// The same where wrong ones count towards lockout.
    TpmHandleThatCounts HandleThatCountsWay: AUTH, "", false, false, Local::new, [ALONE];
    /// Keys in files.
    TpmFile FileWay: "", "|noda", true, true, Local::new, [NO_AUTH];
    /// The same without a resource manager, with an auth value.
    TpmFileAlone FileAloneWay: AUTH, "|noda", true, false, Local::new, [NO_DA, ALONE];
    /// Keys in files with an auth value, where wrong ones count towards lockout.
    TpmFileWithAuth FileWithAuthWay: AUTH, "", true, true, Local::new, [];
    /// Keys at handles, used by another process: `keystead-signer`.
    TpmHandleInSigner HandleInSignerWay: AUTH, "", false, true, in_signer, [];
    /// Keys in files, used by it.
    TpmFileInSigner FileInSignerWay: AUTH, "|noda", true, true, in_signer, [NO_DA];
    /// The same without a resource manager.
    TpmFileInSignerAlone FileInSignerAloneWay: "", "|noda", true, false, in_signer,
        [NO_AUTH, ALONE];
    /// Keys at handles that anyone may use, without libtss2.
    TpmHandleDirect HandleDirectWay: "", "|noda", false, false, UsesDirectly::new, [NO_AUTH, ALONE];
    /// The same with an auth value, where wrong ones count towards lockout.
    TpmHandleThatCountsDirect HandleThatCountsDirectWay: AUTH, "", false, false, UsesDirectly::new, [ALONE];
    /// Keys in files with an auth value, without libtss2.
    TpmFileDirect FileDirectWay: AUTH, "|noda", true, false, UsesDirectly::new, [NO_DA, ALONE];
    /// The same where wrong ones count towards lockout.
    TpmFileThatCountsDirect FileThatCountsDirectWay: AUTH, "", true, false, UsesDirectly::new, [ALONE];
}

/// Uses keys without libtss2, which makes them.
struct UsesDirectly {
    uses: Direct,
    makes: Local,
}

impl UsesDirectly {
    fn new(access: Access) -> Self {
        Self {
            uses: Direct::new(access.clone()),
            makes: Local::new(access),
        }
    }
}

impl Device for UsesDirectly {
    fn open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TpmError> {
        self.uses.open(request, operator)
    }

    fn perform(&mut self, task: &Task, operator: &mut dyn Operator) -> Result<Done, TpmError> {
        self.makes.perform(task, operator)
    }
}

fn in_signer(access: Access) -> IsolatedTpm {
    let starter = Starter::direct(program::keystead_signer(), Environment::default());
    IsolatedTpm::new(starter, access)
}

impl<W: Way> Tpm<W> {
    fn tpm(&self) -> &Swtpm {
        self.tpm.as_ref().expect("it was set up here")
    }

    fn device(&self) -> Box<dyn Device> {
        W::device(Swtpm::access_in(&self.folder))
    }

    /// Where a key of a kind is that was put there.
    fn place(&self, kind: Kind) -> KeyPlace {
        if W::IN_FILES {
            let file = key_file(&self.folder, kind);
            KeyPlace::File {
                name: file.display().to_string(),
                contents: fs::read(file).expect("it was put there"),
            }
        } else {
            KeyPlace::Handle(handle(kind))
        }
    }
}

impl<W: Way> Bench for Tpm<W> {
    const LIMITS: &'static [(&'static str, &'static str)] = W::LIMITS;

    const PIN: &'static str = W::AUTH;

    fn surroundings(folder: &Path) -> Surroundings {
        ResourceManager::surroundings(folder)
    }

    fn set_up(folder: &Path) -> Self {
        let tpm = match W::IS_MANAGED {
            true => Swtpm::managed(folder),
            false => Swtpm::at(folder),
        };
        tpm.make_storage_root();
        Self {
            tpm: Some(tpm),
            ..Self::again(folder)
        }
    }

    fn again(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            tpm: None,
            way: PhantomData,
        }
    }

    fn put(&mut self, kind: Kind, key: &Path) -> Result<(), String> {
        let tpm = self.tpm();
        let handle = handle(kind);
        let import = |algorithm| {
            let attributes = format!("userwithauth|sign{}", W::ATTRIBUTES);
            tpm.import_key(key, algorithm, &attributes, W::AUTH, handle)
        };
        match kind {
            Kind::P256 | Kind::P384 => import("ecc")?,
            Kind::Rsa2048 => import("rsa")?,
            // tpm2_import knows RSA with 2048 bits alone.
            Kind::Rsa3072 => {
                let attributes = format!("|sign{}", W::ATTRIBUTES);
                tpm.make_key("rsa3072:null:null", &attributes, W::AUTH, handle);
                let file = key.display();
                tpm.tool(&format!("readpublic -Q -c {handle:#x} -f pem -o {file}"));
            }
            Kind::Rsa4096 => import("rsa")?,
            Kind::P521 => return Err(P_521.1.to_owned()),
        }
        if W::IN_FILES {
            let file = key_file(&self.folder, kind);
            let file = file.display();
            // With -p it writes that the auth value is empty.
            let empty = if W::AUTH.is_empty() { " -p" } else { "" };
            tpm.tool(&format!("evictcontrol -Q -C o -c {handle:#x}"));
            tpm.tool(&format!(
                "encodeobject -C 0x81000001 -u k.pub -r k.priv -o {file}{empty}"
            ));
            // It leaves its session there.
            tpm.tool("flushcontext -l");
        }
        Ok(())
    }

    /// A TPM looks at an auth value when it signs, and not before.
    fn open(&self, kind: Kind, pin: &str) -> Result<BoxedSigner, Refusal> {
        let request = OpenKey {
            key: self.place(kind),
            certificates: Vec::new(),
            salt: None,
        };
        let operator = Box::new(StoredAuth::new(pin));
        let opened = self.device().open(&request, operator);
        let mut signer = opened.map_err(|error| refusal(&error))?.signer;
        let scheme = signer.key().roles_anywhere_scheme();
        let mark = self.tpm.as_ref().map(Swtpm::mark);
        match signer.sign(scheme, b"whether the auth value is right", &mut [0; 512]) {
            Ok(_) => Ok(signer),
            Err(error) => {
                let mut text = error.to_string();
                // What a signer says is the same for a value that was refused now, and before.
                if let Some(mark) = mark
                    && !self.tpm().commands_since(mark).contains(&"Sign".to_owned())
                {
                    text += ", not tried again";
                }
                Err(Refusal {
                    concerns_pin: matches!(
                        error,
                        SignError::PinRefused | SignError::PinNeeded | SignError::PinLocked
                    ),
                    text,
                })
            }
        }
    }

    fn is_shared(&self) -> Result<(), String> {
        match W::IS_MANAGED {
            true => Ok(()),
            false => Err(ALONE.1.to_owned()),
        }
    }

    fn workshop(&self) -> Result<Box<dyn Workshop>, String> {
        Ok(Box::new(TpmWorkshop::<W> {
            device: self.device(),
            made: HashMap::new(),
            way: PhantomData,
        }))
    }

    fn lock_pin(&mut self) -> Result<(), String> {
        if W::AUTH.is_empty() {
            return Err(NO_AUTH.1.to_owned());
        }
        let tpm = self.tpm();
        fs::write(self.folder.join("guess"), "guess").expect("the test's folder is ours");
        let key = match W::IN_FILES {
            true => {
                tpm.tool("load -Q -C 0x81000001 -u k.pub -r k.priv -c k.ctx");
                "k.ctx".to_owned()
            }
            false => format!("{:#x}", handle(Kind::P256)),
        };
        for _ in 0..8 {
            let wrong = format!("sign -Q -c {key} -p 98765432 -g sha256 -o signature guess");
            if tpm.try_tool(&wrong).failure().contains("0x921") {
                return Ok(());
            }
            if !W::IS_MANAGED {
                // It leaves the key there, where there is room for three.
                tpm.tool("flushcontext -t");
            }
        }
        Err(NO_DA.1.to_owned())
    }

    fn remove(&mut self) -> Result<(), String> {
        self.tpm.as_mut().expect("it was set up here").kill();
        Ok(())
    }

    fn insert(&mut self) {
        self.tpm.as_mut().expect("it was set up here").start();
    }
}

/// A TPM in which keys are made under its storage root key.
struct TpmWorkshop<W> {
    device: Box<dyn Device>,
    /// Where the keys are, by the labels of their kinds.
    made: HashMap<&'static str, KeyPlace>,
    way: PhantomData<W>,
}

impl<W: Way> Workshop for TpmWorkshop<W> {
    fn kinds(&self) -> &[Kind] {
        &[Kind::P256, Kind::P384, Kind::Rsa2048, Kind::Rsa3072]
    }

    fn make(&mut self, kind: Kind) -> Vec<u8> {
        let handle = handle(kind);
        let task = Task::Generate(GenerateKey {
            to: match W::IN_FILES {
                true => Destination::File,
                false => Destination::Handle(handle),
            },
            parent: Parent::StorageRoot,
            algorithm: match kind {
                Kind::P256 => KeyAlgorithm::P256,
                Kind::P384 => KeyAlgorithm::P384,
                Kind::Rsa2048 => KeyAlgorithm::Rsa(2048),
                Kind::Rsa3072 => KeyAlgorithm::Rsa(3072),
                Kind::P521 | Kind::Rsa4096 => panic!("no {kind} is made"),
            },
            with_auth: !W::AUTH.is_empty(),
            counts_towards_lockout: W::ATTRIBUTES.is_empty(),
            policy_pcrs: Vec::new(),
        });
        let done = self
            .device
            .perform(&task, &mut StoredAuth::new(W::AUTH))
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        let Done::Generated(made) = done else {
            panic!("{kind}: something else was done");
        };
        let place = match made.file {
            Some(contents) => KeyPlace::File {
                name: format!("{kind}.tss2"),
                contents,
            },
            None => KeyPlace::Handle(handle),
        };
        self.made.insert(kind.label(), place);
        made.public_key
    }

    /// With and without the certificate, from which the key's public area may follow.
    fn open(&mut self, kind: Kind, certificate: &[u8], hand_on: &mut dyn FnMut(BoxedSigner)) {
        for certificates in [Vec::new(), vec![certificate.to_vec()]] {
            let request = OpenKey {
                key: self.made[kind.label()].clone(),
                certificates,
                salt: None,
            };
            let operator = Box::new(StoredAuth::new(W::AUTH));
            let opened = self.device.open(&request, operator);
            hand_on(
                opened
                    .unwrap_or_else(|error| panic!("{kind}: {error}"))
                    .signer,
            );
        }
    }
}

fn handle(kind: Kind) -> u32 {
    0x8100_0010 + u32::from(kind.id())
}

fn key_file(folder: &Path, kind: Kind) -> PathBuf {
    folder.join(format!("{kind}.tss2"))
}

fn refusal(error: &TpmError) -> Refusal {
    Refusal {
        concerns_pin: error.concerns_auth(),
        text: error.to_string(),
    }
}

//! What the module is told.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cryptoki_sys::*;
use serde::{Deserialize, Serialize};

use crate::journal;

/// The plan's file, beside the module.
const FILE: &str = "plan.json";

/// What the module is told. The default changes nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The module that does the work.
    pub module: PathBuf,
    /// C_Initialize's `pReserved`, for a module that has its configuration there.
    pub reserved: Option<String>,
    /// What happens in which call.
    pub faults: Vec<Fault>,
    /// The token is not there; a session's call returns this.
    pub removed: Option<CK_RV>,
    /// What happened to the token, or to the module.
    pub mishap: Mishap,
    /// Added to each CK_SLOT_ID: the token has come back in another slot.
    pub slot_offset: CK_SLOT_ID,
    /// CK_SLOT_INFO's flags: set, cleared.
    pub slot_flags: (CK_FLAGS, CK_FLAGS),
    /// CK_TOKEN_INFO's flags: set, cleared.
    pub token_flags: (CK_FLAGS, CK_FLAGS),
    /// The PIN that is typed on the token's own keys (CKF_PROTECTED_AUTHENTICATION_PATH).
    pub pin_pad: Option<String>,
    /// Classes of objects that are not found.
    pub hidden_classes: Vec<CK_OBJECT_CLASS>,
    /// Attributes that are not as the token has them.
    pub attributes: Vec<Attribute>,
    /// Mechanisms that are not offered, though the token has them.
    pub hidden_mechanisms: Vec<CK_MECHANISM_TYPE>,
    /// Whether CKM_ECDSA_SHA256, 384 and 512 are offered, where the token has CKM_ECDSA alone.
    pub hashes_ecdsa: bool,
    /// Where in the journal this plan begins to count.
    pub(crate) since: u64,
}

/// What happens in one function.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fault {
    /// The function: `C_Sign`.
    pub function: String,
    /// In which of its calls.
    pub when: When,
    /// Before or after the token has done its work.
    pub stage: Stage,
    /// What.
    pub effect: Effect,
}

/// Which calls, of all processes together, since the plan was written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum When {
    Always,
    /// The nth alone; the first is 1.
    Nth(usize),
    /// The nth and all later ones.
    From(usize),
    /// Up to and with the nth.
    UpTo(usize),
}

/// Before or after the token has done its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    Before,
    After,
}

/// What happens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Effect {
    /// The call returns this.
    Return(CK_RV),
    /// The process aborts.
    Abort,
    /// The process touches memory that is not there.
    Segfault,
    /// The call lasts until this file exists.
    WaitFor(PathBuf),
    /// The call lasts this many milliseconds longer.
    Delay(u64),
    /// The module forgets so many bytes of memory; if there are none, the call returns CKR_HOST_MEMORY.
    Leak(usize),
    /// The module writes to standard output.
    Noise(String),
}

/// Something that happened to the token or to the module, and what helps.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Mishap {
    /// A new number is a new mishap; 0 is none.
    pub number: u64,
    /// What a call returns until then.
    pub code: CK_RV,
    /// What helps.
    pub renewal: Renewal,
}

/// What helps after a mishap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Renewal {
    /// A new session, which is not logged in.
    #[default]
    Session,
    /// A login, in the same session.
    Login,
    /// C_Finalize and C_Initialize.
    Initialize,
    /// The module loaded anew (C_GetFunctionList).
    Load,
}

/// An attribute that is not as the token has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attribute {
    /// Of objects of this class.
    pub class: CK_OBJECT_CLASS,
    /// Which.
    pub kind: CK_ATTRIBUTE_TYPE,
    /// What it is; `None` if the object has none.
    pub value: Option<Vec<u8>>,
}

impl Plan {
    /// A plan that only forwards.
    pub fn new(module: impl Into<PathBuf>) -> Self {
        Self {
            module: module.into(),
            ..Self::default()
        }
    }

    /// Tells it to the module in a folder. Counting begins anew.
    ///
    /// # Errors
    /// [`io::Error`], if the folder cannot be written to.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let plan = Self {
            since: journal::length(folder)?,
            ..self.clone()
        };
        let text = serde_json::to_vec(&plan).map_err(io::Error::other)?;
        let new = folder.join("plan.new");
        fs::write(&new, text)?;
        fs::rename(new, folder.join(FILE))
    }

    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let text = fs::read(folder.join(FILE))?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }
}

impl Fault {
    /// A function that returns `code` each time, without doing anything.
    pub fn always(function: &str, code: CK_RV) -> Self {
        Self::new(function, When::Always, Effect::Return(code))
    }

    /// A function in which something happens before the token hears of it.
    pub fn new(function: &str, when: When, effect: Effect) -> Self {
        Self {
            function: function.to_owned(),
            when,
            stage: Stage::Before,
            effect,
        }
    }

    /// A function in which something happens after the token has done its work.
    pub fn after(function: &str, when: When, effect: Effect) -> Self {
        Self {
            stage: Stage::After,
            ..Self::new(function, when, effect)
        }
    }
}

impl When {
    pub(crate) fn is_now(self, number: usize) -> bool {
        match self {
            Self::Always => true,
            Self::Nth(nth) => number == nth,
            Self::From(first) => number >= first,
            Self::UpTo(last) => number <= last,
        }
    }
}

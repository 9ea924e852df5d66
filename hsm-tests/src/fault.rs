//! A module that fails on a schedule, in a test's folder: see the crate `fault-module`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use fault_module::sys::CK_RV;
pub use fault_module::{Attribute, Call, Effect, Fault, Plan, Renewal, Stage, When, sys};

/// The module, and what it is told.
pub struct FaultModule {
    folder: PathBuf,
    plan: Plan,
}

impl FaultModule {
    /// A module in a folder of its own, `folder/name`, that forwards to `real`. It does nothing else
    /// until it is told to.
    pub fn new(folder: &Path, name: &str, real: impl Into<PathBuf>) -> Self {
        let folder = folder.join(name);
        fs::create_dir(&folder).expect("the test's folder can be written to");
        let this = env::current_exe().expect("a test knows its own file");
        let built = this.with_file_name("libfault_module.so");
        let module = Self {
            plan: Plan::new(real),
            folder,
        };
        fs::copy(&built, module.path())
            .unwrap_or_else(|error| panic!("{}: {error}", built.display()));
        module.tell();
        module
    }

    /// What is to be loaded.
    pub fn path(&self) -> PathBuf {
        self.folder.join("module.so")
    }

    /// Changes what it does from the next call on. Counting (of [`When`]) begins anew.
    pub fn change(&mut self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan);
        self.tell();
    }

    fn tell(&self) {
        self.plan
            .write(&self.folder)
            .expect("the module's folder can be written to");
    }

    /// One more fault.
    pub fn fail(&mut self, fault: Fault) {
        self.change(|plan| plan.faults.push(fault));
    }

    /// No faults any more.
    pub fn heal(&mut self) {
        self.change(|plan| plan.faults.clear());
    }

    /// Something happens to the token or to the module: `code` from every call that it concerns, until
    /// `renewal`.
    pub fn mishap(&mut self, renewal: Renewal, code: CK_RV) {
        self.change(|plan| {
            plan.mishap.number += 1;
            plan.mishap.renewal = renewal;
            plan.mishap.code = code;
        });
    }

    /// The token is pulled out: its sessions end, and their calls return `code` as long as it is out.
    pub fn remove_token(&mut self, code: CK_RV) {
        self.mishap(Renewal::Session, sys::CKR_SESSION_HANDLE_INVALID);
        self.change(|plan| plan.removed = Some(code));
    }

    /// The token is put back: into the same slot, or so many further.
    pub fn insert_token(&mut self, further: sys::CK_SLOT_ID) {
        self.change(|plan| {
            plan.removed = None;
            plan.slot_offset += further;
        });
    }

    /// The calls that were made, by all processes, in order.
    pub fn calls(&self) -> Vec<Call> {
        fault_module::calls(&self.folder).expect("the module's journal can be read")
    }

    /// How often a function was called.
    pub fn count(&self, function: &str) -> usize {
        let calls = self.calls();
        calls
            .iter()
            .filter(|call| call.function == function)
            .count()
    }

    /// The functions that are called by `work`, in order.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let before = self.calls().len();
        let result = work();
        let calls = self.calls().split_off(before);
        (
            result,
            calls.into_iter().map(|call| call.function).collect(),
        )
    }
}

//! What tpm2-tools put into a TPM, and what they see in it.

use std::path::Path;

use super::Swtpm;
use crate::program::{Finished, run};

/// How it protects itself against guessing (TPM 2.0 Part 1, section 19.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lockout {
    /// Whether it is locked now.
    pub locked: bool,
    /// Failures that count.
    pub failures: u32,
    /// At how many it locks.
    pub most: u32,
}

/// What is in it beside persistent objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    pub objects: Vec<u32>,
    pub loaded_sessions: Vec<u32>,
    pub saved_sessions: Vec<u32>,
}

impl Swtpm {
    /// Runs one of tpm2-tools: its name without `tpm2_`, and its arguments, in one line.
    #[track_caller]
    pub fn tool(&self, line: &str) -> String {
        self.try_tool(line).success()
    }

    /// The same where it may fail.
    #[track_caller]
    pub fn try_tool(&self, line: &str) -> Finished {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let mut command = self.command(format!("tpm2_{name}"));
        run(command.args(words))
    }

    /// Makes a storage root key by the TCG's template, at 0x81000001.
    #[track_caller]
    pub fn make_storage_root(&self) {
        self.make_storage_root_by("");
    }

    /// The same with more arguments for `createprimary`: ` -P owner`.
    #[track_caller]
    pub fn make_storage_root_by(&self, arguments: &str) {
        self.tool(&format!(
            "createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -a \
             fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt -c srk.ctx{arguments}",
        ));
        self.tool(&format!(
            "evictcontrol -Q -C o -c srk.ctx 0x81000001{arguments}"
        ));
        self.tool("flushcontext -t");
    }

    /// Makes a key under it: its algorithm, its attributes beside the usual ones (or none), its auth
    /// value (or none), and the handle for it. Its public part is in `k.pub` then, its private one in
    /// `k.priv`.
    #[track_caller]
    pub fn make_key(&self, algorithm: &str, more: &str, auth: &str, handle: u32) {
        let attributes = format!("fixedtpm|fixedparent|sensitivedataorigin|userwithauth{more}");
        let auth = match auth {
            "" => String::new(),
            auth => format!(" -p {auth}"),
        };
        self.tool(&format!(
            "create -Q -C 0x81000001 -G {algorithm} -a {attributes} -u k.pub -r k.priv{auth}"
        ));
        self.persist(handle);
    }

    /// Puts an existing private key (PEM) under it: its algorithm (`ecc`, `rsa`), its attributes, its auth
    /// value, and the handle for it. Its public part is in `k.pub` then, its private one in `k.priv`.
    ///
    /// # Errors
    /// Why the TPM does not take it.
    #[track_caller]
    pub fn import_key(
        &self,
        file: &Path,
        algorithm: &str,
        attributes: &str,
        auth: &str,
        handle: u32,
    ) -> Result<(), String> {
        let mut import = self.command("tpm2_import");
        import.args(["-Q", "-C", "0x81000001", "-G", algorithm, "-a", attributes]);
        import.args(["-u", "k.pub", "-r", "k.priv", "-i"]).arg(file);
        if !auth.is_empty() {
            import.args(["-p", auth]);
        }
        let finished = run(&mut import);
        if finished.code != Some(0) {
            return Err(finished.stderr);
        }
        self.persist(handle);
        Ok(())
    }

    /// Puts the key in `k.pub` and `k.priv` at a handle.
    #[track_caller]
    fn persist(&self, handle: u32) {
        self.tool("load -Q -C 0x81000001 -u k.pub -r k.priv -c k.ctx");
        self.tool(&format!("evictcontrol -Q -C o -c k.ctx {handle:#x}"));
        self.tool("flushcontext -t");
    }

    /// Gives the owner's hierarchy a password.
    #[track_caller]
    pub fn set_owner_password(&self, password: &str) {
        self.tool(&format!("changeauth -c owner {password}"));
    }

    /// After how many failures it locks, and after how many seconds it forgets one.
    #[track_caller]
    pub fn set_up_lockout(&self, most: u32, recovery: u32) {
        self.tool(&format!(
            "dictionarylockout --setup-parameters --max-tries={most} --recovery-time={recovery} \
             --lockout-recovery-time={recovery}"
        ));
    }

    /// Unlocks it, as its owner does, with the lockout hierarchy's (empty) password.
    #[track_caller]
    pub fn unlock(&self) {
        self.tool("dictionarylockout --clear-lockout");
    }

    /// What it says of its protection against guessing.
    #[track_caller]
    pub fn lockout(&self) -> Lockout {
        let text = self.tool("getcap properties-variable");
        let value = |name: &str| {
            let lines = text.lines().map(str::trim);
            let mut found = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            number(found.next().unwrap_or_else(|| panic!("no {name}: {text}")))
        };
        Lockout {
            locked: value("inLockout") == 1,
            failures: value("TPM2_PT_LOCKOUT_COUNTER"),
            most: value("TPM2_PT_MAX_AUTH_FAIL"),
        }
    }

    /// What is in it, beside persistent objects. The view itself leaves nothing. A resource manager has a
    /// view of its own for each.
    #[track_caller]
    pub fn left(&self) -> Left {
        assert!(self.manager.is_none(), "it is managed");
        let handles = |kind: &str| {
            let text = self.tool(&format!("getcap handles-{kind}"));
            let lines = text.lines().filter_map(|line| line.strip_prefix("- "));
            lines.map(number).collect()
        };
        Left {
            objects: handles("transient"),
            loaded_sessions: handles("loaded-session"),
            saved_sessions: handles("saved-session"),
        }
    }

    /// Nothing is in it, beside persistent objects.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        assert_eq!(self.left(), Left::default());
    }
}

#[track_caller]
fn number(text: &str) -> u32 {
    let text = text.trim();
    let read = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    read.unwrap_or_else(|error| panic!("{text}: {error}"))
}

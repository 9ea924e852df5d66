//! Which commands came to a TPM, out of its log.

use std::fs;

use super::Swtpm;

/// A place in a TPM's log.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

impl Swtpm {
    /// From here on commands are counted.
    pub fn mark(&self) -> Mark {
        Mark(fs::metadata(self.log_file()).map_or(0, |file| file.len()))
    }

    /// The commands that came since then, in order, as the specification names them, without `TPM2_`.
    #[track_caller]
    pub fn commands_since(&self, mark: Mark) -> Vec<String> {
        let log = fs::read(self.log_file()).expect("it writes a log");
        let since = log.get(mark.0 as usize..).unwrap_or_default();
        commands(&String::from_utf8_lossy(since))
    }

    /// Whether these bytes were in one of the commands that came since then: what a listener on the way
    /// to the TPM would have seen.
    #[track_caller]
    pub fn heard_since(&self, mark: Mark, bytes: &[u8]) -> bool {
        let log = fs::read(self.log_file()).expect("it writes a log");
        let since = String::from_utf8_lossy(log.get(mark.0 as usize..).unwrap_or_default());
        let wanted: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let wanted = wanted.join(" ");
        since
            .split("SWTPM_IO_")
            .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
            .any(|part| part.contains(&wanted))
    }

    /// The commands that something sends, and what it gives.
    #[track_caller]
    pub fn commands_of<T>(&self, something: impl FnOnce() -> T) -> (T, Vec<String>) {
        let mark = self.mark();
        let given = something();
        (given, self.commands_since(mark))
    }
}

/// Each command that was read is shown in lines of hex digits after a line of its own.
fn commands(log: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for after in log.split("SWTPM_IO_Read: length").skip(1) {
        let (_, bytes) = after.split_once('\n').unwrap_or_default();
        let digits = bytes.split_whitespace();
        // The header: a tag (2 bytes), the length (4 bytes), the command's code (4 bytes).
        let code = digits.skip(6).take(4);
        let code: String = code.take_while(|digits| digits.len() == 2).collect();
        match u32::from_str_radix(&code, 16) {
            Ok(code) => commands.push(name(code)),
            Err(_) => panic!("this is no command: {bytes}"),
        }
    }
    commands
}

fn name(code: u32) -> String {
    match NAMES.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("{code:#x}"),
    }
}

/// The codes of commands (TPM 2.0 Part 2, section 6.5.2).
const NAMES: &[(u32, &str)] = &[
    (0x120, "EvictControl"),
    (0x121, "HierarchyControl"),
    (0x126, "Clear"),
    (0x129, "HierarchyChangeAuth"),
    (0x131, "CreatePrimary"),
    (0x139, "DictionaryAttackLockReset"),
    (0x13a, "DictionaryAttackParameters"),
    (0x143, "SelfTest"),
    (0x144, "Startup"),
    (0x145, "Shutdown"),
    (0x146, "StirRandom"),
    (0x147, "ActivateCredential"),
    (0x148, "Certify"),
    (0x14a, "CertifyCreation"),
    (0x14e, "NV_Read"),
    (0x150, "ObjectChangeAuth"),
    (0x151, "PolicySecret"),
    (0x153, "Create"),
    (0x154, "ECDH_ZGen"),
    (0x156, "Import"),
    (0x157, "Load"),
    (0x158, "Quote"),
    (0x159, "RSA_Decrypt"),
    (0x15d, "Sign"),
    (0x161, "ContextLoad"),
    (0x162, "ContextSave"),
    (0x163, "ECDH_KeyGen"),
    (0x165, "FlushContext"),
    (0x167, "LoadExternal"),
    (0x168, "MakeCredential"),
    (0x169, "NV_ReadPublic"),
    (0x16b, "PolicyAuthValue"),
    (0x16c, "PolicyCommandCode"),
    (0x171, "PolicyOR"),
    (0x173, "ReadPublic"),
    (0x174, "RSA_Encrypt"),
    (0x176, "StartAuthSession"),
    (0x177, "VerifySignature"),
    (0x178, "ECC_Parameters"),
    (0x17a, "GetCapability"),
    (0x17b, "GetRandom"),
    (0x17c, "GetTestResult"),
    (0x17d, "Hash"),
    (0x17e, "PCR_Read"),
    (0x17f, "PolicyPCR"),
    (0x180, "PolicyRestart"),
    (0x181, "ReadClock"),
    (0x182, "PCR_Extend"),
    (0x189, "PolicyGetDigest"),
    (0x18a, "TestParms"),
    (0x18c, "PolicyPassword"),
    (0x191, "CreateLoaded"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_counted() {
        let tpm = Swtpm::new();
        tpm.make_storage_root();
        let mark = tpm.mark();
        assert!(tpm.commands_since(mark).is_empty());
        tpm.tool("readpublic -Q -c 0x81000001");
        let commands = tpm.commands_since(mark);
        assert_eq!(
            commands
                .iter()
                .filter(|name| *name != "GetCapability")
                .collect::<Vec<_>>(),
            ["ReadPublic", "ReadPublic"]
        );
    }
}

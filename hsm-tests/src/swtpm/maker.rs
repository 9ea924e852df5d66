//! TPMs as they come from their maker: with endorsement keys, and certificates for them.

use std::fs;
use std::path::{Path, PathBuf};

use super::Swtpm;
use crate::program::{self, run};

impl Swtpm {
    /// A new one with endorsement keys (RSA 2048 at 0x81010001, P-384 at 0x81010016), and their
    /// certificates in its NV memory, as `swtpm_setup` makes them.
    #[track_caller]
    pub fn certified() -> Self {
        let mut tpm = Self::new();
        tpm.lose_state();
        tpm.certify();
        tpm.start();
        tpm
    }

    /// Has its maker make it anew. It has no power while he does.
    #[track_caller]
    pub fn certify(&self) {
        let maker = self.maker();
        fs::create_dir_all(&maker).expect("the test's folder can be written to");
        let write = |name: &str, content: String| {
            let file = maker.join(name);
            fs::write(&file, content).expect("the test's folder can be written to");
            file
        };
        let ca = write(
            "ca.conf",
            format!(
                "statedir = {0}\nsigningkey = {0}/key.pem\nissuercert = {0}/issuer.pem\n\
                 certserial = {0}/serial\n",
                maker.display()
            ),
        );
        let options = write(
            "ca.options",
            "--platform-manufacturer Maker\n--platform-version 1\n--platform-model Hub\n".into(),
        );
        let setup = write(
            "setup.conf",
            format!(
                "create_certs_tool = {}\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = {}\n",
                localca().display(),
                ca.display(),
                options.display()
            ),
        );
        let mut command = program::command("swtpm_setup");
        command.args(["--tpm2", "--create-ek-cert", "--overwrite", "--config"]);
        command.arg(setup).arg("--tpm-state").arg(self.state());
        run(&mut command).success();
    }

    /// The root certificate (PEM) of those who certified its endorsement keys.
    pub fn ek_root(&self) -> PathBuf {
        self.maker().join("swtpm-localca-rootca-cert.pem")
    }

    /// The certificate (PEM) between them.
    pub fn ek_issuer(&self) -> PathBuf {
        self.maker().join("issuer.pem")
    }

    fn maker(&self) -> PathBuf {
        self.folder().join("maker")
    }
}

/// The program that signs the certificates, which `swtpm_setup` wants by its path.
fn localca() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("swtpm_localca"))
        .find(|file| Path::exists(file))
        .expect("swtpm-tools is installed")
}

//! How the TPM is reached, where no URI and no setting says it.

use std::format;
use std::path::Path;
use std::string::String;

use crate::backend::secret::Environment;
use crate::cli::error::{CliError, Exit};

/// The kernel's resource manager.
const MANAGED: &str = "/dev/tpmrm0";

/// The TPM without one.
const BARE: &str = "/dev/tpm0";

/// The variables by which tpm2-tools and tpm2-tss are told.
const VARIABLES: [&str; 2] = ["TPM2TOOLS_TCTI", "TCTI"];

/// The TCTI: the kernel's resource manager, then what the variables say, then the device itself. The
/// device comes first so that a variable which was set for some tool does not change which TPM holds the
/// identity.
///
/// # Errors
/// [`CliError`] if there is none of them.
pub fn usual(environment: &dyn Environment) -> Result<String, CliError> {
    choose(environment, &|path| Path::new(path).exists())
}

fn choose(
    environment: &dyn Environment,
    exists: &dyn Fn(&str) -> bool,
) -> Result<String, CliError> {
    if exists(MANAGED) {
        return Ok(format!("device:{MANAGED}"));
    }
    for name in VARIABLES {
        let Some(value) = environment.var(name).filter(|value| !value.is_empty()) else {
            continue;
        };
        return value.to_str().map(String::from).ok_or_else(|| {
            CliError::usage(
                format!("{name}: `{}`: this is not UTF-8", value.display()),
                "",
            )
        });
    }
    if exists(BARE) {
        return Ok(format!("device:{BARE}"));
    }
    Err(CliError::new(
        Exit::Key,
        format!(
            "no TPM is found: there is neither {MANAGED} nor {BARE}, and nothing says where one is"
        ),
        "load its driver (tpm_tis, tpm_crb), and see that the firmware has it switched on; or name it with \
         --tcti, tcti=… in the key's URI, or TPM2TOOLS_TCTI",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    struct Variables(&'static [(&'static str, &'static str)]);

    impl Environment for Variables {
        fn var(&self, name: &str) -> Option<OsString> {
            let found = self.0.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        }
    }

    #[test]
    fn the_resource_manager_then_the_variables_then_the_device() {
        let none = Variables(&[]);
        let both = Variables(&[("TCTI", "tabrmd"), ("TPM2TOOLS_TCTI", "swtpm")]);
        let one = Variables(&[("TPM2TOOLS_TCTI", ""), ("TCTI", "tabrmd")]);
        let all = |path: &str| [MANAGED, BARE].contains(&path);
        let bare = |path: &str| path == BARE;
        assert_eq!(choose(&both, &all).unwrap(), "device:/dev/tpmrm0");
        assert_eq!(choose(&both, &bare).unwrap(), "swtpm");
        assert_eq!(choose(&one, &bare).unwrap(), "tabrmd");
        assert_eq!(choose(&none, &bare).unwrap(), "device:/dev/tpm0");
        let error = choose(&none, &|_| false).unwrap_err();
        assert!(error.remedy.contains("--tcti"), "{error}");
    }
}

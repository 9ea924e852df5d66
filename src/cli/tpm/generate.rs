//! `keystead key generate tpm:…`: a new key of a TPM, in a file that only the TPM can read, or at a
//! persistent handle.

use std::borrow::ToOwned as _;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;
use std::{format, fs, path};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::operator::Auths;
use super::place::TpmPlace;
use super::{TpmPlan, error};
use crate::backend::file::KeyType;
use crate::backend::secret::{Secret, SecretSource};
use crate::backend::tpm::{
    Destination, GenerateKey, GeneratedKey, KeyAlgorithm, KeyName, Parent, TpmError, Uri, generate,
};
use crate::cli::context::{Context, ProcessEnvironment};
use crate::cli::error::{CliError, Exit};
use crate::cli::new_file;
use crate::cli::subject_key::SubjectKey;
use crate::core::text::Hex;
use crate::host::files::Access;

const NEW_AUTH: &str = "new-auth";
const LOCKOUT: &str = "counts-towards-lockout";
const PCR: &str = "policy-pcr";
const PARENT: &str = "parent";

/// The random bytes of a new auth value. In hexadecimal it has 32 characters, which is the most that a
/// key with a SHA-256 name takes (TPM 2.0 Part 1, section 19.6.4.2).
const AUTH_LEN: usize = 16;

/// The PCRs that every TPM for PCs has.
const PCRS: core::ops::RangeInclusive<u8> = 0..=23;

/// The flags for keys of TPMs.
pub fn flags(command: Command) -> Command {
    command
        .arg(
            Arg::new(NEW_AUTH)
                .long(NEW_AUTH)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("TPM: give the key a random auth value, and write that to this new file"),
        )
        .arg(
            Arg::new(PCR)
                .long(PCR)
                .value_name("PCR")
                .value_parser(value_parser!(u8).range(i64::from(*PCRS.start())..=i64::from(*PCRS.end())))
                .value_delimiter(',')
                .action(ArgAction::Append)
                .help("TPM: the key, in a file, signs only while these PCRs (SHA-256) are what they are now"),
        )
        .arg(
            Arg::new(LOCKOUT)
                .long(LOCKOUT)
                .action(ArgAction::SetTrue)
                .help("TPM: wrong auth values, and power cuts after a use of the key, count towards the TPM's \
                       lockout (no noDA)"),
        )
        .arg(
            Arg::new(PARENT)
                .long(PARENT)
                .value_name("HANDLE")
                .value_parser(handle)
                .help("TPM: make it under this persistent key [default: the storage root key at 0x81000001, \
                       else that of the owner hierarchy, by the TCG's template]"),
        )
}

/// Asserts that nothing is said that only makes sense of a TPM's key.
///
/// # Errors
/// [`CliError`], naming the flag.
pub fn refuse_flags(matches: &ArgMatches) -> Result<(), CliError> {
    let given =
        |name: &&&str| matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine);
    match [NEW_AUTH, PCR, LOCKOUT, PARENT].iter().find(given) {
        None => Ok(()),
        Some(name) => Err(CliError::usage(
            format!("--{name} goes with a key of a TPM"),
            "name it tpm:file=FILE or tpm:handle=0x81…",
        )),
    }
}

fn handle(text: &str) -> Result<u32, String> {
    match format!("handle:{text}").parse::<Uri>() {
        Ok(Uri {
            key: KeyName::Handle(handle),
            ..
        }) => Ok(handle),
        Ok(_) => Err("this is no handle".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// Makes the key, and gives its whole URI.
///
/// # Errors
/// [`CliError`]; there is no new key and no new file then.
pub fn run(
    key: &SubjectKey,
    place: &TpmPlace,
    kind: KeyType,
    matches: &ArgMatches,
    context: &Context<'_>,
) -> Result<String, CliError> {
    let plan = &key.plan.tpm;
    if let Some(path) = place.file() {
        new_file::check(path)?;
    }
    let policy_pcrs = matches.get_many::<u8>(PCR);
    let mut policy_pcrs: Vec<u8> = policy_pcrs.into_iter().flatten().copied().collect();
    policy_pcrs.sort_unstable();
    policy_pcrs.dedup();
    let algorithm = algorithm(kind)?;
    let auth = NewAuth::new(plan, place, matches)?;
    let request = GenerateKey {
        to: match place.key {
            KeyName::Handle(handle) => Destination::Handle(handle),
            KeyName::File(_) => Destination::File,
        },
        parent: match matches.get_one::<u32>(PARENT) {
            Some(&handle) => Parent::Handle(handle),
            None => Parent::StorageRoot,
        },
        algorithm,
        with_auth: auth.value.is_some(),
        counts_towards_lockout: matches.get_flag(LOCKOUT),
        policy_pcrs,
    };
    let auths = Auths {
        key: auth.value.clone().map(SecretSource::Literal),
        ..plan.auths(Some(place))
    };
    let mut operator = plan.operator_with(auths, Some(place));
    let mut device = plan.device(Some(place), context)?;
    // Before the key: nobody could use one whose auth value is lost.
    auth.store()?;
    let made = generate(&mut *device, &request, &mut operator);
    // Who ended in the middle of it may have put it at its handle before.
    let is_known = place.file().is_some() || !matches!(made, Err(TpmError::Signer { .. }));
    let made = made
        .map_err(|failed| error(&failed))
        .and_then(|made| write(place, &made).map(|()| made))
        .inspect_err(|_| match is_known {
            true => auth.remove(),
            false => auth.keep(place, context),
        })?;
    let uri = Uri {
        key: whole(&place.key)?,
        tcti: place.tcti.clone(),
        auth_source: auth.source.as_ref().map(text).transpose()?.flatten(),
        parent_auth_source: plan
            .auths(Some(place))
            .parent
            .as_ref()
            .map(text)
            .transpose()?
            .flatten(),
        salt: made.salt,
    };
    Ok(uri.to_string())
}

fn write(place: &TpmPlace, made: &GeneratedKey) -> Result<(), CliError> {
    match (place.file(), &made.file) {
        (None, _) => Ok(()),
        (Some(path), Some(contents)) => new_file::write(path, contents, Access::Owner),
        (Some(path), None) => Err(CliError::new(
            Exit::Internal,
            format!("{}: keystead-signer gave nothing to write", path.display()),
            "",
        )),
    }
}

/// The auth value that a new key gets.
struct NewAuth {
    value: Option<Secret>,
    /// Where it is going to be read from.
    source: Option<SecretSource>,
    /// The new file that it goes to.
    file: Option<PathBuf>,
}

impl NewAuth {
    fn new(plan: &TpmPlan, place: &TpmPlace, matches: &ArgMatches) -> Result<Self, CliError> {
        let file = matches.get_one::<PathBuf>(NEW_AUTH).cloned();
        let source = plan.auths(Some(place)).key;
        let (value, source) = match (&file, source) {
            (Some(_), Some(_)) => {
                return Err(CliError::usage(
                    format!("--{NEW_AUTH} and a source of the auth value are both given"),
                    "the one makes a new value, the other has one: leave one of them out",
                ));
            }
            (Some(path), None) => {
                new_file::check(path)?;
                (Some(random()?), Some(SecretSource::File(path.clone())))
            }
            // AWS's helper's switch: there is to be none.
            (None, Some(SecretSource::Literal(none))) if none.expose().is_empty() => (None, None),
            (None, Some(source)) => {
                let variables = plan.secret_variables(Some(place));
                let environment =
                    ProcessEnvironment::with_secrets(variables.iter().map(String::as_str));
                let what = format!("auth value for the new key ({place})");
                let failed = |what: String, remedy| CliError::new(Exit::Pin, what, remedy);
                let value = source
                    .read(&what, &environment)
                    .map_err(|error| failed(error.to_string(), ""))?;
                if value.expose().is_empty() {
                    return Err(failed(
                        "the auth value for the new key is empty".to_owned(),
                        "without a source the key has none; --new-auth FILE makes a random one",
                    ));
                }
                (Some(value), Some(source))
            }
            (None, None) => (None, None),
        };
        Ok(Self {
            value,
            source,
            file,
        })
    }

    /// Writes what is new to its file.
    fn store(&self) -> Result<(), CliError> {
        let (Some(path), Some(value)) = (&self.file, &self.value) else {
            return Ok(());
        };
        new_file::write(path, value.expose(), Access::Owner)
    }

    /// Says that it is still there.
    fn keep(&self, place: &TpmPlace, context: &Context<'_>) {
        if let Some(path) = &self.file {
            let what = format!(
                "{} is kept: nobody knows whether there is a key at {place} now",
                path.display()
            );
            let remedy = "`keystead tpm status` shows it; if there is none, remove the file";
            context.console.warn(&what, remedy);
        }
    }

    /// Removes it again.
    fn remove(&self) {
        if let Some(path) = &self.file {
            // The first error is the one to report.
            let _ = fs::remove_file(path);
        }
    }
}

fn random() -> Result<Secret, CliError> {
    let mut bytes = zeroize::Zeroizing::new([0; AUTH_LEN]);
    SystemRandom::new()
        .fill(&mut *bytes)
        .map_err(|_| CliError::new(Exit::Internal, "the system gives no random numbers", ""))?;
    Ok(Secret::new(Hex(&*bytes).to_string().into_bytes()))
}

/// What names a key wherever a program is started.
fn whole(key: &KeyName) -> Result<KeyName, CliError> {
    Ok(match key {
        KeyName::Handle(handle) => KeyName::Handle(*handle),
        KeyName::File(path) => KeyName::File(absolute(path)?),
    })
}

/// A source as a URI has it; what was on the command line is for this once.
fn text(source: &SecretSource) -> Result<Option<String>, CliError> {
    Ok(Some(match source {
        SecretSource::File(path) => format!("file:{}", absolute(path)?.display()),
        SecretSource::Cmd(line) => format!("cmd:{line}"),
        SecretSource::Fd(_) | SecretSource::Literal(_) => return Ok(None),
        other => other.to_string(),
    }))
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    path::absolute(path).map_err(|error| {
        let what = format!("{}: {error}", path.display());
        CliError::new(Exit::Internal, what, "")
    })
}

fn algorithm(kind: KeyType) -> Result<KeyAlgorithm, CliError> {
    Ok(match kind {
        KeyType::P256 => KeyAlgorithm::P256,
        KeyType::P384 => KeyAlgorithm::P384,
        KeyType::Rsa2048 => KeyAlgorithm::Rsa(2048),
        KeyType::Rsa3072 => KeyAlgorithm::Rsa(3072),
        KeyType::Rsa4096 => KeyAlgorithm::Rsa(4096),
        KeyType::P521 | KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => {
            return Err(CliError::usage(
                format!("keystead makes no {kind} keys in TPMs"),
                "--type ec-p256, ec-p384, rsa-2048, rsa-3072 or rsa-4096, as far as the TPM has them \
                 (`keystead tpm status`)",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_auth_values_are_random_and_fit() {
        let [one, two] = [random().unwrap(), random().unwrap()];
        assert_eq!(one.expose().len(), 32);
        assert!(one.expose().iter().all(u8::is_ascii_hexdigit));
        assert_ne!(one.expose(), two.expose());
    }

    #[test]
    fn handles_of_parents() {
        assert_eq!(handle("0x81000001"), Ok(0x8100_0001));
        assert!(handle("0x80000001").is_err());
    }
}

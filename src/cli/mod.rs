//! The command line: arguments become one typed plan; errors become text and exit codes. Only this
//! layer prints and reads the environment.

#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
mod asked;
mod attended;
#[cfg(feature = "ca")]
mod ca;
mod cache;
mod cert;
mod config;
mod context;
mod credential_process;
// What runs on has endpoints: for credentials, or for metrics.
#[cfg(feature = "http-server")]
mod daemon;
mod debug;
mod env;
pub mod error;
#[cfg(feature = "serve")]
mod exec;
mod flags;
mod help;
mod identity;
mod identity_plan;
mod key;
mod new_file;
mod on_aws;
mod parse;
mod place;
mod plan;
mod proxy;
#[cfg(feature = "push")]
mod push;
mod read_certificate_data;
mod refusal;
#[cfg(feature = "sandbox")]
mod sandbox;
mod selector;
#[cfg(feature = "serve")]
mod serve;
mod session;
#[cfg(feature = "http-server")]
mod settings;
mod sign_string;
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
mod signer_process;
mod sources;
#[cfg(feature = "push")]
mod spool;
mod subject_key;
#[cfg(feature = "pkcs11")]
mod token;
#[cfg(feature = "pkcs11")]
mod token_list;
#[cfg(feature = "tpm-direct")]
mod tpm;
#[cfg(feature = "serve")]
mod update;

pub use context::Context;
pub use error::{CliError, Exit};

use std::ffi::OsString;
use std::format;
use std::process::ExitCode;
use std::vec::Vec;

use context::{Console, ProcessEnvironment};

use crate::host::document;

/// A subcommand. Only the one that is asked for builds its flags: starting has to be cheap, because
/// programs run `credential-process` for every call that they make.
struct Subcommand {
    name: &'static str,
    about: &'static str,
    /// Runs it; its name is the first argument.
    run: fn(&[OsString], &Context<'_>) -> Result<ExitCode, CliError>,
}

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "credential-process",
        about: credential_process::ABOUT,
        run: credential_process::run,
    },
    #[cfg(feature = "serve")]
    Subcommand {
        name: "serve",
        about: serve::ABOUT,
        run: serve::run,
    },
    #[cfg(feature = "serve")]
    Subcommand {
        name: "exec",
        about: exec::ABOUT,
        run: exec::run,
    },
    Subcommand {
        name: "env",
        about: env::ABOUT,
        run: env::run,
    },
    #[cfg(feature = "serve")]
    Subcommand {
        name: "update",
        about: update::ABOUT,
        run: update::run,
    },
    #[cfg(feature = "push")]
    Subcommand {
        name: "push",
        about: push::ABOUT,
        run: push::run,
    },
    #[cfg(feature = "push")]
    Subcommand {
        name: "spool",
        about: spool::ABOUT,
        run: spool::run,
    },
    Subcommand {
        name: "sign-string",
        about: sign_string::ABOUT,
        run: sign_string::run,
    },
    Subcommand {
        name: "read-certificate-data",
        about: read_certificate_data::ABOUT,
        run: read_certificate_data::run,
    },
    #[cfg(feature = "pkcs11")]
    Subcommand {
        name: "token",
        about: token_list::ABOUT,
        run: token_list::run,
    },
    #[cfg(feature = "tpm-direct")]
    Subcommand {
        name: "tpm",
        about: tpm::command::ABOUT,
        run: tpm::command::run,
    },
    Subcommand {
        name: "key",
        about: key::ABOUT,
        run: key::run,
    },
    Subcommand {
        name: "cert",
        about: cert::ABOUT,
        run: cert::run,
    },
    Subcommand {
        name: "cache",
        about: cache::ABOUT,
        run: cache::run,
    },
    Subcommand {
        name: "config",
        about: config::ABOUT,
        run: config::run,
    },
    #[cfg(feature = "ca")]
    Subcommand {
        name: "ca",
        about: ca::ABOUT,
        run: ca::run,
    },
    #[cfg(feature = "sandbox")]
    Subcommand {
        name: "sandbox",
        about: sandbox::ABOUT,
        run: sandbox::run,
    },
    Subcommand {
        name: "version",
        about: "Print the version",
        run: |_, _| version(),
    },
];

/// The commands that a program can be without, and the features that they come with.
const OPTIONAL: [(&str, &str); 8] = [
    ("serve", "serve"),
    ("exec", "serve"),
    ("update", "serve"),
    ("push", "push"),
    ("spool", "push"),
    ("token", "pkcs11"),
    ("ca", "ca"),
    ("sandbox", "sandbox"),
];

/// Runs the program: `arguments[0]` is the name it was started under.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let environment = ProcessEnvironment::default();
    let context = Context {
        drop_in: arguments
            .first()
            .is_some_and(|program| context::is_drop_in(program)),
        environment: &environment,
        console: Console::new(&arguments, &environment),
    };
    match run(arguments.get(1..).unwrap_or_default(), &context) {
        Ok(code) => code,
        Err(error) => {
            context.console.report(&error);
            error.exit.into()
        }
    }
}

fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    protect_memory()?;
    #[cfg(feature = "fault-points")]
    arm_fault_points(context)?;
    let Some(first) = arguments.first() else {
        return help::overview();
    };
    match first.to_str() {
        Some("-h" | "--help") => help::overview(),
        Some("-V" | "--version") => version(),
        Some("help") => match arguments.get(1) {
            None => help::overview(),
            Some(name) => dispatch(&[name.clone(), "--help".into()], context),
        },
        _ => dispatch(arguments, context),
    }
}

/// What is to go wrong in a test.
#[cfg(feature = "fault-points")]
fn arm_fault_points(context: &Context<'_>) -> Result<(), CliError> {
    use crate::host::fault_points::{Plan, VARIABLE, arm};
    let Some(plan) = context.environment.var(VARIABLE) else {
        return Ok(());
    };
    let plan = plan.to_string_lossy().parse::<Plan>();
    arm(plan.map_err(|error| CliError::usage(std::string::ToString::to_string(&error), ""))?);
    Ok(())
}

/// Runs the subcommand that the first of `arguments` names.
fn dispatch(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let name = arguments
        .first()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    if let Some(found) = SUBCOMMANDS.iter().find(|known| known.name == name) {
        return (found.run)(arguments, context);
    }
    #[cfg(not(feature = "tpm-direct"))]
    if name == "tpm" {
        return Err(place::without_tpm("`keystead tpm` is for TPMs"));
    }
    if let Some((_, feature)) = OPTIONAL.iter().find(|(known, _)| *known == name) {
        return Err(CliError::usage(
            format!("this program was built without `keystead {name}`"),
            format!("use one that was built with the feature `{feature}`"),
        ));
    }
    let remedy = match document::nearest(&name, SUBCOMMANDS.iter().map(|known| known.name)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`keystead --help` lists the commands".into(),
    };
    let what = format!("there is no command `{}`", place::shown(&name));
    Err(CliError::usage(what, remedy))
}

fn version() -> Result<ExitCode, CliError> {
    context::print(concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Keeps the memory, which is going to hold secrets, out of core dumps and away from debuggers.
fn protect_memory() -> Result<(), CliError> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|error| {
            CliError::new(
                Exit::Internal,
                format!("the process cannot be protected from core dumps: {error}"),
                "",
            )
        })?;
    Ok(())
}

//! `keystead cert request`: a certificate request (PKCS#10), signed by the key itself.

use std::format;
use std::path::PathBuf;
use std::vec::Vec;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::cli::context::{self, Context};
use crate::cli::error::{CliError, Exit};
use crate::cli::subject_key::{self, SubjectKey};
use crate::cli::{new_file, refusal};
use crate::host::files::Access;
use crate::host::pkix::{AlternativeName, CertificateRequest, SigningError, Subject};

const DETAILS: &str = "\
The request is printed as PEM. It asks for key usage digitalSignature, which Roles Anywhere wants.

For example:
    keystead cert request hub.key --subject CN=hub-17,O=Acme --out hub.csr
    keystead cert request 'pkcs11:token=hsm;object=hub' --subject CN=hub-17 --pin-source file:/run/pin";

/// Its flags.
pub fn command() -> Command {
    let command = Command::new("request")
        .about("Make a certificate request for a key")
        .after_help(DETAILS)
        .arg(subject_key::argument())
        .arg(
            Arg::new("subject")
                .long("subject")
                .value_name("NAME")
                .required(true)
                .value_parser(str::parse::<Subject>)
                .help("Whom the certificate shall name, such as CN=hub-17,O=Acme"),
        )
        .arg(
            Arg::new("san")
                .long("san")
                .value_name("KIND:NAME")
                .action(ArgAction::Append)
                .value_parser(str::parse::<AlternativeName>)
                .help("A further name, as often as needed: dns:HOST, uri:URI, email:ADDRESS, ip:ADDRESS"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write it to this new file instead"),
        );
    subject_key::flags(command)
}

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed or written then.
pub fn run(matches: &ArgMatches, context: &Context<'_>) -> Result<(), CliError> {
    let key = SubjectKey::new(matches, context)?;
    let names = matches.get_many::<AlternativeName>("san");
    let names: Vec<_> = names.into_iter().flatten().cloned().collect();
    let Some(subject) = matches.get_one::<Subject>("subject") else {
        // Clap wants it.
        return Err(CliError::usage("no subject is given", ""));
    };
    let out = matches.get_one::<PathBuf>("out");
    if let Some(path) = out {
        // Before a PIN is asked for.
        new_file::check(path)?;
    }
    let mut signer = key.open(context)?;
    let pem = CertificateRequest::sign_pem(subject, &names, &mut signer)
        .map_err(|error| failure(error, &key))?;
    match out {
        Some(path) => new_file::write(path, pem.as_bytes(), Access::Everyone),
        None => context::print(pem.as_bytes()),
    }
}

fn failure(error: SigningError, key: &SubjectKey) -> CliError {
    match error {
        SigningError::Sign(error) => refusal::signature(error, &key.plan),
        error => CliError::new(Exit::Key, format!("{}: {error}", key.place), ""),
    }
}

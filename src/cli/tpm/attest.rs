//! `keystead key attest`: proves to an authority that a key is in a genuine TPM.

use std::format;
use std::path::PathBuf;
use std::vec::Vec;

use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use super::{ek, error};
use crate::backend::attestation::Challenge;
use crate::backend::tpm::{AttestAnswer, AttestRequest, OpenKey, attest_answer, attest_request};
use crate::cli::context::{self, Context};
use crate::cli::error::{CliError, Exit};
use crate::cli::new_file;
use crate::cli::place::Place;
use crate::cli::subject_key::{self, SubjectKey};
use crate::host::attestation::{Document, DocumentError};
use crate::host::files::Access;

const REQUEST: &str = "request";
const ANSWER: &str = "answer";
const OUT: &str = "out";

const DETAILS: &str = "\
--request writes what the authority has to see: the certificate of the TPM's endorsement key, an attestation \
key, and the key. The authority's challenge to it is what only this TPM can decrypt, and --answer has the TPM \
certify the key over that. None of the three files is a secret.

For example:
    keystead key attest tpm:file=hub-17.tss2 --request --out request.json
    (at the authority)  keystead ca challenge request.json --ek-roots makers.pem --out challenge.json
    keystead key attest tpm:file=hub-17.tss2 --answer challenge.json --out answer.json
    (at the authority)  keystead ca issue --csr hub-17.csr --attested answer.json --ek-roots makers.pem \\
                            --out hub-17";

/// Its flags.
pub fn command() -> Command {
    let command = Command::new("attest")
        .about("Prove to an authority that a key is in a genuine TPM, and cannot leave it")
        .after_help(DETAILS)
        .arg(subject_key::argument())
        .arg(
            Arg::new(REQUEST)
                .long(REQUEST)
                .action(ArgAction::SetTrue)
                .help("Write what the authority has to see, for `keystead ca challenge`"),
        )
        .arg(
            Arg::new(ANSWER)
                .long(ANSWER)
                .value_name("CHALLENGE")
                .value_parser(value_parser!(PathBuf))
                .help("Write the answer to the challenge in this file, for `keystead ca issue --attested`"),
        )
        .group(ArgGroup::new("step").args([REQUEST, ANSWER]).required(true))
        .arg(
            ek::kind_argument().conflicts_with(ANSWER),
        )
        .arg(
            Arg::new(OUT)
                .long(OUT)
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Write it to this new file"),
        );
    subject_key::flags(command)
}

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been written then.
pub fn run(matches: &ArgMatches, context: &Context<'_>) -> Result<(), CliError> {
    let key = SubjectKey::new(matches, context)?;
    let Place::Tpm(place) = &key.place else {
        return Err(CliError::usage(
            format!("{}: only a key of a TPM can be attested", key.place),
            "`keystead key generate tpm:file=FILE` or `tpm:handle=0x81…` makes one",
        ));
    };
    let Some(out) = matches.get_one::<PathBuf>(OUT) else {
        // Clap wants it.
        return Err(CliError::usage("--out names no file", ""));
    };
    new_file::check(out)?;
    let challenge = matches.get_one::<PathBuf>(ANSWER);
    let challenge = challenge.map(|path| Challenge::read(path)).transpose();
    let challenge = challenge.map_err(|error| document(&error))?;
    let open = OpenKey {
        key: place.contents()?,
        certificates: Vec::new(),
        salt: place.salt.clone(),
    };
    let mut operator = key.plan.tpm.operator(Some(place));
    let mut device = key.plan.tpm.device(Some(place), context)?;
    let (text, next) = match challenge {
        None => {
            let request = AttestRequest {
                key: open,
                ek: ek::kind(matches),
            };
            let shown = attest_request(&mut *device, &request, &mut operator)
                .map_err(|failed| error(&failed))?;
            let next = "keystead ca challenge FILE --ek-roots MAKERS --out challenge.json";
            (shown.to_text(), next)
        }
        Some(challenge) => {
            let answer = AttestAnswer {
                key: open,
                challenge,
            };
            let answered = attest_answer(&mut *device, &answer, &mut operator)
                .map_err(|failed| error(&failed))?;
            let next = "keystead ca issue --csr CSR --attested FILE --ek-roots MAKERS --out DIR";
            (answered.to_text(), next)
        }
    };
    let text = text.map_err(|error| document(&error))?;
    new_file::write(out, text.as_bytes(), Access::Everyone)?;
    let next = next.replace("FILE", &format!("{}", out.display()));
    context::print(format!("Next, at the authority: {next}\n").as_bytes())
}

fn document(error: &DocumentError) -> CliError {
    CliError::new(
        Exit::Usage,
        format!("{error}"),
        "`keystead ca challenge` writes challenges",
    )
}

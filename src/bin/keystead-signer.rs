//! The program `keystead-signer`: loads PKCS#11 modules, and libtss2 for TPMs, for `keystead`, which
//! starts it.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::process::{self, ExitCode};
use std::thread;
use std::time::Duration;

use keystead::backend::isolated::{self, LAUNCHER, NotStarted, Pipes, WORKER, Worker};
#[cfg(feature = "pkcs11")]
use keystead::backend::pkcs11;
#[cfg(feature = "tpm")]
use keystead::backend::tpm;

#[cfg(not(any(feature = "pkcs11", feature = "tpm")))]
compile_error!(
    "keystead-signer serves tokens or TPMs: build it with the feature `pkcs11` or `tpm`"
);

/// How long a worker whose client is gone may take to log out, or to empty the TPM, and end.
const FAREWELL: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (mode, parent) = (arguments.next(), arguments.next());
    let done = match mode.as_deref().and_then(OsStr::to_str) {
        Some(WORKER) => parent
            .and_then(|parent| parent.to_str()?.parse().ok())
            .ok_or(NotStarted::ByHand.into())
            .and_then(work),
        Some(LAUNCHER) => launch(),
        _ => Err(NotStarted::ByHand.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("keystead-signer {}: {error}", env!("CARGO_PKG_VERSION"));
            ExitCode::FAILURE
        }
    }
}

fn work(parent: u32) -> Result<(), Box<dyn Error>> {
    let pipes = Pipes::take()?;
    // Before the memory is protected: a protected process does not own its own files in /proc.
    isolated::bound_memory()?;
    isolated::protect_memory()?;
    isolated::end_with(parent)?;
    let watch = pipes.watch()?;
    thread::spawn(move || {
        watch.wait();
        thread::sleep(FAREWELL);
        // What it waits for hangs, or the clean-up of a module does: no exit handler of its own may run either.
        process::abort();
    });
    let worker = Worker::new(pipes.input, pipes.output);
    #[cfg(feature = "pkcs11")]
    let worker = worker.tokens(pkcs11::Local::new);
    #[cfg(feature = "tpm")]
    let worker = worker.tpm(tpm::Local::new);
    Ok(worker.serve()?)
}

fn launch() -> Result<(), Box<dyn Error>> {
    let socket = isolated::take_socket()?;
    isolated::protect_memory()?;
    // The very program that runs, also after an upgrade has put another in its place.
    Ok(isolated::launch(socket, "/proc/self/exe".into())?)
}

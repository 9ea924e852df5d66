//! A daemon's way through life as a service: handed sockets, confined, ready, reloaded, drained.

use core::mem;
use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::io;
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
use std::string::String;
use std::sync::Arc;
use std::thread;
use std::vec::Vec;

use super::footprint::Footprint;
use super::notify::{self, Notifier};
use super::reload::Reload;
use super::reporter::Reporter;
use super::signals::{self, Asked};
use super::sockets::{self, Activated};
use crate::cli::context::Context;
use crate::cli::error::{CliError, Exit};
#[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
use crate::cli::signer_process;
use crate::host::confine;
use crate::host::refresh::Refresher;

/// What a daemon is to the system that it runs on. To be dropped after everything else: then
/// `keystead-signer` ends.
pub struct Service {
    notifier: Arc<Notifier>,
    watchdog: Option<Duration>,
    sockets: Vec<Activated>,
}

impl Service {
    /// Takes over what the service manager hands to this process. The first thing that a daemon does.
    ///
    /// # Errors
    /// [`CliError`] if what was handed over cannot be used.
    pub fn begin(context: &Context<'_>) -> Result<Self, CliError> {
        let notifier = Notifier::new(context.environment).unwrap_or_else(|error| {
            let what =
                format!("the service manager cannot be reached through NOTIFY_SOCKET: {error}");
            context.console.warn(&what, "");
            Notifier::none()
        });
        Ok(Self {
            notifier: Arc::new(notifier),
            watchdog: notify::watchdog(context.environment),
            sockets: sockets::take(context.environment)?,
        })
    }

    /// The sockets that were handed over.
    pub fn take_sockets(&mut self) -> Vec<Activated> {
        mem::take(&mut self.sockets)
    }

    /// Starts what has to run beside the daemon, and gives up what is not needed any more. `footprint` is
    /// everything that the daemon and its identities need. What is started later is confined as well: so
    /// this comes before the first other thread.
    ///
    /// # Errors
    /// [`CliError`] if `keystead-signer` is needed and not there, or the system refuses.
    pub fn confine(&self, footprint: &Footprint, context: &Context<'_>) -> Result<(), CliError> {
        #[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
        if footprint.has_device {
            let without = footprint.secret_variables.iter().map(String::as_str);
            let without = without.chain(notify::VARIABLES).map(String::from);
            signer_process::launch(without.collect())?;
        }
        confine::no_new_privileges().map_err(|error| refused(&error))?;
        if let Some(why) = &footprint.unconfined {
            context.console.note(&format!("not confined: {why}"));
            return Ok(());
        }
        let confined = confine::confine(&footprint.needs).map_err(|error| refused(&error))?;
        context.console.note(&format!("{confined}"));
        Ok(())
    }

    /// Listens to signals: `drain` is called when the daemon is to end, and has its main loop return.
    /// What comes back is for that loop: it tells how the `refreshers` are.
    ///
    /// # Errors
    /// [`CliError`] if the system refuses.
    pub fn watch(
        &self,
        refreshers: Vec<Refresher>,
        drain: Box<dyn Fn() + Send>,
    ) -> Result<Reporter, CliError> {
        self.watch_with(refreshers, drain, Box::new(|| {}))
    }

    /// The same of a daemon that has more to do than its identities when everything is to be read again:
    /// `reload_more` is called then.
    ///
    /// # Errors
    /// As [`watch`](Self::watch).
    pub fn watch_with(
        &self,
        refreshers: Vec<Refresher>,
        drain: Box<dyn Fn() + Send>,
        reload_more: Box<dyn Fn() + Send>,
    ) -> Result<Reporter, CliError> {
        let notifier = self.notifier.clone();
        let reload = Reload::new(&refreshers);
        let again = refreshers.clone();
        let act = move |asked| match asked {
            Asked::Drain => {
                notifier.stopping();
                drain();
            }
            Asked::Reload => {
                notifier.reloading();
                reload_more();
                let ended = reload.begin(&again);
                let notifier = notifier.clone();
                // Signals have to be heard meanwhile. Without a thread nobody can wait: it is said at once.
                let wait = move || {
                    ended.wait();
                    notifier.ready();
                };
                let spawned = thread::Builder::new().name("reload".into()).spawn(wait);
                drop(spawned);
            }
        };
        signals::watch(Box::new(act)).map_err(|error| refused(&error))?;
        Ok(Reporter::new(
            self.notifier.clone(),
            self.watchdog,
            refreshers,
        ))
    }

    /// Everything is open: whoever waits for this service may go on.
    pub fn ready(&self) {
        self.notifier.ready();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        #[cfg(any(feature = "pkcs11", feature = "tpm-direct"))]
        signer_process::end();
    }
}

fn refused(error: &io::Error) -> CliError {
    CliError::new(Exit::Internal, format!("the system refuses: {error}"), "")
}

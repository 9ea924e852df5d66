//! Secrets for which a backend asks, perhaps several times: from where they are stored, or from the
//! person at the terminal.

use core::cell::Cell;
use std::string::String;
use std::thread_local;

use crate::backend::secret::{self, Environment, Secret, SecretError, SecretSource};

thread_local! {
    static UNATTENDED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, which asks nobody at the terminal, on this thread: what a daemon does when whoever started
/// it has long gone.
pub fn unattended<T>(work: impl FnOnce() -> T) -> T {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            UNATTENDED.set(self.0);
        }
    }
    let _back = Back(UNATTENDED.replace(true));
    work()
}

/// Whether a person at the terminal may be asked.
pub fn is_attended() -> bool {
    !UNATTENDED.get()
}

/// One of them.
#[derive(Debug)]
pub struct Asked {
    source: Option<SecretSource>,
    #[cfg(feature = "tpm")]
    is_configured: bool,
    is_used_up: bool,
}

impl Asked {
    /// One that comes from a source. Where there is none the person at the terminal is asked, if there
    /// is one.
    pub fn or_person(source: Option<SecretSource>) -> Self {
        let has_terminal = || secret::terminal().is_ok();
        let asks = source.is_none() && has_terminal();
        Self {
            #[cfg(feature = "tpm")]
            is_configured: source.is_some(),
            source: if asks {
                Some(SecretSource::Prompt)
            } else {
                source
            },
            is_used_up: false,
        }
    }

    /// Whether somebody said where it comes from.
    #[cfg(feature = "tpm")]
    pub fn is_configured(&self) -> bool {
        self.is_configured
    }

    /// Whether a person types it.
    pub fn is_typed(&self) -> bool {
        matches!(self.source, Some(SecretSource::Prompt))
    }

    /// Reads it; `None` if there is none to be had, or not again. `question` is what a person is asked,
    /// and `name` what it is called in an error.
    ///
    /// # Errors
    /// [`SecretError`], if its source cannot be read.
    pub fn read(
        &mut self,
        question: impl FnOnce() -> String,
        name: impl FnOnce() -> String,
        environment: &dyn Environment,
    ) -> Result<Option<Secret>, SecretError> {
        if self.is_typed() && !is_attended() {
            return Ok(None);
        }
        let what = if self.is_typed() { question() } else { name() };
        let Some(source) = &self.source else {
            return Ok(None);
        };
        match source {
            // What was in a pipe is gone.
            SecretSource::Fd(_) if self.is_used_up => return Ok(None),
            SecretSource::Fd(_) => self.is_used_up = true,
            _ => {}
        }
        source.read(&what, environment).map(Some)
    }
}

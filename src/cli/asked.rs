//! Secrets for which a backend asks, perhaps several times: from where they are stored, or from the
//! person at the terminal.

use std::string::String;

use super::attended::is_attended;
use crate::backend::secret::{self, Environment, Secret, SecretError, SecretSource};

/// One of them.
#[derive(Debug)]
pub struct Asked {
    source: Option<SecretSource>,
    #[cfg(feature = "tpm-direct")]
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
            #[cfg(feature = "tpm-direct")]
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
    #[cfg(feature = "tpm-direct")]
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

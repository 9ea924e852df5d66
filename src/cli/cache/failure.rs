//! What a failure of one process means for the others that ask for the same, and for what is kept.

use std::format;
use std::string::String;

use serde_json::Value;

use crate::cli::error::{CliError, Exit};
use crate::host::cache::Failure;

impl Failure for CliError {
    /// Not where the service itself has refused, or the user has asked for something that cannot be.
    fn may_use_remaining(&self) -> bool {
        !matches!(self.exit, Exit::Refused | Exit::Usage)
    }

    /// What the service said, or that it cannot be reached, holds for all. Another process may have a
    /// terminal to ask for the PIN on.
    fn shared(&self) -> Option<String> {
        matches!(self.exit, Exit::Network | Exit::Refused).then(|| format!("{}", self.json()))
    }

    fn read(text: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(text).ok()?;
        let exits = [Exit::Network, Exit::Refused];
        let exit = exits.into_iter().find(|exit| json["kind"] == exit.kind())?;
        let text = |name: &str| json[name].as_str();
        Some(Self::new(exit, text("message")?, text("remedy")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_for_all_is_read_as_it_was_left() {
        for exit in [Exit::Network, Exit::Refused] {
            let error = CliError::new(exit, "no \"route\"\n", "try\tagain");
            let read = CliError::read(&error.shared().unwrap()).unwrap();
            assert_eq!(
                (read.exit, read.what, read.remedy),
                (exit, error.what, error.remedy)
            );
        }
        for exit in [Exit::Internal, Exit::Usage, Exit::Key, Exit::Pin] {
            let error = CliError::new(exit, "no", "");
            assert!(error.shared().is_none());
            assert!(CliError::read(&format!("{}", error.json())).is_none());
        }
        assert!(CliError::read("").is_none());
    }
}

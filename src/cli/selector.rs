//! `--cert-selector`: which certificate of a store is meant, on the command line or in a JSON file.

use std::ffi::OsStr;
use std::format;
use std::path::Path;

use super::error::CliError;
use crate::backend::regular_file;
use crate::host::selector::Selector;

const EXAMPLE: &str = "such as Key=x509Subject,Value=CN=hub-17, or file://selector.json";

/// Reads the flag's value.
///
/// # Errors
/// [`CliError`] if it is no selector, or the file that it names cannot be read.
pub fn read(value: &OsStr) -> Result<Selector, CliError> {
    let Some(text) = value.to_str() else {
        return Err(CliError::usage("--cert-selector is not UTF-8", EXAMPLE));
    };
    let selector = match text.strip_prefix("file://") {
        None => text.parse(),
        Some(path) => {
            let text = regular_file::read_text(Path::new(path)).map_err(|error| {
                CliError::usage(format!("--cert-selector: {path}: {error}"), "")
            })?;
            Selector::from_json(&text)
        }
    };
    selector.map_err(|error| CliError::usage(format!("--cert-selector: {error}"), EXAMPLE))
}

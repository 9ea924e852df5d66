//! The certificate that other machines see.

use std::path::Path;
use std::string::ToString as _;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::backend::file::{self, FileIdentity, OpenError};
use crate::cli::error::{CliError, Exit};
use crate::cli::identity::open_error;
use crate::output::http::tls::ServerCertificate;

/// TLS 1.2 and 1.3 with this certificate, with its chain, and its key.
///
/// # Errors
/// [`CliError`] if a file cannot be read, or the two do not go together.
pub fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, CliError> {
    let files = FileIdentity {
        certificate,
        private_key: Some(key),
        intermediates: None,
    };
    let (identity, _) = file::open(&files, &mut || Ok(None)).map_err(cannot_open)?;
    let unusable = |what| CliError::new(Exit::Key, what, "tls-key is an RSA or EC key");
    ServerCertificate::new(identity)
        .map_err(|error| unusable(error.to_string()))?
        .config()
        .map_err(|error| unusable(error.to_string()))
}

fn cannot_open(error: OpenError) -> CliError {
    if error.concerns_password() {
        let remedy = "tls-key is a key that is not encrypted: `openssl pkey -in KEY -out PLAIN`";
        return CliError::new(Exit::Key, error.to_string(), remedy);
    }
    open_error(error)
}

//! The certificate that other machines see.

use std::format;
use std::path::Path;
use std::sync::Arc;
use std::vec::Vec;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::cli::error::{CliError, Exit};

/// TLS 1.2 and 1.3 with this certificate and key, both PEM files.
///
/// # Errors
/// [`CliError`] if a file cannot be read, or the two do not go together.
pub fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, CliError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .and_then(|chain| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(|error| wrong("tls-cert", certificate, &error))?;
    let key_der =
        PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("tls-key", key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, key_der)
        })
        .map_err(|error| {
            CliError::new(
                Exit::Key,
                format!(
                    "TLS with {} and {}: {error}",
                    certificate.display(),
                    key.display()
                ),
                "tls-key is the key of the first certificate in tls-cert",
            )
        })?;
    Ok(Arc::new(config))
}

fn wrong(setting: &str, path: &Path, error: &pem::Error) -> CliError {
    let what = match error {
        pem::Error::Io(error) => format!("{setting}: {}: {error}", path.display()),
        error => format!("{setting}: {}: this is no PEM: {error:?}", path.display()),
    };
    CliError::new(
        Exit::Key,
        what,
        "certificate and key are PEM files; the key is not encrypted",
    )
}

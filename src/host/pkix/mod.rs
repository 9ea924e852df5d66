//! What is written into certificates and certificate requests: names, and signatures over the whole.

mod alternative_name;
mod description;
mod request;
pub(crate) mod signed;
mod subject;

pub use alternative_name::{AlternativeName, AlternativeNameError};
pub use description::Description;
pub use request::{CertificateRequest, RequestError};
pub use signed::SigningError;
pub use subject::{Subject, SubjectError};

use std::string::String;

use der::Decode as _;
use x509_cert::der::pem::{LineEnding, encode_string};
use x509_cert::name::Name;

/// A DER `Name` as a [`Subject`] is written, also if it is empty or no subject that could be asked for.
pub fn name_text(der: &[u8]) -> String {
    match Name::from_der(der) {
        Ok(name) => subject::text(&name),
        Err(_) => String::from("(cannot be read)"),
    }
}

/// A PEM block (RFC 7468).
///
/// # Errors
/// [`der::Error`] if it is longer than PEM can be.
pub fn pem(label: &str, der: &[u8]) -> der::Result<String> {
    encode_string(label, LineEnding::LF, der).map_err(Into::into)
}

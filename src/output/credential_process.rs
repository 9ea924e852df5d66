//! The document that AWS's command line and SDKs take from a `credential_process`.

use core::fmt;
use std::string::String;

use zeroize::Zeroizing;

use crate::core::text::JsonString;
use crate::host::session::Credentials;

/// The document, as AWS's helper prints it: no spaces, no newline at the end.
///
/// The expiry is always there: without one, clients never ask again.
pub fn document(credentials: &Credentials) -> Zeroizing<String> {
    // With all its room from the start, no copy of a secret is left behind by growing.
    let room = 256 + 2 * (credentials.secret_access_key.len() + credentials.session_token.len());
    let mut text = Zeroizing::new(String::with_capacity(room));
    // Writing into a string does not fail.
    let _ = fmt::write(&mut *text, format_args!("{}", Document(credentials)));
    text
}

struct Document<'a>(&'a Credentials);

impl fmt::Display for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credentials = self.0;
        write!(
            f,
            r#"{{"Version":1,"AccessKeyId":{},"SecretAccessKey":{},"SessionToken":{},"Expiration":"{}"}}"#,
            JsonString(&credentials.access_key_id),
            JsonString(&credentials.secret_access_key),
            JsonString(&credentials.session_token),
            credentials.expiration
        )
    }
}

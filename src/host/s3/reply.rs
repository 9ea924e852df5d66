//! An answer, as far as somebody wants to see it.

use std::string::{String, ToString as _};
use std::vec::Vec;

use crate::core::http::{Answer, TooLong};

/// The longest body of an answer. The longest that is asked for are pages of `ListParts`.
const MAX_BODY: usize = 256 << 10;

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// The headers that somebody wants to see.
const WANTED: [&str; 13] = [
    "content-length",
    "date",
    "etag",
    "retry-after",
    "x-amz-bucket-region",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-request-id",
    "x-amz-retry-after",
    "x-amz-server-side-encryption",
    "x-amz-version-id",
    "location",
];

impl Reply {
    /// The value of a header that is [`WANTED`].
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Answer for Reply {
    fn status(&mut self, status: u16) {
        self.status = status;
        self.headers.clear();
        self.body.clear();
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        let wanted = WANTED
            .iter()
            .find(|wanted| name.eq_ignore_ascii_case(wanted));
        if let (Some(name), Ok(value)) = (wanted, core::str::from_utf8(value)) {
            self.headers.push((name, value.to_string()));
        }
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.body.len() + piece.len() > MAX_BODY {
            return Err(TooLong);
        }
        self.body.extend_from_slice(piece);
        Ok(())
    }
}

//! The `Authorization` header of both forms of SigV4, as a server reads it.

use std::string::String;
use std::vec::Vec;

use http::HeaderMap;

use crate::core::http::Header;
use crate::core::sigv4::{CanonicalRequest, PathRule, Payload, Scope, StringToSign};
use crate::core::time::UnixTime;

/// `ALGORITHM Credential=ID/DAY/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX`
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// `AWS4-HMAC-SHA256`, `AWS4-X509-RSA-SHA256`…
    pub algorithm: &'a str,
    /// The access key, or the certificate's serial number in decimal.
    pub id: &'a str,
    /// `YYYYMMDD`
    pub day: &'a str,
    /// The region of the scope.
    pub region: &'a str,
    /// The service of the scope.
    pub service: &'a str,
    signed_headers: &'a str,
    /// Lower-case hexadecimal, as it was sent.
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the header's value; `None` if it is not of that form.
    pub fn parse(value: &'a str) -> Option<Self> {
        let (algorithm, rest) = value.trim().split_once(' ')?;
        let mut credential = None;
        let mut signed_headers = None;
        let mut signature = None;
        for field in rest.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return None,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let mut scope = credential?.rsplitn(5, '/');
        let mut part = || scope.next().filter(|part| !part.is_empty());
        if part()? != "aws4_request" {
            return None;
        }
        Some(Self {
            algorithm,
            service: part()?,
            region: part()?,
            day: part()?,
            id: part()?,
            signed_headers: signed_headers?,
            signature: signature?,
        })
    }

    /// Reads a request's only `Authorization` header.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        Self::parse(single(headers, "authorization")?)
    }

    /// The signature's bytes; `None` if they are not hexadecimal.
    pub fn signature(&self) -> Option<Vec<u8>> {
        unhex(self.signature)
    }

    /// Whether a header is covered by the signature.
    pub(super) fn covers(&self, name: &str) -> bool {
        self.names().any(|signed| signed.eq_ignore_ascii_case(name))
    }

    /// The names of the signed headers.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.signed_headers.split(';')
    }

    /// The string that was signed, if the request is what was signed; `None` if a signed header is
    /// missing or not text, or the scope is absurdly long.
    pub(super) fn string_to_sign(
        &self,
        request: &http::request::Parts,
        body_hash: [u8; 32],
        time: UnixTime,
    ) -> Option<StringToSign> {
        let mut values: Vec<(&str, String)> = Vec::new();
        for name in self.names() {
            let mut found = request.headers.get_all(name).iter().peekable();
            found.peek()?;
            for value in found {
                let value = core::str::from_utf8(value.as_bytes()).ok()?;
                values.push((name, value.into()));
            }
        }
        let headers: Vec<Header<'_>> = values
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect();
        let canonical = CanonicalRequest {
            method: request.method.as_str(),
            target: request
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str()),
            path: PathRule::STANDARD,
            headers: &[&headers],
            payload: Payload::Sha256(body_hash),
        };
        let scope = Scope {
            time,
            region: self.region,
            service: self.service,
        };
        StringToSign::new(self.algorithm, &scope, &canonical.hash().ok()?).ok()
    }
}

/// The value of a header that is there exactly once.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut pairs = text.as_bytes().chunks_exact(2);
    let bytes = pairs
        .by_ref()
        .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
        .collect();
    pairs.remainder().is_empty().then_some(bytes)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_header() {
        let value = "AWS4-X509-RSA-SHA256 Credential=430/20261122/us-east-1/rolesanywhere/aws4_request, \
                     SignedHeaders=host;x-amz-date,Signature=00fF";
        let read = Authorization::parse(value).unwrap();
        assert_eq!(read.algorithm, "AWS4-X509-RSA-SHA256");
        assert_eq!(
            [read.id, read.day, read.region, read.service],
            ["430", "20261122", "us-east-1", "rolesanywhere"]
        );
        assert!(read.covers("Host") && !read.covers("content-type"));
        assert_eq!(read.signature(), Some(std::vec![0, 0xff]));
    }

    #[test]
    fn what_is_no_authorization() {
        for value in [
            "",
            "AWS4-HMAC-SHA256",
            "AWS AKID:signature",
            "A Credential=a/b/c/d/aws4_request, SignedHeaders=host",
            "A Credential=a/b/c/d/aws3_request, SignedHeaders=host, Signature=00",
            "A Credential=b/c/d/aws4_request, SignedHeaders=host, Signature=00",
            "A Credential=/b/c/d/aws4_request, SignedHeaders=host, Signature=00",
            "A Credential=a/b/c/d/aws4_request, Signature=00, SignedHeaders=host, Signature=00",
            "A Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=00, More=1",
        ] {
            assert!(Authorization::parse(value).is_none(), "{value}");
        }
        let odd = "A Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=000";
        assert_eq!(Authorization::parse(odd).unwrap().signature(), None);
    }
}

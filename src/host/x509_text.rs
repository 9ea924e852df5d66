//! Certificates as AWS's `aws_signing_helper` writes them: the JSON of its `read-certificate-data`,
//! and names in the one form that its certificate selectors compare.

use core::fmt;
use core::iter;
use std::borrow::ToOwned as _;
use std::string::String;
use std::vec::Vec;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};

use crate::core::key::KeyKind;
use crate::core::text::{Base64Text, Decimal, Hex};
use crate::core::x509::Certificate;

/// What `read-certificate-data --certificate FILE` prints: one JSON object, without spaces and
/// without a newline at its end. The serial number is decimal.
#[derive(Debug, Clone, Copy)]
pub struct CertificateData<'a>(pub &'a Certificate<'a>);

impl fmt::Display for CertificateData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key_type, algorithms) = match self.0.key_kind() {
            Some(KeyKind::Rsa { .. }) => {
                ("RSA", ["RSASHA256", "RSASHA384", "RSASHA512"].as_slice())
            }
            Some(KeyKind::P256 | KeyKind::P384 | KeyKind::P521) => {
                ("EC", ["ECSHA256", "ECSHA384", "ECSHA512"].as_slice())
            }
            // With ML-DSA there is no hash to choose.
            Some(KeyKind::MlDsa44) => ("ML-DSA-44", ["ML-DSA-44"].as_slice()),
            Some(KeyKind::MlDsa65) => ("ML-DSA-65", ["ML-DSA-65"].as_slice()),
            Some(KeyKind::MlDsa87) => ("ML-DSA-87", ["ML-DSA-87"].as_slice()),
            None => ("", ["SHA256", "SHA384", "SHA512"].as_slice()),
        };
        write!(
            f,
            r#"{{"keyType":"{key_type}","certificateData":"{}","serialNumber":"{}","supportedAlgorithms":["#,
            Base64Text(self.0.der),
            Decimal(self.0.serial),
        )?;
        for (index, algorithm) in algorithms.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, r#"{separator}"{algorithm}""#)?;
        }
        f.write_str("]}")
    }
}

/// One attribute of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its type.
    pub oid: ObjectIdentifier,
    /// Its value, whatever string type it is written in.
    pub value: String,
}

/// The attributes of a DER `Name`, in the order of the certificate. How they are grouped is lost.
///
/// # Errors
/// [`der::Error`] if it is no name, or a value is no string.
pub fn attributes(name: &[u8]) -> der::Result<Vec<Attribute>> {
    let mut attributes = Vec::new();
    let mut outer = SliceReader::new(name)?;
    outer.sequence(|names| {
        while !names.is_finished() {
            let together = AnyRef::decode(names)?;
            together.tag().assert_eq(Tag::Set)?;
            let mut together = SliceReader::new(together.value())?;
            while !together.is_finished() {
                attributes.push(together.sequence(|attribute| {
                    let oid = ObjectIdentifier::decode(attribute)?;
                    let value = AnyRef::decode(attribute)?;
                    let value = string(value).ok_or_else(|| Tag::Utf8String.value_error())?;
                    Ok::<_, der::Error>(Attribute { oid, value })
                })?);
            }
        }
        Ok::<_, der::Error>(())
    })?;
    outer.finish()?;
    Ok(attributes)
}

/// The text of an ASN.1 string of any of the types in use.
pub(super) fn string(value: AnyRef<'_>) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
            core::str::from_utf8(bytes).ok().map(str::to_owned)
        }
        // Nobody writes T.61; what is in it is Latin-1.
        Tag::TeletexString => Some(bytes.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let (units, odd) = bytes.as_chunks();
            let units = units.iter().copied().map(u16::from_be_bytes);
            let text: Result<String, _> = char::decode_utf16(units).collect();
            text.ok().filter(|_| odd.is_empty())
        }
        _ => None,
    }
}

/// A name as Go's `pkix.Name.String` writes it, which the helper prints and compares selectors with:
/// the known attributes in an order of their own, whatever the order of the certificate, equal ones
/// joined by `+`, then the others as `OID=#DER`.
#[derive(Debug, Clone, Copy)]
pub struct NameText<'a>(pub &'a [Attribute]);

/// The attributes that Go's library knows, in the order in which it writes them.
const KNOWN: [(ObjectIdentifier, &str); 9] = [
    (ObjectIdentifier::new_unwrap("2.5.4.5"), "SERIALNUMBER"),
    (COMMON_NAME, "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.17"), "POSTALCODE"),
    (ObjectIdentifier::new_unwrap("2.5.4.9"), "STREET"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
];

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SERIAL_NUMBER: ObjectIdentifier = KNOWN[0].0;

impl fmt::Display for NameText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separators = iter::once("").chain(iter::repeat(","));
        let mut separate =
            |f: &mut fmt::Formatter<'_>| f.write_str(separators.next().unwrap_or_default());
        for (oid, name) in KNOWN {
            let mut values = self.0.iter().filter(|attribute| attribute.oid == oid);
            if matches!(oid, COMMON_NAME | SERIAL_NUMBER) {
                // Of these Go keeps the last one, and none that is empty.
                if let Some(last) = values.next_back().filter(|last| !last.value.is_empty()) {
                    separate(f)?;
                    write!(f, "{name}={}", Escaped(&last.value))?;
                }
                continue;
            }
            for (index, attribute) in values.enumerate() {
                if index == 0 {
                    separate(f)?;
                } else {
                    f.write_str("+")?;
                }
                write!(f, "{name}={}", Escaped(&attribute.value))?;
            }
        }
        let is_known = |attribute: &&Attribute| KNOWN.iter().any(|(oid, _)| *oid == attribute.oid);
        for attribute in self.0.iter().rev().filter(|attribute| !is_known(attribute)) {
            separate(f)?;
            write!(f, "{}=#", attribute.oid)?;
            write_der(f, &attribute.value)?;
        }
        Ok(())
    }
}

/// A value with backslashes where RFC 2253 section 2.4 wants them.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.len().saturating_sub(1);
        for (index, character) in self.0.char_indices() {
            let special = match character {
                ',' | '+' | '"' | '\\' | '<' | '>' | ';' => true,
                ' ' => index == 0 || index == last,
                '#' => index == 0,
                _ => false,
            };
            if special {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

/// The hexadecimal DER of a string: a `PrintableString` if that can hold it, else a `UTF8String`.
fn write_der(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    let is_printable = |byte: u8| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte);
    let tag = if value.bytes().all(is_printable) {
        Tag::PrintableString
    } else {
        Tag::Utf8String
    };
    let value = AnyRef::new(tag, value.as_bytes()).map_err(|_| fmt::Error)?;
    let der = der::Encode::to_der(&value).map_err(|_| fmt::Error)?;
    write!(f, "{}", Hex(&der))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString as _;

    /// A certificate made by OpenSSL, and what the helper's code prints for it.
    #[test]
    fn certificate_data() {
        const CERTIFICATE: &[u8] = include_bytes!("../../tests/fixtures/hub.der");
        let certificate = Certificate::from_der(CERTIFICATE).unwrap();
        let base64 = Base64Text(CERTIFICATE);
        assert_eq!(
            CertificateData(&certificate).to_string(),
            format!(
                "{{\"keyType\":\"EC\",\"certificateData\":\"{base64}\",\
                 \"serialNumber\":\"17429726349691885448\",\
                 \"supportedAlgorithms\":[\"ECSHA256\",\"ECSHA384\",\"ECSHA512\"]}}"
            )
        );
    }

    /// Names made by OpenSSL, and what Go's `pkix.Name.String` writes for them.
    #[test]
    fn names() {
        for (der, text) in [
            (
                "3020310f300d06035504030c066875622d3137310d300b060355040a0c0441636d65",
                "CN=hub-17,O=Acme",
            ),
            (
                "3081e7310b3009060355040613024445310f300d06035504080c064265726c696e310f300d06\
                 035504070c064265726c696e31133011060355040a0c0a41636d652c20496e632e3110300e06\
                 0355040b0c0753656e736f7273310f300d060355040b0c064c696e652032310f300d06035504\
                 030c062366697273743110300e06035504030c0768756220313720310d300b06035504051304\
                 30303137311e301c06092a864886f70d010901160f6f7073406578616d706c652e636f6d3117\
                 3015060a0992268993f22c64011916076578616d706c6531133011060a0992268993f22c6401\
                 010c03612062",
                "SERIALNUMBER=0017,CN=hub 17\\ ,OU=Sensors+OU=Line 2,O=Acme\\, Inc.,L=Berlin,ST\
                 =Berlin,C=DE,0.9.2342.19200300.100.1.1=#1303612062,0.9.2342.19200300.100.1.2\
                 5=#13076578616d706c65,1.2.840.113549.1.9.1=#0c0f6f7073406578616d706c652e636f\
                 6d",
            ),
            (
                "3051311830080603550405130131300c06035504030c0562c3bc726f31153013060355040a0c\
                 0c612b623b633c643e22655c66310e300c06035504110c053130313135310e300c0603550409\
                 0c055765672031",
                "SERIALNUMBER=1,CN=b\u{fc}ro,O=a\\+b\\;c\\<d\\>\\\"e\\\\f,POSTALCODE=10115,STREET=Weg 1",
            ),
            (
                "308187310a300806035504030c0161310a3008060355040b0c0162310a3008060355040a0c01\
                 63310a300806035504110c0164310a300806035504090c0165310a300806035504070c016631\
                 0a300806035504080c0167310b3009060355040613024445310a30080603550405130168310b\
                 3009060355040a0c026332310b300906035504030c026232",
                "SERIALNUMBER=h,CN=b2,OU=b,O=c+O=c2,POSTALCODE=d,STREET=e,L=f,ST=g,C=DE",
            ),
        ] {
            let der: Vec<u8> = (0..der.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&der[at..at + 2], 16).unwrap())
                .collect();
            let attributes = attributes(&der).unwrap();
            assert_eq!(NameText(&attributes).to_string(), text);
        }
    }

    #[test]
    fn no_names() {
        for der in [
            &b""[..],
            b"\x30",
            b"\x31\x00",
            b"\x30\x00\x00",
            // An attribute whose value is an INTEGER.
            b"\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x02\x01\x01",
        ] {
            assert!(attributes(der).is_err(), "{der:?}");
        }
        assert_eq!(attributes(b"\x30\x00"), Ok(Vec::new()));
    }
}

//! Subject alternative names as flags write them: `dns:hub.example`, `uri:urn:hub:17`,
//! `email:ops@example.com`, `ip:192.0.2.7`.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use der::asn1::Ia5String;
use x509_cert::ext::pkix::name::GeneralName;

/// One subject alternative name (RFC 5280 section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlternativeName(pub(crate) GeneralName);

impl AlternativeName {
    /// A DNS name, which may start with the wildcard `*.`.
    ///
    /// # Errors
    /// [`AlternativeNameError::Dns`] if it is none.
    pub fn dns(name: &str) -> Result<Self, AlternativeNameError> {
        let labels = name.strip_prefix("*.").unwrap_or(name);
        if labels.len() > 253 || !labels.split('.').all(is_label) {
            return Err(AlternativeNameError::Dns);
        }
        Ia5String::new(name)
            .map(|name| Self(GeneralName::DnsName(name)))
            .map_err(|_| AlternativeNameError::Dns)
    }

    /// An IP address.
    pub fn ip(address: IpAddr) -> Self {
        Self(address.into())
    }

    fn uri(uri: &str) -> Result<Self, AlternativeNameError> {
        let (scheme, rest) = uri.split_once(':').ok_or(AlternativeNameError::Uri)?;
        let scheme_is_valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !scheme_is_valid || rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(AlternativeNameError::Uri);
        }
        Ia5String::new(uri)
            .map(|uri| Self(GeneralName::UniformResourceIdentifier(uri)))
            .map_err(|_| AlternativeNameError::Uri)
    }

    fn email(address: &str) -> Result<Self, AlternativeNameError> {
        let (mailbox, host) = address
            .rsplit_once('@')
            .ok_or(AlternativeNameError::Email)?;
        if mailbox.is_empty()
            || !mailbox.bytes().all(|byte| byte.is_ascii_graphic())
            || !host.split('.').all(is_label)
        {
            return Err(AlternativeNameError::Email);
        }
        Ia5String::new(address)
            .map(|address| Self(GeneralName::Rfc822Name(address)))
            .map_err(|_| AlternativeNameError::Email)
    }
}

/// A label of a host name. Underscores are not in RFC 1123, but in use.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl FromStr for AlternativeName {
    type Err = AlternativeNameError;

    /// Reads `dns:…`, `uri:…`, `email:…` or `ip:…`; the kind in any case, as OpenSSL's
    /// configuration writes it in capitals.
    fn from_str(text: &str) -> Result<Self, AlternativeNameError> {
        let (kind, value) = text.split_once(':').ok_or(AlternativeNameError::Kind)?;
        match kind.to_ascii_lowercase().as_str() {
            "dns" => Self::dns(value),
            "uri" => Self::uri(value),
            "email" => Self::email(value),
            "ip" => value
                .parse()
                .map(Self::ip)
                .map_err(|_| AlternativeNameError::Ip),
            _ => Err(AlternativeNameError::Kind),
        }
    }
}

/// As it is read; kinds that are not, by their names in RFC 5280.
impl fmt::Display for AlternativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            GeneralName::DnsName(name) => write!(f, "dns:{name}"),
            GeneralName::UniformResourceIdentifier(uri) => write!(f, "uri:{uri}"),
            GeneralName::Rfc822Name(address) => write!(f, "email:{address}"),
            GeneralName::IpAddress(address) => match *address.as_bytes() {
                [a, b, c, d] => write!(f, "ip:{}", IpAddr::from([a, b, c, d])),
                ref bytes => match <[u8; 16]>::try_from(bytes) {
                    Ok(bytes) => write!(f, "ip:{}", IpAddr::from(bytes)),
                    Err(_) => f.write_str("ip:(cannot be read)"),
                },
            },
            GeneralName::DirectoryName(name) => {
                write!(f, "directoryName:{}", super::subject::text(name))
            }
            GeneralName::RegisteredId(oid) => write!(f, "registeredID:{oid}"),
            GeneralName::OtherName(other) => write!(f, "otherName:{}", other.type_id),
            _ => f.write_str("(of a kind that is not read)"),
        }
    }
}

/// Why a text is no subject alternative name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlternativeNameError {
    /// It does not start with a known kind.
    Kind,
    /// Not a DNS name.
    Dns,
    /// Not an absolute URI.
    Uri,
    /// Not a mail address.
    Email,
    /// Not an IP address.
    Ip,
}

impl fmt::Display for AlternativeNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kind => "an alternative name starts with dns:, uri:, email: or ip:",
            Self::Dns => "not a DNS name (international names are written in their xn-- form)",
            Self::Uri => "not an absolute URI, such as urn:hub:17 or spiffe://example.com/hub-17",
            Self::Email => "not a mail address",
            Self::Ip => "not an IP address",
        })
    }
}

impl core::error::Error for AlternativeNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for text in [
            "dns:hub-17.example",
            "DNS:localhost",
            "dns:*.example.com",
            "dns:_service.example",
            "uri:spiffe://example.com/hub/17",
            "URI:urn:hub:17",
            "email:ops@example.com",
            "ip:127.0.0.1",
            "IP:2001:db8::1",
        ] {
            assert!(text.parse::<AlternativeName>().is_ok(), "{text}");
        }
        assert_eq!(
            "ip:192.0.2.7".parse(),
            Ok(AlternativeName::ip([192, 0, 2, 7].into()))
        );
    }

    #[test]
    fn refused() {
        use AlternativeNameError::*;
        for (text, error) in [
            ("hub-17.example", Kind),
            ("rid:1.2.3", Kind),
            ("dns:", Dns),
            ("dns:a..b", Dns),
            ("dns:-a", Dns),
            ("dns:a b", Dns),
            ("dns:a.*.b", Dns),
            ("dns:b\u{fc}ro.example", Dns),
            ("uri:hub", Uri),
            ("uri:1a:b", Uri),
            ("uri:a:b c", Uri),
            ("email:ops", Email),
            ("email:@example.com", Email),
            ("ip:1.2.3", Ip),
            ("ip:1.2.3.4/8", Ip),
        ] {
            assert_eq!(text.parse::<AlternativeName>(), Err(error), "{text}");
        }
    }
}

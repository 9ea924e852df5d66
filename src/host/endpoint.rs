//! Where the service is: the endpoints of every partition, and endpoints of the user's own.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use std::borrow::ToOwned as _;
use std::format;
use std::string::String;

/// The header by which endpoints of keystead's own are known, and its value: what they give is nobody's
/// role.
pub const MARK: (&str, &str) = ("Server", "keystead");

/// A partition of AWS: regions that share accounts and domain names.
#[derive(Debug, PartialEq, Eq)]
pub struct Partition {
    /// The name, as ARNs have it.
    pub name: &'static str,
    dns_suffix: &'static str,
    dual_stack_dns_suffix: &'static str,
    /// What its regions' names start with.
    region_prefix: &'static str,
}

/// As botocore's `partitions.json` has them. The last one takes every region that is in no other.
static PARTITIONS: [Partition; 8] = [
    Partition {
        name: "aws-cn",
        dns_suffix: "amazonaws.com.cn",
        dual_stack_dns_suffix: "api.amazonwebservices.com.cn",
        region_prefix: "cn-",
    },
    Partition {
        name: "aws-us-gov",
        dns_suffix: "amazonaws.com",
        dual_stack_dns_suffix: "api.aws",
        region_prefix: "us-gov-",
    },
    Partition {
        name: "aws-eusc",
        dns_suffix: "amazonaws.eu",
        dual_stack_dns_suffix: "api.amazonwebservices.eu",
        region_prefix: "eusc-",
    },
    Partition {
        name: "aws-iso",
        dns_suffix: "c2s.ic.gov",
        dual_stack_dns_suffix: "api.aws.ic.gov",
        region_prefix: "us-iso-",
    },
    Partition {
        name: "aws-iso-b",
        dns_suffix: "sc2s.sgov.gov",
        dual_stack_dns_suffix: "api.aws.scloud",
        region_prefix: "us-isob-",
    },
    Partition {
        name: "aws-iso-e",
        dns_suffix: "cloud.adc-e.uk",
        dual_stack_dns_suffix: "api.cloud-aws.adc-e.uk",
        region_prefix: "eu-isoe-",
    },
    Partition {
        name: "aws-iso-f",
        dns_suffix: "csp.hci.ic.gov",
        dual_stack_dns_suffix: "api.aws.hci.ic.gov",
        region_prefix: "us-isof-",
    },
    Partition {
        name: "aws",
        dns_suffix: "amazonaws.com",
        dual_stack_dns_suffix: "api.aws",
        region_prefix: "",
    },
];

/// The regions that AWS lists a FIPS endpoint of Roles Anywhere for.
const FIPS_REGIONS: [&str; 6] = [
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "us-gov-east-1",
    "us-gov-west-1",
];

/// The partition of that name.
pub fn partition(name: &str) -> Option<&'static Partition> {
    PARTITIONS.iter().find(|partition| partition.name == name)
}

/// Whether `text` can be a region's name.
pub fn is_region(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether AWS lists a FIPS endpoint for `region`.
pub fn has_fips(region: &str) -> bool {
    FIPS_REGIONS.contains(&region)
}

impl Partition {
    /// The partition that `region` is in.
    pub fn of_region(region: &str) -> &'static Self {
        let [special @ .., commercial] = &PARTITIONS;
        let mut special = special.iter();
        special
            .find(|partition| region.starts_with(partition.region_prefix))
            .unwrap_or(commercial)
    }

    /// What the names of its hosts end with.
    pub fn dns_suffix(&self) -> &'static str {
        self.dns_suffix
    }
}

/// Which of a region's endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Variant {
    /// With cryptography validated to FIPS 140.
    pub fips: bool,
    /// With IPv6 beside IPv4.
    pub dual_stack: bool,
}

/// Where requests are sent: a scheme, a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The host, and the port unless it is the scheme's own: what goes into the `Host` header.
    pub authority: String,
}

impl Endpoint {
    /// The endpoint of IAM Roles Anywhere in a region.
    pub fn rolesanywhere(region: &str, variant: Variant) -> Self {
        let partition = Partition::of_region(region);
        let fips = if variant.fips { "-fips" } else { "" };
        let suffix = if variant.dual_stack {
            partition.dual_stack_dns_suffix
        } else {
            partition.dns_suffix
        };
        Self {
            tls: true,
            authority: format!("rolesanywhere{fips}.{region}.{suffix}"),
        }
    }

    /// The endpoint of STS in a region.
    pub fn sts(region: &str) -> Self {
        let suffix = Partition::of_region(region).dns_suffix;
        Self {
            tls: true,
            authority: format!("sts.{region}.{suffix}"),
        }
    }

    /// An endpoint of the user's own: `https://HOST[:PORT]`, or `http://` for one without TLS.
    /// Without a scheme it is `https`.
    ///
    /// # Errors
    /// [`EndpointError`] if `url` has another scheme, or more than host and port.
    pub fn custom(url: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let (tls, default_port) = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => (true, 443),
            _ if scheme.eq_ignore_ascii_case("http") => (false, 80),
            _ => return Err(EndpointError::Scheme),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(EndpointError::MoreThanHost);
        }
        let (host, port) = split_port(authority)?;
        if !is_host(host) {
            return Err(EndpointError::Host);
        }
        let authority = match port {
            Some(port) if port != default_port => format!("{host}:{port}"),
            _ => host.to_owned(),
        };
        Ok(Self { tls, authority })
    }

    /// The URL of a path on this endpoint.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority)
    }

    /// The host without the port; an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        split_port(&self.authority).map_or(self.authority.as_str(), |(host, _)| host)
    }

    /// Whether the host is this machine itself.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        let v6 = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|v4: Ipv4Addr| v4.is_loopback())
            || v6.is_some_and(|v6| v6.parse().is_ok_and(|v6: Ipv6Addr| v6.is_loopback()))
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), EndpointError> {
    match authority.rsplit_once(':') {
        // The last colon of an IPv6 address stands inside the brackets.
        Some((_, tail)) if tail.ends_with(']') => Ok((authority, None)),
        Some((host, port)) => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            match port.parse() {
                Ok(port @ 1..) if digits => Ok((host, Some(port))),
                _ => Err(EndpointError::Port),
            }
        }
        None => Ok((authority, None)),
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(v6) => v6
            .strip_suffix(']')
            .is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()),
        None => {
            (1..=253).contains(&host.len())
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
    }
}

/// What is wrong with an endpoint of the user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointError {
    /// Neither `http` nor `https`.
    Scheme,
    /// User, path, query or fragment.
    MoreThanHost,
    /// Not a host name or address.
    Host,
    /// Not a port.
    Port,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "an endpoint starts with https:// or http://",
            Self::MoreThanHost => {
                "an endpoint is a scheme, a host and a port: no user, path, query or fragment"
            }
            Self::Host => "the endpoint's host is neither a name nor an address",
            Self::Port => "the endpoint's port is not a number from 1 to 65535",
        })
    }
}

impl core::error::Error for EndpointError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn endpoints_of_every_partition() {
        let name = |region, fips, dual_stack| {
            Endpoint::rolesanywhere(region, Variant { fips, dual_stack }).authority
        };
        for (region, expected) in [
            ("eu-west-1", "rolesanywhere.eu-west-1.amazonaws.com"),
            ("cn-north-1", "rolesanywhere.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", "rolesanywhere.us-gov-west-1.amazonaws.com"),
            (
                "eusc-de-east-1",
                "rolesanywhere.eusc-de-east-1.amazonaws.eu",
            ),
            ("us-iso-east-1", "rolesanywhere.us-iso-east-1.c2s.ic.gov"),
            (
                "us-isob-east-1",
                "rolesanywhere.us-isob-east-1.sc2s.sgov.gov",
            ),
            (
                "eu-isoe-west-1",
                "rolesanywhere.eu-isoe-west-1.cloud.adc-e.uk",
            ),
            (
                "us-isof-south-1",
                "rolesanywhere.us-isof-south-1.csp.hci.ic.gov",
            ),
        ] {
            assert_eq!(name(region, false, false), expected);
        }
        assert_eq!(
            name("us-east-1", true, false),
            "rolesanywhere-fips.us-east-1.amazonaws.com"
        );
        assert_eq!(
            name("eu-west-1", false, true),
            "rolesanywhere.eu-west-1.api.aws"
        );
        assert_eq!(
            name("cn-north-1", true, true),
            "rolesanywhere-fips.cn-north-1.api.amazonwebservices.com.cn"
        );
    }

    #[test]
    fn custom_endpoints() {
        for (url, canonical, loopback) in [
            ("http://127.0.0.1:18080", "http://127.0.0.1:18080/x", true),
            ("https://localhost:443/", "https://localhost/x", true),
            ("HTTP://[::1]:80", "http://[::1]/x", true),
            ("https://[::1]:8443", "https://[::1]:8443/x", true),
            ("vpce-1.example.com", "https://vpce-1.example.com/x", false),
            ("http://10.0.0.1", "http://10.0.0.1/x", false),
            (
                "http://localhost.example.com",
                "http://localhost.example.com/x",
                false,
            ),
        ] {
            let endpoint = Endpoint::custom(url).unwrap();
            assert_eq!(endpoint.url("/x"), canonical);
            assert_eq!(endpoint.is_loopback(), loopback, "{url}");
        }
        for (url, error) in [
            ("ftp://host", EndpointError::Scheme),
            ("https://host/path", EndpointError::MoreThanHost),
            ("https://user@host", EndpointError::MoreThanHost),
            ("https://host?x", EndpointError::MoreThanHost),
            ("https://", EndpointError::Host),
            ("https://ho st", EndpointError::Host),
            ("https://[::1", EndpointError::Host),
            ("https://[::zz]", EndpointError::Host),
            ("https://host:0", EndpointError::Port),
            ("https://host:+1", EndpointError::Port),
            ("https://host:99999", EndpointError::Port),
        ] {
            assert_eq!(Endpoint::custom(url), Err(error), "{url}");
        }
    }

    #[test]
    fn regions() {
        for region in ["eu-west-1", "us-gov-west-1", "mx-central-1"] {
            assert!(is_region(region));
        }
        for region in [
            "",
            "eu",
            "EU-WEST-1",
            "eu-west-1.evil.com",
            "-1",
            "eu_west_1",
        ] {
            assert!(!is_region(region), "{region}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_read_the_same_again(url in "(https?://)?[a-z\\[\\]:.@/#0-9-]{0,40}") {
            if let Ok(endpoint) = Endpoint::custom(&url) {
                prop_assert_eq!(Endpoint::custom(&endpoint.url("")), Ok(endpoint));
            }
        }
    }
}

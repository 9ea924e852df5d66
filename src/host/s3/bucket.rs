//! Where a bucket is: which host is asked, and how the bucket is named there.

use core::fmt;
use core::net::Ipv4Addr;
use std::borrow::ToOwned as _;
use std::format;
use std::string::String;

use crate::core::s3::ObjectPath;
use crate::core::sigv4::Encoded;
use crate::host::endpoint::{Endpoint, Partition};

/// How the bucket is named in a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Style {
    /// In the host's name at AWS, unless the name has dots, which its certificate does not cover. In the path on
    /// endpoints of the user's own, whose names and certificates seldom are made for more.
    #[default]
    Auto,
    /// In the path: `https://s3.eu-west-1.amazonaws.com/bucket/key`.
    Path,
    /// In the host's name: `https://bucket.s3.eu-west-1.amazonaws.com/key`.
    VirtualHost,
}

/// Where a bucket is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The region, which requests are signed for.
    pub region: String,
    /// An endpoint of the user's own; AWS's of the region if there is none.
    pub endpoint: Option<Endpoint>,
    /// How the bucket is named.
    pub style: Style,
    /// AWS's endpoint with IPv6 beside IPv4.
    pub dual_stack: bool,
    /// AWS's endpoint with cryptography validated to FIPS 140.
    pub fips: bool,
}

/// A bucket, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    name: String,
    region: String,
    endpoint: Endpoint,
    in_path: bool,
    /// The account that has to own the bucket: otherwise S3 refuses, so that data does not go to a bucket that
    /// somebody else has made under the name.
    pub expected_owner: Option<String>,
}

/// The regions that AWS lists FIPS endpoints of S3 for (AWS general reference, "Amazon S3 endpoints and quotas").
const FIPS_REGIONS: [&str; 8] = [
    "ca-central-1",
    "ca-west-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

impl Bucket {
    /// The bucket `name` at `place`.
    ///
    /// # Errors
    /// [`BucketError`] if there is no such name, or no such endpoint.
    pub fn new(name: &str, place: &Place) -> Result<Self, BucketError> {
        check_name(name, place.endpoint.is_some())?;
        let endpoint = match &place.endpoint {
            Some(_) if place.dual_stack || place.fips => return Err(BucketError::Variant),
            Some(endpoint) => endpoint.clone(),
            None => Endpoint {
                tls: true,
                authority: aws_host(place)?,
            },
        };
        let fits_host = is_dns_label(name) || !endpoint.tls && is_dns_name(name);
        let in_path = match place.style {
            Style::Path => true,
            Style::Auto => place.endpoint.is_some() || !is_dns_label(name),
            Style::VirtualHost if !fits_host => return Err(BucketError::NotAHost),
            Style::VirtualHost => false,
        };
        let endpoint = if in_path {
            endpoint
        } else {
            Endpoint {
                authority: format!("{name}.{}", endpoint.authority),
                ..endpoint
            }
        };
        Ok(Self {
            name: name.to_owned(),
            region: place.region.clone(),
            endpoint,
            in_path,
            expected_owner: None,
        })
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The region to sign for.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The host that is asked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether what is sent is encrypted on its way. Where it is not, payloads have to be signed.
    pub fn is_encrypted(&self) -> bool {
        self.endpoint.tls
    }

    /// Path and query of an object, encoded. `query` is encoded already: `uploads`.
    pub(super) fn target(&self, key: &str, query: &str) -> String {
        let bucket = self.in_path.then_some(self.name.as_str());
        let path = ObjectPath { bucket, key };
        if query.is_empty() {
            format!("{path}")
        } else {
            format!("{path}?{query}")
        }
    }

    /// The URL of an object, to show to people.
    pub fn url(&self, key: &str) -> String {
        self.endpoint.url(&self.target(key, ""))
    }
}

/// A value in a query.
pub(super) fn query_value(text: &str) -> Encoded<'_> {
    Encoded::plain(text)
}

fn aws_host(place: &Place) -> Result<String, BucketError> {
    let region = place.region.as_str();
    if !crate::host::endpoint::is_region(region) {
        return Err(BucketError::Region(region.to_owned()));
    }
    if place.fips && !FIPS_REGIONS.contains(&region) {
        return Err(BucketError::NoFips(region.to_owned()));
    }
    let fips = if place.fips { "-fips" } else { "" };
    // S3 keeps this form, where newer services have a domain of their own for it.
    let dual_stack = if place.dual_stack { ".dualstack" } else { "" };
    let suffix = Partition::of_region(region).dns_suffix();
    Ok(format!("s3{fips}{dual_stack}.{region}.{suffix}"))
}

/// S3 user guide, "General purpose bucket naming rules". Servers of other makers take what S3 took earlier.
fn check_name(name: &str, other_server: bool) -> Result<(), BucketError> {
    let wrong = || BucketError::Name(name.to_owned());
    if name.starts_with("arn:") {
        return Err(BucketError::Arn);
    }
    if name.ends_with("--x-s3") {
        return Err(BucketError::Directory);
    }
    if other_server {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_name = (1..=255).contains(&name.len()) && name.bytes().all(fits);
        return if is_name && !matches!(name, "." | "..") {
            Ok(())
        } else {
            Err(wrong())
        };
    }
    if (3..=63).contains(&name.len()) && is_dns_name(name) && name.parse::<Ipv4Addr>().is_err() {
        Ok(())
    } else {
        Err(wrong())
    }
}

/// Labels of lower-case letters, digits and hyphens, with dots between them.
fn is_dns_name(name: &str) -> bool {
    name.split('.').all(is_dns_label)
}

fn is_dns_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(fits)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Why there can be no such bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BucketError {
    /// The name breaks S3's rules.
    Name(String),
    /// An ARN.
    Arn,
    /// A directory bucket.
    Directory,
    /// The name does not fit into the host's.
    NotAHost,
    /// Not a region's name.
    Region(String),
    /// AWS has no FIPS endpoint in this region.
    NoFips(String),
    /// Dual-stack or FIPS with an endpoint of the user's own.
    Variant,
}

impl fmt::Display for BucketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(
                f,
                "{name:?} is no name of a bucket: 3 to 63 lower-case letters, digits, hyphens and dots"
            ),
            Self::Arn => f.write_str(
                "ARNs of access points are not supported; write the access point's alias, which ends in -s3alias",
            ),
            Self::Directory => f.write_str(
                "directory buckets (S3 Express One Zone) want sessions of their own and are not supported",
            ),
            Self::NotAHost => f.write_str(
                "the bucket's name cannot be a part of the host's name there: leave --virtual-host out",
            ),
            Self::Region(region) if region.is_empty() => {
                f.write_str("the bucket's region is not known: give --s3-region")
            }
            Self::Region(region) => write!(f, "{region:?} is no name of a region"),
            Self::NoFips(region) => write!(f, "AWS has no FIPS endpoint of S3 in {region}"),
            Self::Variant => f.write_str(
                "--s3-dual-stack and --s3-fips choose among AWS's endpoints: leave them out with --s3-endpoint",
            ),
        }
    }
}

impl core::error::Error for BucketError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    fn place(region: &str) -> Place {
        Place {
            region: region.to_owned(),
            ..Place::default()
        }
    }

    fn url(name: &str, place: &Place) -> String {
        Bucket::new(name, place).map_or_else(|error| error.to_string(), |bucket| bucket.url("a b"))
    }

    #[test]
    fn addresses_at_aws() {
        let eu = place("eu-west-1");
        assert_eq!(
            url("logs", &eu),
            "https://logs.s3.eu-west-1.amazonaws.com/a%20b"
        );
        assert_eq!(
            url("logs.example.com", &eu),
            "https://s3.eu-west-1.amazonaws.com/logs.example.com/a%20b"
        );
        let path = Place {
            style: Style::Path,
            ..eu.clone()
        };
        assert_eq!(
            url("logs", &path),
            "https://s3.eu-west-1.amazonaws.com/logs/a%20b"
        );
        let both = Place {
            dual_stack: true,
            fips: true,
            ..place("us-west-2")
        };
        assert_eq!(
            url("logs", &both),
            "https://logs.s3-fips.dualstack.us-west-2.amazonaws.com/a%20b"
        );
        assert_eq!(
            url("logs", &place("cn-north-1")),
            "https://logs.s3.cn-north-1.amazonaws.com.cn/a%20b"
        );
        assert_eq!(
            url("logs", &place("eusc-de-east-1")),
            "https://logs.s3.eusc-de-east-1.amazonaws.eu/a%20b"
        );
    }

    #[test]
    fn addresses_of_ones_own() {
        let mut own = Place {
            endpoint: Some(Endpoint::custom("http://hub.local:9000").unwrap()),
            ..place("us-east-1")
        };
        assert_eq!(
            url("Old_Name", &own),
            "http://hub.local:9000/Old_Name/a%20b"
        );
        own.style = Style::VirtualHost;
        assert_eq!(url("logs", &own), "http://logs.hub.local:9000/a%20b");
        // Without TLS no certificate has to cover the dot.
        assert_eq!(url("a.b", &own), "http://a.b.hub.local:9000/a%20b");
        assert_eq!(Bucket::new("Old_Name", &own), Err(BucketError::NotAHost));
        own.fips = true;
        assert_eq!(Bucket::new("logs", &own), Err(BucketError::Variant));
        // Nobody signs for a region that these servers do not know; they may call it anything.
        let garage = Place {
            region: "garage".into(),
            style: Style::Auto,
            fips: false,
            ..own
        };
        assert_eq!(url("logs", &garage), "http://hub.local:9000/logs/a%20b");
    }

    #[test]
    fn what_is_no_bucket() {
        let eu = place("eu-west-1");
        for name in [
            "",
            "ab",
            "Logs",
            "a_b",
            "-ab",
            "a..b",
            "a-.b",
            "192.168.1.1",
            "a/b",
            "a%2fb",
            &"a".repeat(64),
        ] {
            assert_eq!(
                Bucket::new(name, &eu),
                Err(BucketError::Name(name.to_owned()))
            );
        }
        let arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/logs";
        assert_eq!(Bucket::new(arn, &eu), Err(BucketError::Arn));
        assert_eq!(
            Bucket::new("logs--euw1-az1--x-s3", &eu),
            Err(BucketError::Directory)
        );
        let fips = Place { fips: true, ..eu };
        assert_eq!(
            Bucket::new("logs", &fips),
            Err(BucketError::NoFips("eu-west-1".into()))
        );
        assert_eq!(
            Bucket::new("logs", &place("eu-west-1.evil.com")),
            Err(BucketError::Region("eu-west-1.evil.com".into()))
        );
        let dots = Place {
            style: Style::VirtualHost,
            ..place("eu-west-1")
        };
        assert_eq!(Bucket::new("a.b", &dots), Err(BucketError::NotAHost));
    }
}

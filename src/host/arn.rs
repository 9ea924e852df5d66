//! ARNs, and the three of them that name a session, checked against each other.

use core::fmt;
use core::str::FromStr;
use std::borrow::ToOwned as _;
use std::string::String;

use super::endpoint::{self, Partition};
use crate::core::text::Printable;

/// An Amazon resource name: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arn {
    text: String,
    /// Where the fields after `arn` start.
    starts: [usize; 5],
}

impl Arn {
    /// No service gives out longer ones.
    pub const MAX_LEN: usize = 2048;

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `aws`, `aws-cn`, `aws-us-gov`…
    pub fn partition(&self) -> &str {
        self.field(0)
    }

    /// `rolesanywhere`, `iam`…
    pub fn service(&self) -> &str {
        self.field(1)
    }

    /// The region; empty for services that have none.
    pub fn region(&self) -> &str {
        self.field(2)
    }

    /// The account's twelve digits.
    pub fn account(&self) -> &str {
        self.field(3)
    }

    /// All after the fifth colon: `role/path/Name`.
    pub fn resource(&self) -> &str {
        &self.text[self.starts[4]..]
    }

    fn field(&self, index: usize) -> &str {
        &self.text[self.starts[index]..self.starts[index + 1] - 1]
    }
}

impl FromStr for Arn {
    type Err = NotAnArn;

    fn from_str(text: &str) -> Result<Self, NotAnArn> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.len() > Self::MAX_LEN || !printable || !text.starts_with("arn:") {
            return Err(NotAnArn);
        }
        let mut starts = [0; 5];
        let mut colons = text.match_indices(':');
        for start in &mut starts {
            *start = colons.next().ok_or(NotAnArn)?.0 + 1;
        }
        Ok(Self {
            text: text.to_owned(),
            starts,
        })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Text that is no ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnArn;

impl fmt::Display for NotAnArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ARN has the form arn:partition:service:region:account:resource")
    }
}

impl core::error::Error for NotAnArn {}

/// Which of a session's ARNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The trust anchor's.
    TrustAnchor,
    /// The profile's.
    Profile,
    /// The role's.
    Role,
}

impl Which {
    fn service(self) -> &'static str {
        match self {
            Self::TrustAnchor | Self::Profile => "rolesanywhere",
            Self::Role => "iam",
        }
    }

    fn resource_type(self) -> &'static str {
        match self {
            Self::TrustAnchor => "trust-anchor/",
            Self::Profile => "profile/",
            Self::Role => "role/",
        }
    }

    /// The characters of the resource's name: a UUID for Roles Anywhere, a path and a name for IAM.
    fn allows(self, byte: u8) -> bool {
        match self {
            Self::TrustAnchor | Self::Profile => byte.is_ascii_alphanumeric() || byte == b'-',
            // A role's path may hold any printable character.
            Self::Role => byte.is_ascii_graphic(),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrustAnchor => "trust anchor",
            Self::Profile => "profile",
            Self::Role => "role",
        })
    }
}

/// The three ARNs of a session. They are of the right kinds, of one partition and one account; trust
/// anchor and profile are of one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionArns {
    trust_anchor: Arn,
    profile: Arn,
    role: Arn,
    partition: &'static Partition,
}

impl SessionArns {
    /// Reads and checks the three ARNs.
    ///
    /// # Errors
    /// [`ArnError`], with the ARN that is wrong, or the two that do not go together.
    pub fn new(trust_anchor: &str, profile: &str, role: &str) -> Result<Self, ArnError> {
        let trust_anchor = read(Which::TrustAnchor, trust_anchor)?;
        let profile = read(Which::Profile, profile)?;
        let role = read(Which::Role, role)?;
        let partition = endpoint::partition(trust_anchor.partition()).ok_or_else(|| {
            let name = trust_anchor.partition().to_owned();
            ArnError::UnknownPartition(name)
        })?;
        let region = trust_anchor.region();
        if Partition::of_region(region) != partition {
            return Err(ArnError::RegionOutsidePartition {
                region: region.to_owned(),
                partition: partition.name,
            });
        }
        for (which, other) in [(Which::Profile, &profile), (Which::Role, &role)] {
            same("partition", which, &trust_anchor, other, Arn::partition)?;
            same("account", which, &trust_anchor, other, Arn::account)?;
        }
        same(
            "region",
            Which::Profile,
            &trust_anchor,
            &profile,
            Arn::region,
        )?;
        Ok(Self {
            trust_anchor,
            profile,
            role,
            partition,
        })
    }

    /// The trust anchor's ARN.
    pub fn trust_anchor(&self) -> &Arn {
        &self.trust_anchor
    }

    /// The profile's ARN.
    pub fn profile(&self) -> &Arn {
        &self.profile
    }

    /// The role's ARN.
    pub fn role(&self) -> &Arn {
        &self.role
    }

    /// The partition of all three.
    pub fn partition(&self) -> &'static Partition {
        self.partition
    }

    /// The region of trust anchor and profile.
    pub fn region(&self) -> &str {
        self.trust_anchor.region()
    }
}

fn read(which: Which, text: &str) -> Result<Arn, ArnError> {
    let wrong = |expected| ArnError::Wrong {
        which,
        text: text.chars().take(200).collect(),
        expected,
    };
    let arn: Arn = text
        .parse()
        .map_err(|_| wrong("arn:partition:service:region:account:resource"))?;
    if arn.service() != which.service() {
        return Err(wrong(match which {
            Which::Role => "the service iam",
            Which::TrustAnchor | Which::Profile => "the service rolesanywhere",
        }));
    }
    let has_region = !arn.region().is_empty();
    match which {
        Which::Role if has_region => return Err(wrong("no region")),
        Which::TrustAnchor | Which::Profile if !endpoint::is_region(arn.region()) => {
            return Err(wrong("a region such as eu-west-1"));
        }
        _ => {}
    }
    if arn.account().len() != 12 || !arn.account().bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("an account of twelve digits"));
    }
    let name = arn.resource().strip_prefix(which.resource_type());
    if !name.is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| which.allows(byte))) {
        return Err(wrong(match which {
            Which::TrustAnchor => "the resource trust-anchor/ID",
            Which::Profile => "the resource profile/ID",
            Which::Role => "the resource role/NAME",
        }));
    }
    Ok(arn)
}

fn same(
    part: &'static str,
    which: Which,
    trust_anchor: &Arn,
    other: &Arn,
    field: fn(&Arn) -> &str,
) -> Result<(), ArnError> {
    if field(trust_anchor) == field(other) {
        return Ok(());
    }
    Err(ArnError::Differs {
        part,
        which,
        of_trust_anchor: field(trust_anchor).to_owned(),
        of_other: field(other).to_owned(),
    })
}

/// What is wrong with a session's ARNs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArnError {
    /// One of them is not of the form that it has to have.
    Wrong {
        /// Which one.
        which: Which,
        /// Its text, shortened.
        text: String,
        /// What it has to have.
        expected: &'static str,
    },
    /// A partition that keystead does not know the names of.
    UnknownPartition(String),
    /// A region that is not in the partition beside it.
    RegionOutsidePartition {
        /// The region.
        region: String,
        /// The partition of the ARN.
        partition: &'static str,
    },
    /// Two of them do not go together.
    Differs {
        /// `partition`, `account` or `region`.
        part: &'static str,
        /// Which one differs from the trust anchor's.
        which: Which,
        /// What the trust anchor's has.
        of_trust_anchor: String,
        /// What the other has.
        of_other: String,
    },
}

impl fmt::Display for ArnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong {
                which,
                text,
                expected,
            } => write!(
                f,
                "the {which} ARN `{}` is wrong: it has to have {expected}",
                Printable(text)
            ),
            Self::UnknownPartition(name) => {
                write!(f, "the trust anchor ARN's partition `{name}` is not known")
            }
            Self::RegionOutsidePartition { region, partition } => write!(
                f,
                "the trust anchor ARN is wrong: region {region} is not in partition {partition}"
            ),
            Self::Differs {
                part,
                which,
                of_trust_anchor,
                of_other,
            } => write!(
                f,
                "the trust anchor is in {part} {of_trust_anchor}, the {which} in {part} {of_other}"
            ),
        }
    }
}

impl core::error::Error for ArnError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::string::ToString as _;

    const ANCHOR: &str = "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a-1";
    const PROFILE: &str = "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p-1";
    const ROLE: &str = "arn:aws:iam::111122223333:role/path/Sensor+Writer=1";

    fn error(trust_anchor: &str, profile: &str, role: &str) -> String {
        match SessionArns::new(trust_anchor, profile, role) {
            Ok(_) => panic!("{trust_anchor}, {profile}, {role} passed"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn three_that_go_together() {
        let arns = SessionArns::new(ANCHOR, PROFILE, ROLE).unwrap();
        assert_eq!(arns.region(), "eu-west-1");
        assert_eq!(arns.partition().name, "aws");
        assert_eq!(arns.role().resource(), "role/path/Sensor+Writer=1");
        assert_eq!(arns.trust_anchor().as_str(), ANCHOR);
        assert_eq!(arns.profile().account(), "111122223333");
    }

    #[test]
    fn each_field_is_checked() {
        for (anchor, says) in [
            ("", "arn:partition:service"),
            (
                "arn:aws:rolesanywhere:eu-west-1:111122223333",
                "arn:partition:service",
            ),
            (
                "arn:aws:iam:eu-west-1:111122223333:trust-anchor/a",
                "the service rolesanywhere",
            ),
            (
                "arn:aws:rolesanywhere::111122223333:trust-anchor/a",
                "a region such as",
            ),
            (
                "arn:aws:rolesanywhere:EU:111122223333:trust-anchor/a",
                "a region such as",
            ),
            (
                "arn:aws:rolesanywhere:eu-west-1:1:trust-anchor/a",
                "twelve digits",
            ),
            (
                "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/a",
                "trust-anchor/ID",
            ),
            (
                "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/",
                "trust-anchor/ID",
            ),
            (
                "arn:aws:rolesanywhere:cn-north-1:111122223333:trust-anchor/a",
                "is not in partition aws",
            ),
            (
                "arn:aws-xx:rolesanywhere:eu-west-1:111122223333:trust-anchor/a",
                "`aws-xx` is not known",
            ),
        ] {
            let text = error(anchor, PROFILE, ROLE);
            assert!(
                text.contains("trust anchor ARN") && text.contains(says),
                "{text}"
            );
        }
        let text = error(ANCHOR, PROFILE, "arn:aws:iam:eu-west-1:111122223333:role/R");
        assert!(text.ends_with("it has to have no region"), "{text}");
        let text = error(ANCHOR, PROFILE, "arn:aws:iam::111122223333:user/R");
        assert!(text.ends_with("the resource role/NAME"), "{text}");
    }

    #[test]
    fn they_are_checked_against_each_other() {
        assert_eq!(
            error(ANCHOR, &PROFILE.replace("eu-west-1", "us-east-1"), ROLE),
            "the trust anchor is in region eu-west-1, the profile in region us-east-1"
        );
        assert_eq!(
            error(ANCHOR, PROFILE, "arn:aws:iam::999922223333:role/R"),
            "the trust anchor is in account 111122223333, the role in account 999922223333"
        );
        assert_eq!(
            error(ANCHOR, PROFILE, "arn:aws-cn:iam::111122223333:role/R"),
            "the trust anchor is in partition aws, the role in partition aws-cn"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = text.parse::<Arn>();
            let _ = SessionArns::new(&text, &text, &text);
        }

        #[test]
        fn fields_are_what_was_put_in(
            fields in proptest::array::uniform4("[a-z0-9-]{0,12}"),
            resource in "[!-~]{0,40}",
        ) {
            let [partition, service, region, account] = &fields;
            let text = format!("arn:{partition}:{service}:{region}:{account}:{resource}");
            let arn: Arn = text.parse().unwrap();
            prop_assert_eq!(arn.partition(), partition);
            prop_assert_eq!(arn.service(), service);
            prop_assert_eq!(arn.region(), region);
            prop_assert_eq!(arn.account(), account);
            prop_assert_eq!(arn.resource(), resource);
        }
    }
}

//! The account that the sandbox plays: trust anchors, profiles and roles.

use core::fmt;
use std::borrow::ToOwned as _;
use std::format;
use std::path::PathBuf;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use sha2::{Digest as _, Sha256};

use super::policy::Policy;
use crate::core::text::Hex;

/// An account in one region.
#[derive(Debug, Clone)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// `eu-west-1`
    pub region: String,
    /// The trust anchors.
    pub trust_anchors: Vec<TrustAnchor>,
    /// The profiles.
    pub profiles: Vec<Arc<Profile>>,
    /// The roles.
    pub roles: Vec<Arc<Role>>,
}

/// A trust anchor: certificates that device certificates have to chain to.
#[derive(Debug, Clone)]
pub struct TrustAnchor {
    /// Its ARN.
    pub arn: String,
    /// The authority's certificates, DER; two while it is being replaced (PROTOCOL: at most two).
    pub certificates: Vec<Vec<u8>>,
    /// The CRLs imported for it, PEM or DER. They are read again for each request; a file that is
    /// not there revokes nothing.
    pub crls: Vec<PathBuf>,
    /// Whether it may be used.
    pub enabled: bool,
}

/// A profile: which roles, for how long, with which session policy.
#[derive(Debug, Clone)]
pub struct Profile {
    /// What the sandbox's own files call it.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// The ARNs of the roles that may be assumed through it.
    pub roles: Vec<String>,
    /// The longest session, in seconds.
    pub duration_seconds: u32,
    /// Whether a request may name its session.
    pub accept_role_session_name: bool,
    /// Narrows what the role allows.
    pub session_policy: Option<Policy>,
    /// Whether it may be used.
    pub enabled: bool,
}

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The account of its ARN.
    pub account: String,
    /// The last part of its ARN.
    pub name: String,
    /// `AROA…`
    pub id: String,
    /// The longest session, in seconds; a request for a longer one fails.
    pub max_session_seconds: u32,
    /// What it may do.
    pub policy: Policy,
    /// Whether its trust policy lets IAM Roles Anywhere assume it.
    pub trusts_roles_anywhere: bool,
}

impl Account {
    /// An account without resources.
    pub fn new(id: &str, region: &str) -> Self {
        Self {
            id: id.to_owned(),
            region: region.to_owned(),
            trust_anchors: Vec::new(),
            profiles: Vec::new(),
            roles: Vec::new(),
        }
    }

    /// The ARN of a trust anchor; `id` is its UUID, or a name that becomes one.
    pub fn trust_anchor_arn(&self, id: &str) -> String {
        self.rolesanywhere_arn("trust-anchor", id)
    }

    /// The ARN of a profile; `id` is its UUID, or a name that becomes one.
    pub fn profile_arn(&self, id: &str) -> String {
        self.rolesanywhere_arn("profile", id)
    }

    /// The ARN of the subject that a certificate names, made from its DER `Name`.
    pub(super) fn subject_arn(&self, subject: &[u8]) -> String {
        self.rolesanywhere_arn("subject", &format!("{}", Hex(subject)))
    }

    /// The ARN of a role.
    pub fn role_arn(&self, name: &str) -> String {
        format!("arn:aws:iam::{}:role/{name}", self.id)
    }

    fn rolesanywhere_arn(&self, kind: &str, id: &str) -> String {
        let Self {
            id: account,
            region,
            ..
        } = self;
        let uuid = if is_uuid(id) {
            id.to_owned()
        } else {
            format!("{}", Uuid::of(&format!("{kind}/{id}")))
        };
        format!("arn:aws:rolesanywhere:{region}:{account}:{kind}/{uuid}")
    }
}

impl Role {
    /// A role of `account` that IAM Roles Anywhere may assume for up to an hour.
    pub fn new(account: &Account, name: &str, policy: Policy) -> Self {
        let mut digits = format!("{}", Hex(&Sha256::digest(name.as_bytes())));
        digits.truncate(17);
        Self {
            arn: account.role_arn(name),
            account: account.id.clone(),
            name: name.rsplit('/').next().unwrap_or(name).to_owned(),
            id: format!("AROA{}", digits.to_ascii_uppercase()),
            max_session_seconds: 3600,
            policy,
            trusts_roles_anywhere: true,
        }
    }
}

impl Profile {
    /// A profile of `account` for these roles, with AWS's defaults: an hour, no session names, no
    /// session policy.
    pub fn new(account: &Account, name: &str, roles: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            arn: account.profile_arn(name),
            roles: roles.iter().map(|name| account.role_arn(name)).collect(),
            duration_seconds: 3600,
            accept_role_session_name: false,
            session_policy: None,
            enabled: true,
        }
    }
}

/// An identifier of the form of a UUID that is always the same for the same name, so that ARNs stay
/// what they were from one run to the next.
struct Uuid([u8; 16]);

impl Uuid {
    fn of(name: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        // RFC 9562 section 5.8: version 8, made from a hash.
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e] = [0..4, 4..6, 6..8, 8..10, 10..16].map(|part| Hex(&self.0[part]));
        write!(f, "{a}-{b}-{c}-{d}-{e}")
    }
}

fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| {
            if dashes.contains(&index) {
                byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        })
}

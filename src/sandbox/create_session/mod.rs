//! `CreateSession` of IAM Roles Anywhere, verified as AWS verifies it and more strictly where AWS is
//! known to be lenient (CloudTrail's non-conformance flags).

mod answer;
mod authenticate;
mod refusal;
mod request;
mod revocation;
mod trust;

use core::time::Duration;
use std::format;
use std::string::String;
use std::sync::Arc;

use http::Method;
use serde_json::Value;

use self::request::Parameters;
use super::account::{Profile, Role, TrustAnchor};
use super::config::{Config, SESSION_SECONDS};
use super::sessions::Sessions;
use crate::core::text::Hex;
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::host::arn::{ArnError, SessionArns};
use crate::host::rules;

pub(super) use self::refusal::Refusal;

/// A request as it arrived.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) head: &'a http::request::Parts,
    pub(super) body: &'a [u8],
    /// The time on the sandbox's clock.
    pub(super) now: UnixTime,
    /// A fault's: how long sessions last whatever was asked for.
    pub(super) lifetime: Option<Duration>,
}

/// Verifies a request and issues a session; gives the body of the answer.
///
/// # Errors
/// [`Refusal`]: the error that AWS answers with, and the reason that it does not tell.
pub(super) fn create_session(
    config: &Config,
    sessions: &Sessions,
    call: Call<'_>,
) -> Result<Value, Refusal> {
    if call.head.method != Method::POST || call.head.uri.path() != "/sessions" {
        return Err(Refusal::unknown_operation());
    }
    let leaf_der = authenticate::leaf(call.head)?;
    let leaf = Certificate::from_der(&leaf_der)
        .map_err(|error| Refusal::insufficient_certificate(&error))?;
    authenticate::verify(config, &leaf, call)?;

    let parameters = Parameters::read(call.head.uri.query(), call.body)?;
    let arns = arns(&parameters)?;
    let anchor = anchor(config, arns.trust_anchor().as_str())?;
    judge_certificate(config, &leaf, call.now)?;
    let chain_der = authenticate::chain(call.head)?;
    let path = trust::path(&leaf, &chain_der, anchor, call.now)?;
    revocation::check(&path, &anchor.crls)?;

    let (profile, role) = profile_and_role(config, &arns)?;
    let seconds = duration(&parameters, &profile, &role)?;
    let name = session_name(&parameters, &profile, &leaf)?;
    let size = profile
        .session_policy
        .as_ref()
        .map(|policy| policy.packed_size());
    if size.is_some_and(|percent| percent > 100) {
        return Err(Refusal::unable_to_assume(
            &role.arn,
            "PackedPolicySize exceeds the limit",
        ));
    }

    let lifetime = call
        .lifetime
        .map_or(u64::from(seconds), |lifetime| lifetime.as_secs());
    let expiration = UnixTime::from_secs(call.now.as_secs().saturating_add(lifetime));
    let session = sessions
        .issue(name, expiration, role, profile)
        .map_err(|_| Refusal::internal("the system gives no random numbers"))?;
    Ok(answer::body(config, &session, &leaf, size))
}

fn arns(parameters: &Parameters) -> Result<SessionArns, Refusal> {
    SessionArns::new(
        &parameters.trust_anchor_arn,
        &parameters.profile_arn,
        &parameters.role_arn,
    )
    .map_err(|error| match error {
        ArnError::Differs {
            part: "account", ..
        } => Refusal::validation(format!("The ARNs have different account IDs: {error}")),
        _ => Refusal::validation(format!("{error}")),
    })
}

fn anchor<'a>(config: &'a Config, arn: &str) -> Result<&'a TrustAnchor, Refusal> {
    let mut anchors = config.account.trust_anchors.iter();
    let anchor = anchors.find(|anchor| anchor.arn == arn).ok_or_else(|| {
        let reason = format!("the sandbox has no trust anchor {arn}");
        Refusal::not_found("Specified Trust Anchor wasn't found.", reason)
    })?;
    if !anchor.enabled {
        let reason = "the trust anchor is disabled";
        return Err(Refusal::access_denied(
            "Untrusted signing certificate",
            reason,
        ));
    }
    Ok(anchor)
}

/// The rules for device certificates; validity counts even where the rules are relaxed.
fn judge_certificate(
    config: &Config,
    leaf: &Certificate<'_>,
    now: UnixTime,
) -> Result<(), Refusal> {
    if config.certificate_rules
        && let Some(violation) = rules::check(leaf, Some(now)).first()
    {
        return Err(Refusal::insufficient_certificate(violation));
    }
    if now < leaf.not_before || now > leaf.not_after {
        let reason = format!(
            "the certificate is valid from {} to {}, and it is {now}",
            leaf.not_before, leaf.not_after
        );
        return Err(Refusal::insufficient_certificate(&reason));
    }
    Ok(())
}

fn profile_and_role(
    config: &Config,
    arns: &SessionArns,
) -> Result<(Arc<Profile>, Arc<Role>), Refusal> {
    let account = &config.account;
    let profile = account
        .profiles
        .iter()
        .find(|profile| profile.arn == arns.profile().as_str())
        .filter(|profile| profile.enabled)
        .ok_or_else(|| Refusal::validation("Invalid or empty profile provided."))?;
    let role_arn = arns.role().as_str();
    if !profile.roles.iter().any(|listed| listed == role_arn) {
        let reason = format!("the profile lists {}", profile.roles.join(", "));
        let message = "Requested Role isn't one of those listed in the Profile.";
        return Err(Refusal::access_denied(message, reason));
    }
    let role = account
        .roles
        .iter()
        .find(|role| role.arn == role_arn)
        .ok_or_else(|| Refusal::unable_to_assume(role_arn, "there is no such role"))?;
    if !role.trusts_roles_anywhere {
        let reason = "its trust policy does not let rolesanywhere.amazonaws.com assume it";
        return Err(Refusal::unable_to_assume(role_arn, reason));
    }
    Ok((profile.clone(), role.clone()))
}

/// The shorter of what was asked for and what the profile gives; the role's limit is not clamped to
/// (PROTOCOL 1.3).
fn duration(parameters: &Parameters, profile: &Profile, role: &Role) -> Result<u32, Refusal> {
    let asked = parameters.duration_seconds;
    if let Some(seconds) = asked
        && !SESSION_SECONDS.contains(&seconds)
    {
        let (least, most) = (SESSION_SECONDS.start(), SESSION_SECONDS.end());
        let message = format!("durationSeconds has to be between {least} and {most}");
        return Err(Refusal::validation(message));
    }
    let seconds = asked.map_or(profile.duration_seconds, |seconds| {
        seconds.min(profile.duration_seconds)
    });
    if seconds > role.max_session_seconds {
        return Err(Refusal::unable_to_assume(
            &role.arn,
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    Ok(seconds)
}

/// The name that was asked for, if the profile accepts one; otherwise the certificate's serial number
/// in hexadecimal.
fn session_name(
    parameters: &Parameters,
    profile: &Profile,
    leaf: &Certificate<'_>,
) -> Result<String, Refusal> {
    let name = match &parameters.role_session_name {
        Some(_) if !profile.accept_role_session_name => {
            let reason = "the profile does not accept session names (acceptRoleSessionName)";
            return Err(Refusal::access_denied(
                "Not authorized to set roleSessionName",
                reason,
            ));
        }
        Some(name) => name.clone(),
        None => format!("{}", Hex(leaf.serial)),
    };
    // STS AssumeRole, `RoleSessionName`.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if !(2..=64).contains(&name.len()) || !name.bytes().all(allowed) {
        let message = "roleSessionName has to have 2 to 64 letters, digits and _+=,.@-";
        return Err(Refusal::validation(message));
    }
    Ok(name)
}

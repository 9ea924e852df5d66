//! Why there is no session, for people: what went wrong, and what to check.

use std::format;
use std::string::{String, ToString as _};

use super::error::{CliError, Exit};
use super::identity_plan::IdentityPlan;
#[cfg(feature = "tpm-direct")]
use super::place::Place;
use super::plan::Plan;
#[cfg(feature = "tpm-direct")]
use super::tpm;
use crate::core::create_session::AnswerError;
use crate::core::key::SignError;
use crate::host::endpoint::Endpoint;
use crate::host::remedy;
use crate::host::session::{CreateError, CreateErrorKind};
use crate::host::transport::HttpError;

/// The error for a session that could not be had.
pub fn of(error: &CreateError, plan: &Plan) -> CliError {
    let endpoint = &plan.session.endpoint;
    let host = &endpoint.authority;
    let mut of = match &error.kind {
        CreateErrorKind::Unsignable => CliError::usage(error.to_string(), ""),
        CreateErrorKind::Sign(sign) => signature(*sign, &plan.identity),
        CreateErrorKind::Transport(cause) => transport(cause, endpoint),
        CreateErrorKind::Refused(refusal) => {
            // What may go better later is no refusal: programs that try again have to tell.
            let (exit, verb) = if error.is_retryable() {
                (Exit::Network, "could not answer")
            } else {
                (Exit::Refused, "refused")
            };
            CliError::new(
                exit,
                format!("{host} {verb}: {refusal}"),
                if error.is_throttling() {
                    remedy::THROTTLED
                } else {
                    remedy::of(refusal.status, &refusal.code, &refusal.message).unwrap_or_default()
                },
            )
        }
        CreateErrorKind::Answer(AnswerError::Expired) => CliError::new(
            Exit::Network,
            format!("{host} gave credentials that have already expired by this machine's clock"),
            "set the clock, or let --correct-clock sign with the service's time",
        ),
        CreateErrorKind::Answer(answer) => CliError::new(
            Exit::Network,
            format!("{host}: {answer}"),
            "nothing of it was used; --debug shows what came",
        ),
    };
    if let Some(ahead) = error.skew {
        of.what += &format!("; {}", skew(ahead));
        of.remedy = String::from(if plan.network.correct_clock {
            "set the clock (`timedatectl set-ntp true`): --correct-clock takes the service's time \
                 only over verified TLS, and none that is before this program was built"
        } else {
            "set the clock (`timedatectl set-ntp true`), or let --correct-clock sign with the \
                 service's time"
        });
    }
    of
}

/// How far this machine's clock is off, if the service's is `ahead` of it by so many seconds.
fn skew(ahead: i64) -> String {
    let direction = if ahead > 0 { "behind" } else { "ahead of" };
    let secs = ahead.unsigned_abs();
    let (unit, name) = match secs {
        0..7200 => (60, "minutes"),
        7200..172_800 => (3600, "hours"),
        _ => (86_400, "days"),
    };
    let by = format!("{} {name}", secs.saturating_add(unit / 2) / unit);
    format!("this machine's clock is {by} {direction} the service's")
}

/// The error for a key that did not sign.
pub fn signature(error: SignError, plan: &IdentityPlan) -> CliError {
    #[cfg(feature = "tpm-direct")]
    if let Some(Place::Tpm(key)) = &plan.key {
        return tpm::refusal::signature(error, key, &plan.tpm);
    }
    let (exit, remedy) = match error {
        SignError::PinNeeded => (
            Exit::Pin,
            "say where it comes from: --password-source (or pin-source= in the URI) with \
             file:…|env:…|cred:…|cmd:…, which can be read again",
        ),
        SignError::PinRefused => (
            Exit::Pin,
            "correct the PIN where it is stored; the folder refused-pins of the state directory \
             remembers the one that was refused",
        ),
        SignError::PinLocked => (
            Exit::Pin,
            "unblock it with the token's own tool and its PUK or SO PIN",
        ),
        SignError::WrongKey => (
            Exit::Key,
            "give the certificate that was issued for this private key",
        ),
        SignError::KeyGone => (Exit::Key, "`keystead token list` shows what there is"),
        SignError::NotTouched => (
            Exit::Key,
            "touch it when \"touch your token\" is said: on the terminal, else by --notify-cmd",
        ),
        SignError::TimedOut => (
            Exit::Key,
            "see whether the token wants to be touched, or does not answer its own tool either; \
             --token-timeout allows more time",
        ),
        _ => (Exit::Key, ""),
    };
    let what = match plan.key_place() {
        Some(place) => format!("{place} did not sign: {error}"),
        None => format!("the key did not sign: {error}"),
    };
    CliError::new(exit, what, remedy)
}

/// The error for a connection that could not be made, or broke.
pub fn transport(error: &HttpError, endpoint: &Endpoint) -> CliError {
    let remedy = match error {
        HttpError::Roots(why) => {
            return CliError::usage(
                why.as_str(),
                "--ca-bundle and AWS_CA_BUNDLE name a PEM file with root certificates",
            );
        }
        HttpError::HostNotFound => {
            "check the region, the name server, and whether a proxy is needed (--with-proxy, --proxy)"
        }
        HttpError::Timeout(_) => {
            "check that this machine may reach it on this port, and whether a proxy is needed \
             (--with-proxy, --proxy); --connect-timeout and --timeout allow more time"
        }
        HttpError::Connection(_) => {
            "check the network, --endpoint, and whether a proxy is needed (--with-proxy, --proxy)"
        }
        HttpError::Tls(_) => {
            "if the certificate is of a CA of your own (a sandbox, a proxy that inspects), name the CA \
             with --ca-bundle FILE"
        }
        HttpError::Proxy(_) => "check --proxy, or what HTTPS_PROXY says",
        HttpError::NotHttp(_) => "check --endpoint: does an HTTP service answer there?",
        _ => "",
    };
    CliError::new(
        Exit::Network,
        format!("{}: {error}", endpoint.url("")),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_said_in_words() {
        assert_eq!(
            skew(1900),
            "this machine's clock is 32 minutes behind the service's"
        );
        // A second passes between the two clocks.
        assert!(skew(1799).contains("30 minutes"));
        assert_eq!(
            skew(-7300),
            "this machine's clock is 2 hours ahead of the service's"
        );
        assert!(skew(1_700_000_000).contains("19676 days"));
    }
}

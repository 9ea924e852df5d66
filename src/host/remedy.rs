//! What the service's refusals usually mean, and what to check. The messages are not documented; they
//! are recognised by what was observed of them.

/// A refusal that is recognised by a part of its message.
struct Known {
    /// A part of the message, in lower case.
    message: &'static str,
    remedy: &'static str,
}

const MESSAGES: [Known; 11] = [
    Known {
        message: "different account",
        remedy: "trust anchor, profile and role have to be of one account: check the three ARNs",
    },
    Known {
        message: "insufficient certificate",
        remedy: "the certificate breaks a rule of Roles Anywhere: it has to be X.509 version 3, no CA, \
                 with key usage digitalSignature, and signed with SHA-256 or better",
    },
    Known {
        message: "untrusted signing certificate",
        remedy: "the certificate does not chain to the trust anchor that is named: check that \
                 --trust-anchor-arn is the one of this certificate's CA, and give the certificates in \
                 between with --intermediates",
    },
    Known {
        message: "untrusted certificate",
        remedy: "the service does not trust the certificate: check that it has not expired, that \
                 --trust-anchor-arn names the trust anchor of its CA, and that the certificates in \
                 between are given with --intermediates",
    },
    Known {
        message: "certificate revoked",
        remedy: "the certificate is on a revocation list of the trust anchor: this machine needs a new \
                 key and certificate",
    },
    Known {
        message: "invalid signature",
        remedy: "usually the clock: compare it (`date -u`) with the true time. Otherwise something \
                 between here and the service changes the request (a proxy that adds headers)",
    },
    Known {
        message: "unable to assume role",
        remedy: "check the role's trust policy: it has to allow rolesanywhere.amazonaws.com \
                 sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity, its conditions have to match \
                 this certificate and trust anchor, and --session-duration may not be longer than the \
                 role's maximum",
    },
    Known {
        message: "not authorized to set rolesessionname",
        remedy: "leave --role-session-name out, or allow it in the profile: `aws rolesanywhere \
                 update-profile --accept-role-session-name`",
    },
    Known {
        message: "trust anchor wasn't found",
        remedy: "check --trust-anchor-arn: account, region and id; a trust anchor that was made anew \
                 has a new id",
    },
    Known {
        message: "invalid or empty profile",
        remedy: "check --profile-arn: account, region and id, and that the profile is enabled",
    },
    Known {
        message: "isn't one of those listed",
        remedy: "add the role to the profile (`aws rolesanywhere update-profile --role-arns …`), or name \
                 one that is in it with --role-arn",
    },
];

/// What to do when the service asks to be called less often.
pub const THROTTLED: &str = "too many sessions are asked for at once: 10 a second for each account and \
                             region, fewer for each certificate and address. Share credentials instead \
                             of asking for every call";

/// What to check after a refusal with this code and message; `None` if nothing is known of it.
pub fn of(status: u16, code: &str, message: &str) -> Option<&'static str> {
    let message = message.to_ascii_lowercase();
    let known = MESSAGES
        .iter()
        .find(|known| message.contains(known.message));
    if let Some(known) = known {
        return Some(known.remedy);
    }
    Some(match (code, status) {
        ("ResourceNotFoundException", _) => {
            "trust anchor or profile are not there: check --trust-anchor-arn and --profile-arn, account, \
             region and id"
        }
        ("AccessDeniedException", _) => {
            "check that trust anchor and profile are enabled, that the certificate has not expired, and \
             the role's trust policy"
        }
        ("ValidationException", _) => {
            "the service does not take one of the values: check --session-duration, \
             --role-session-name and the ARNs"
        }
        ("UnknownOperationException" | "", 404) => {
            "this is probably not an endpoint of IAM Roles Anywhere: check --endpoint"
        }
        (_, 408 | 500..=599) => {
            "the service itself failed: try again later, see the AWS Health Dashboard"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_message_has_its_remedy() {
        for (message, says) in [
            (
                "Untrusted certificate. Insufficient certificate",
                "digitalSignature",
            ),
            ("Untrusted signing certificate", "--intermediates"),
            ("Certificate revoked", "revocation list"),
            ("Invalid signature", "clock"),
            (
                "Unable to assume role for arn:aws:iam::1:role/R",
                "trust policy",
            ),
            ("Not authorized to set roleSessionName", "update-profile"),
            ("Specified Trust Anchor wasn't found.", "--trust-anchor-arn"),
            ("Invalid or empty profile provided.", "--profile-arn"),
            (
                "Requested Role isn't one of those listed in the Profile.",
                "add the role",
            ),
            ("profile is in a different account ID", "of one account"),
        ] {
            let remedy = of(403, "AccessDeniedException", message);
            assert!(
                remedy.is_some_and(|text| text.contains(says)),
                "{message}: {remedy:?}"
            );
        }
    }

    #[test]
    fn otherwise_the_code_decides() {
        let says = |status, code| of(status, code, "").unwrap_or_default();
        assert!(says(403, "AccessDeniedException").contains("enabled"));
        assert!(says(404, "").contains("--endpoint"));
        assert!(says(503, "").contains("later"));
        assert_eq!(of(418, "Teapot", ""), None);
    }
}

//! When a certificate or a CRL is valid.

use core::time::Duration;

use der::DateTime;
use x509_cert::time::Time;

use crate::core::time::UnixTime;

/// The first and the last second of a certificate's validity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second.
    pub not_before: UnixTime,
    /// Last second.
    pub not_after: UnixTime,
}

impl Validity {
    /// How far certificates are backdated, in seconds: a device or a service whose clock is a
    /// little behind takes them at once.
    pub const BACKDATED: u64 = 300;

    /// From [`BACKDATED`](Self::BACKDATED) seconds before `now` to `lifetime` after it, at most to
    /// the end of the year 9999.
    pub fn starting(now: UnixTime, lifetime: Duration) -> Self {
        Self {
            not_before: UnixTime::from_secs(now.as_secs().saturating_sub(Self::BACKDATED)),
            not_after: later(now, lifetime),
        }
    }
}

/// The time `lifetime` after `now`, at most the end of the year 9999.
pub(super) fn later(now: UnixTime, lifetime: Duration) -> UnixTime {
    UnixTime::from_secs(now.as_secs().saturating_add(lifetime.as_secs()))
}

/// A time as certificates write it: `UTCTime` up to 2049, then `GeneralizedTime` (RFC 5280 section
/// 4.1.2.5).
pub(super) fn asn1_time(time: UnixTime) -> der::Result<Time> {
    DateTime::from_unix_duration(Duration::from_secs(time.as_secs())).map(Time::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backdated_and_bounded() {
        let now = UnixTime::from_secs(1_000_000);
        let validity = Validity::starting(now, Duration::from_secs(86_400));
        assert_eq!(validity.not_before.as_secs(), 999_700);
        assert_eq!(validity.not_after.as_secs(), 1_086_400);
        let validity = Validity::starting(now, Duration::MAX);
        assert_eq!(validity.not_after, UnixTime::MAX);
    }

    #[test]
    fn two_forms_of_time() -> der::Result<()> {
        let in_2049 = UnixTime::from_secs(2_524_607_999);
        assert!(matches!(asn1_time(in_2049)?, Time::UtcTime(_)));
        assert!(matches!(
            asn1_time(in_2049.offset_by(1))?,
            Time::GeneralTime(_)
        ));
        Ok(())
    }
}

//! Faults on demand: what goes wrong, for which requests, how often.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::format;
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

use super::record::Service;
use crate::host::document::nearest;
use crate::host::duration;

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The service asks to slow down (`ThrottlingException` 400; of S3 `SlowDown` 503).
    Throttle,
    /// An error status without a modelled error: 408, 500, 503.
    Status(u16),
    /// The answer comes this much later.
    Slow(Duration),
    /// The connection is closed instead of an answer; the request had no effect.
    Drop,
    /// The connection is closed instead of an answer, after the request had its effect.
    Lose,
    /// The sandbox's clock, and the `Date` that it sends, are off by these seconds.
    Skew(i64),
    /// A session ends this long after it was issued.
    Expire(Duration),
    /// A successful answer with a body that is no JSON or XML.
    Garbage,
    /// A session's answer lacks this field: `expiration`, `secretAccessKey`…
    MissingField(String),
}

/// A fault, and the requests that it befalls.
///
/// Written `[SERVICE/]FAULT[=VALUE][:COUNT][@SKIP]`: `throttle:2` befalls the next two requests,
/// `s3/500:1@3` the fourth one to S3, `skew=-40m` all of them. The services are `rolesanywhere`, `sts`
/// and `s3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledFault {
    /// What goes wrong.
    pub fault: Fault,
    /// The service whose requests it befalls; all of them if there is none.
    pub service: Option<Service>,
    /// How many requests pass before.
    pub skip: u32,
    /// How many requests it befalls; all of them if there is none.
    pub count: Option<u32>,
}

impl Fault {
    /// This fault for all requests from now on.
    pub fn always(self) -> ScheduledFault {
        ScheduledFault {
            fault: self,
            service: None,
            skip: 0,
            count: None,
        }
    }

    /// This fault for the next `count` requests.
    pub fn times(self, count: u32) -> ScheduledFault {
        ScheduledFault {
            count: Some(count),
            ..self.always()
        }
    }

    /// Whether it takes the place of the service's own answer.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Throttle | Self::Status(_) | Self::Drop | Self::Garbage
        )
    }

    fn parse(name: &str, value: Option<&str>) -> Result<Self, InvalidFault> {
        if let Some((_, parse)) = KNOWN.iter().find(|(known, _)| *known == name) {
            return parse(value).ok_or_else(|| {
                let value = value.unwrap_or_default();
                InvalidFault(format!("the fault `{name}` takes no value `{value}`"))
            });
        }
        let known = KNOWN.iter().map(|(known, _)| *known);
        let hint = match nearest(name, known.clone()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
        };
        Err(InvalidFault(format!("unknown fault `{name}`; {hint}")))
    }
}

/// Makes a fault from its value; `None` if it takes no such value.
type Parse = fn(Option<&str>) -> Option<Fault>;

const KNOWN: [(&str, Parse); 11] = [
    ("throttle", |value| without(value, Fault::Throttle)),
    ("408", |value| without(value, Fault::Status(408))),
    ("500", |value| without(value, Fault::Status(500))),
    ("503", |value| without(value, Fault::Status(503))),
    ("slow", |value| Some(Fault::Slow(length(value, "5s")?))),
    ("drop", |value| without(value, Fault::Drop)),
    ("lose", |value| without(value, Fault::Lose)),
    ("skew", |value| {
        let (sign, value) = match value.and_then(|value| value.strip_prefix('-')) {
            Some(value) => (-1, Some(value)),
            None => (1, value),
        };
        let seconds = i64::try_from(length(value, "1h")?.as_secs()).ok()?;
        Some(Fault::Skew(sign * seconds))
    }),
    ("expire", |value| Some(Fault::Expire(length(value, "0s")?))),
    ("garbage", |value| without(value, Fault::Garbage)),
    ("missing-field", |value| {
        Some(Fault::MissingField(
            value.unwrap_or("expiration").to_owned(),
        ))
    }),
];

fn without(value: Option<&str>, fault: Fault) -> Option<Fault> {
    value.is_none().then_some(fault)
}

fn length(value: Option<&str>, default: &str) -> Option<Duration> {
    duration::parse(value.unwrap_or(default)).ok()
}

/// Not a [`ScheduledFault`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFault(String);

impl fmt::Display for InvalidFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for InvalidFault {}

impl FromStr for ScheduledFault {
    type Err = InvalidFault;

    fn from_str(text: &str) -> Result<Self, InvalidFault> {
        let number = |text: &str| {
            text.parse()
                .map_err(|_| InvalidFault(format!("`{text}` is no number of requests")))
        };
        let (service, rest) = match text.split_once('/') {
            None => (None, text),
            Some((name, rest)) => {
                let service = Service::from_name(name);
                let unknown = || {
                    InvalidFault(format!(
                        "unknown service `{name}`; there are rolesanywhere, sts, s3"
                    ))
                };
                (Some(service.ok_or_else(unknown)?), rest)
            }
        };
        let (rest, skip) = match rest.split_once('@') {
            None => (rest, 0),
            Some((rest, skip)) => (rest, number(skip)?),
        };
        let (rest, count) = match rest.split_once(':') {
            None => (rest, None),
            Some((rest, count)) => (rest, Some(number(count)?)),
        };
        let (name, value) = match rest.split_once('=') {
            None => (rest, None),
            Some((name, value)) => (name, Some(value)),
        };
        Ok(Self {
            fault: Fault::parse(name, value)?,
            service,
            skip,
            count,
        })
    }
}

/// The faults that are still to come; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<ScheduledFault>>>);

impl Faults {
    /// Adds a fault.
    pub fn add(&self, fault: ScheduledFault) {
        self.lock().push(fault);
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// What befalls the next request to `service`. Of faults that take the place of the answer
    /// only the first does; the others wait for the requests after it.
    pub(super) fn next(&self, service: Service) -> Vec<Fault> {
        let mut befalling: Vec<Fault> = Vec::new();
        let mut scheduled = self.lock();
        for entry in scheduled.iter_mut() {
            let has_final = befalling.iter().any(Fault::is_final);
            if entry.service.is_some_and(|only| only != service)
                || (has_final && entry.fault.is_final())
            {
                continue;
            }
            if entry.skip > 0 {
                entry.skip -= 1;
                continue;
            }
            if let Some(count) = &mut entry.count {
                let Some(fewer) = count.checked_sub(1) else {
                    continue;
                };
                *count = fewer;
            }
            befalling.push(entry.fault.clone());
        }
        scheduled.retain(|entry| entry.count != Some(0));
        befalling
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ScheduledFault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;
    use std::vec;

    #[test]
    fn reads_the_schedule() {
        let read = |text: &str| text.parse::<ScheduledFault>().unwrap();
        assert_eq!(read("throttle:2"), Fault::Throttle.times(2));
        assert_eq!(read("skew=-40m"), Fault::Skew(-2400).always());
        assert_eq!(
            read("slow=250ms:1"),
            Fault::Slow(Duration::from_millis(250)).times(1)
        );
        assert_eq!(
            read("missing-field=roleArn").fault,
            Fault::MissingField("roleArn".to_owned())
        );
        let at_s3 = read("s3/500:1@3");
        assert_eq!(at_s3.service, Some(Service::S3));
        assert_eq!(
            (at_s3.fault, at_s3.skip, at_s3.count),
            (Fault::Status(500), 3, Some(1))
        );
    }

    #[test]
    fn errors_name_what_was_meant() {
        let error = |text: &str| text.parse::<ScheduledFault>().unwrap_err().to_string();
        assert_eq!(
            error("trottle"),
            "unknown fault `trottle`; did you mean `throttle`?"
        );
        assert!(error("earthquake").contains("missing-field"));
        assert_eq!(error("drop:x"), "`x` is no number of requests");
        assert_eq!(error("drop=3"), "the fault `drop` takes no value `3`");
        assert_eq!(error("slow=x"), "the fault `slow` takes no value `x`");
        assert!(error("ec2/drop").contains("rolesanywhere, sts, s3"));
    }

    #[test]
    fn answers_follow_one_another() {
        let faults = Faults::default();
        faults.add(Fault::Throttle.times(1));
        faults.add(Fault::Status(500).times(1));
        faults.add(Fault::Skew(60).always());
        assert_eq!(
            faults.next(Service::S3),
            vec![Fault::Throttle, Fault::Skew(60)]
        );
        assert_eq!(
            faults.next(Service::Sts),
            vec![Fault::Status(500), Fault::Skew(60)]
        );
        assert_eq!(faults.next(Service::Sts), vec![Fault::Skew(60)]);
        faults.clear();
        assert_eq!(faults.next(Service::Sts), vec![]);
    }

    #[test]
    fn skips_and_services() {
        let faults = Faults::default();
        faults.add("s3/drop:1@1".parse().unwrap());
        assert_eq!(faults.next(Service::S3), vec![]);
        assert_eq!(faults.next(Service::RolesAnywhere), vec![]);
        assert_eq!(faults.next(Service::S3), vec![Fault::Drop]);
        assert_eq!(faults.next(Service::S3), vec![]);
    }
}

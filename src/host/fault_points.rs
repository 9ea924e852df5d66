//! Places where a test ends the process or has a call fail, in the middle of what must survive that.
//!
//! Without the feature `fault-points` nothing is left of them. With it the environment of the program names one
//! place, or a file in which all of them are to be listed: [`Plan`].

use std::io;

#[cfg(feature = "fault-points")]
pub use self::armed::{Plan, PlanError, VARIABLE, arm};

/// A place between two calls.
#[inline(always)]
pub(crate) fn reach(point: &'static str) {
    #[cfg(feature = "fault-points")]
    armed::reach(point, "at");
    #[cfg(not(feature = "fault-points"))]
    let _ = point;
}

/// A call with a place before it, where it can also fail, and one after it.
#[inline(always)]
pub(crate) fn around<T>(
    point: &'static str,
    call: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    #[cfg(feature = "fault-points")]
    if let Some(error) = armed::reach(point, "before") {
        return Err(error);
    }
    let result = call();
    #[cfg(feature = "fault-points")]
    armed::reach(point, "after");
    #[cfg(not(feature = "fault-points"))]
    let _ = point;
    result
}

#[cfg(feature = "fault-points")]
mod armed {
    use core::fmt;
    use core::str::FromStr;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::borrow::ToOwned as _;
    use std::format;
    use std::fs::{File, OpenOptions};
    use std::io::{self, Write as _};
    use std::string::String;
    use std::sync::OnceLock;
    use std::thread;

    use rustix::process::{Signal, getpid, kill_process};

    /// What `keystead` takes its plan from, in a build with the feature.
    pub const VARIABLE: &str = "KEYSTEAD_FAULT_POINTS";

    static PLAN: OnceLock<Plan> = OnceLock::new();
    static REACHED: AtomicUsize = AtomicUsize::new(0);

    /// What is to happen: `list:FILE`, `kill:NUMBER`, or `fail:NUMBER:ERRNO`. Numbers count from one, in the order
    /// in which places are reached.
    #[derive(Debug)]
    pub enum Plan {
        /// Each place adds its name to this file, as a line.
        List(File),
        /// The process ends at this place as by `kill -9`.
        Kill(usize),
        /// The call at this place fails with this error; a place that is none of a call does nothing.
        Fail(usize, i32),
    }

    /// Why there is no plan.
    #[derive(Debug)]
    pub struct PlanError(String);

    impl fmt::Display for PlanError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl core::error::Error for PlanError {}

    impl FromStr for Plan {
        type Err = PlanError;

        fn from_str(text: &str) -> Result<Self, PlanError> {
            let wrong = || {
                PlanError(format!(
                    "{VARIABLE} is neither list:FILE nor kill:NUMBER nor fail:NUMBER:ERRNO"
                ))
            };
            let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
            match kind {
                "list" => OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(rest)
                    .map(Self::List)
                    .map_err(|error| PlanError(format!("{VARIABLE}: {rest}: {error}"))),
                "kill" => rest.parse().map(Self::Kill).map_err(|_| wrong()),
                "fail" => {
                    let (number, errno) = rest.split_once(':').ok_or_else(wrong)?;
                    let number = number.parse().map_err(|_| wrong())?;
                    errno
                        .parse()
                        .map(|errno| Self::Fail(number, errno))
                        .map_err(|_| wrong())
                }
                _ => Err(wrong()),
            }
        }
    }

    /// From now on the plan is in force. The first one stays.
    pub fn arm(plan: Plan) {
        let _: Result<(), Plan> = PLAN.set(plan);
    }

    pub(super) fn reach(point: &str, side: &str) -> Option<io::Error> {
        let plan = PLAN.get()?;
        let number = REACHED.fetch_add(1, Ordering::SeqCst) + 1;
        match plan {
            Plan::List(file) => {
                let line = format!("{side} {}\n", point.to_owned());
                // A list that is not whole fails the test that reads it.
                let _: io::Result<()> = { file }.write_all(line.as_bytes());
                None
            }
            Plan::Kill(wanted) if *wanted == number => {
                let _: rustix::io::Result<()> = kill_process(getpid(), Signal::KILL);
                loop {
                    thread::park();
                }
            }
            Plan::Fail(wanted, errno) if *wanted == number => {
                Some(io::Error::from_raw_os_error(*errno))
            }
            Plan::Kill(_) | Plan::Fail(..) => None,
        }
    }
}

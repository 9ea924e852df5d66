//! Tests that need an environment variable: PKCS#11 modules read theirs from the process that loads
//! them, and changing it in a process that has threads is unsound. So such a test runs again, in a
//! process of its own that is born with it.

use std::any;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program;

/// Names the folder of the test to the process in which the test runs.
const FOLDER: &str = "HSM_TESTS_FOLDER";

/// Names the test to it.
const NAME: &str = "HSM_TESTS_NAME";

/// Names its part to a process that such a test starts.
const PART: &str = "HSM_TESTS_PART";

/// The file that says that the test was started there.
const ENTERED: &str = "entered";

/// What is around a test that runs in a process of its own.
#[derive(Default)]
pub struct Surroundings {
    /// Its environment, beside PATH and HOME.
    pub variables: Vec<(&'static str, OsString)>,
    /// The program that starts it, with arguments: `unshare`.
    pub within: Vec<OsString>,
}

impl From<Vec<(&'static str, OsString)>> for Surroundings {
    fn from(variables: Vec<(&'static str, OsString)>) -> Self {
        Self {
            variables,
            within: Vec::new(),
        }
    }
}

impl Surroundings {
    /// Where a test may mount what it likes, without being root: it goes away with the test's last process.
    pub fn with_mounts(_: &Path) -> Self {
        let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
        Self {
            variables: Vec::new(),
            within: unshare.map(OsString::from).into(),
        }
    }
}

/// Runs a test in a process of its own, whose environment holds PATH and what `surroundings` gives for
/// the test's folder. The folder is new, is `HOME`, and is removed when the test ends.
///
/// It is called with closures that are written in the test function itself, once in each: the test is
/// found again by their place.
#[track_caller]
pub fn alone<E, S, T>(surroundings: E, test: T)
where
    E: FnOnce(&Path) -> S,
    S: Into<Surroundings>,
    T: FnOnce(&Path),
{
    let name = test_function(any::type_name::<T>());
    alone_as(name, surroundings, test);
}

/// The same for a test whose name (`module::test`) is known.
#[track_caller]
pub fn alone_as<S: Into<Surroundings>>(
    name: &str,
    surroundings: impl FnOnce(&Path) -> S,
    test: impl FnOnce(&Path),
) {
    if let Some(folder) = env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        fs::write(folder.join(ENTERED), "").expect("the test's folder can be written to");
        return test(&folder);
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let surroundings = surroundings(folder.path()).into();
    let mut line = surroundings.within;
    line.push(this().into());
    let status = program::command(&line[0])
        .args(&line[1..])
        .args(again(name))
        .envs(surroundings.variables)
        .env("HOME", folder.path())
        .env("RUST_BACKTRACE", "0")
        .env(FOLDER, folder.path())
        .env(NAME, name)
        .status()
        .expect("a test can be started again");
    assert!(
        status.success(),
        "{name} failed in its own process: {status}"
    );
    // A name that is none would be no test at all, which succeeds.
    let entered = folder.path().join(ENTERED);
    assert!(entered.exists(), "{name} is no test");
}

/// The part of this process, in a test that runs alone and has started it by [`part`].
pub fn my_part() -> Option<String> {
    env::var(PART).ok()
}

/// One more process of a test that runs alone, in the same folder and surroundings.
pub fn part(part: &str) -> Command {
    let name = env::var(NAME).expect("the test runs alone");
    let mut command = Command::new(this());
    command.args(again(&name)).env(PART, part);
    command
}

fn this() -> PathBuf {
    env::current_exe().expect("a test knows its own file")
}

fn again(name: &str) -> [&str; 4] {
    ["--exact", name, "--nocapture", "--include-ignored"]
}

/// The closure `program::module::test::{{closure}}` is of the test `module::test`; also if it was handed
/// on: `library::function<program::module::test::{{closure}}>::{{closure}}`.
fn test_function(closure: &str) -> &str {
    let written = closure.rsplit('<').next().unwrap_or(closure);
    let path = written.split("::{{closure}}").next().unwrap_or(written);
    path.split_once("::").map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_in_another_process_at_home_in_its_folder() {
        let outside = std::process::id().to_string();
        alone(
            |folder| {
                vec![
                    ("OUTSIDE", outside.clone().into()),
                    ("PLACE", folder.join("place").into()),
                ]
            },
            |folder| {
                assert_ne!(env::var("OUTSIDE").unwrap(), std::process::id().to_string());
                assert_eq!(env::var_os("HOME").unwrap(), folder);
                assert_eq!(env::var_os("PLACE").unwrap(), folder.join("place"));
                assert!(folder.is_dir());
            },
        );
    }

    #[test]
    fn it_has_several_parts() {
        alone(
            |_| Vec::new(),
            |folder| match my_part() {
                None => {
                    let status = part("second").status().unwrap();
                    assert!(status.success());
                    assert_eq!(fs::read_to_string(folder.join("part")).unwrap(), "second");
                }
                Some(part) => fs::write(folder.join("part"), part).unwrap(),
            },
        );
    }

    #[test]
    #[should_panic(expected = "failed in its own process")]
    fn what_fails_there_fails_here() {
        if env::var_os(FOLDER).is_some() {
            // Here the panic itself is not what the attribute expects, so that this process fails.
            panic!("inside");
        }
        alone(|_| Vec::new(), |_| ());
    }
}

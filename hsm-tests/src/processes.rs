//! What /proc says of processes.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// A folder of a process in /proc.
pub fn folder(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}"))
}

/// The processes that a process has started, and that still run.
pub fn children(process: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").expect("/proc can be read");
    let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(|&child| {
        status(child).is_some_and(|(state, parent)| state != 'Z' && parent == process)
    })
    .collect()
}

/// Whether it has ended with all its threads, whoever has been told.
pub fn is_gone(process: u32) -> bool {
    let threads = fs::read_dir(folder(process).join("task")).map_or(0, Iterator::count);
    status(process).is_none_or(|(state, _)| state == 'Z' && threads <= 1)
}

/// Waits until it has ended; fails if it does not.
#[track_caller]
pub fn await_end(process: u32) {
    await_that(&format!("the end of process {process}"), || {
        is_gone(process)
    });
}

/// Waits until something is so; fails if it does not come.
#[track_caller]
pub fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} does not come");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Its state, and its parent.
fn status(process: u32) -> Option<(char, u32)> {
    let text = fs::read_to_string(folder(process).join("stat")).ok()?;
    // The name before it may hold anything.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

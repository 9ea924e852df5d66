//! Load for an HTTP server on this machine: `http-load URL [--connections N] [--requests N] [--new]
//! [--method METHOD] [--header 'NAME: VALUE']… [--expect TEXT]`. Each connection sends its next request when
//! the last one was answered; with `--new` each request has a connection of its own. Prints JSON: requests a
//! second, how long answers took in microseconds, and how many requests failed.
//!
//! One thread does it all, as most of what it would measure with more of them is the scheduler.

mod connection;
mod options;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use connection::Connection;
use options::Options;

/// A server that answers nobody for so long has failed.
const PATIENCE: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("http-load: {why}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(figures) => {
            println!("{}", figures.json());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("http-load: {}: {error}", options.address);
            ExitCode::FAILURE
        }
    }
}

/// What was seen.
#[derive(Default)]
struct Figures {
    all: Duration,
    answers: Vec<Duration>,
    /// Why requests failed, and how many of them.
    errors: BTreeMap<String, u64>,
}

fn run(options: &Options) -> std::io::Result<Figures> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let watch = |connection: &Connection, index: usize| {
        let data = EventData::new_u64(index as u64);
        epoll::add(&poll, connection, data, EventFlags::IN)
    };
    let request = options.request();
    let mut figures = Figures::default();
    figures.answers.reserve(options.requests);
    let mut begun = 0;
    let mut connections = Vec::new();
    let start = Instant::now();
    for index in 0..options.connections.min(options.requests) {
        let mut connection = Connection::open(options.address)?;
        watch(&connection, index)?;
        connection.send(&request)?;
        begun += 1;
        connections.push(Some(connection));
    }
    let mut events = Vec::with_capacity(connections.len());
    while connections.iter().any(Option::is_some) {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), Some(&PATIENCE))?;
        if events.is_empty() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        for event in &events {
            let index = event.data.u64() as usize;
            let Some(connection) = &mut connections[index] else {
                continue;
            };
            let is_usable = match connection.receive(&options.expect) {
                Ok(None) => continue,
                Ok(Some(answered)) => {
                    figures.answers.push(answered);
                    true
                }
                Err(why) => {
                    *figures.errors.entry(why).or_default() += 1;
                    false
                }
            };
            if begun == options.requests {
                connections[index] = None;
                continue;
            }
            begun += 1;
            if options.new || !is_usable {
                // The old one is closed first: its slot in the server may be the only one.
                connections[index] = None;
                let mut fresh = Connection::open(options.address)?;
                watch(&fresh, index)?;
                fresh.send(&request)?;
                connections[index] = Some(fresh);
            } else {
                connection.send(&request)?;
            }
        }
    }
    figures.all = start.elapsed();
    Ok(figures)
}

impl Figures {
    fn json(mut self) -> String {
        self.answers.sort_unstable();
        let count = self.answers.len();
        let part = |of_thousand: usize| {
            let index = (count * of_thousand / 1000).min(count.saturating_sub(1));
            let answered = self.answers.get(index).copied().unwrap_or_default();
            answered.as_nanos() as f64 / 1000.0
        };
        let errors: u64 = self.errors.values().sum();
        let why: Vec<String> = self.errors.keys().map(|why| format!("{why:?}")).collect();
        format!(
            "{{\"requests\": {count}, \"errors\": {errors}, \"why\": [{}], \"per_second\": {:.0}, \
             \"p50_us\": {:.1}, \"p99_us\": {:.1}, \"p999_us\": {:.1}, \"max_us\": {:.1}}}",
            why.join(", "),
            count as f64 / self.all.as_secs_f64(),
            part(500),
            part(990),
            part(999),
            part(1000),
        )
    }
}

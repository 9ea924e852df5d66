//! Records on real disks: batches, many writers, what killed processes leave, sockets.

mod left;
mod sockets;

use core::time::Duration;
use std::boxed::Box;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::string::{String, ToString as _};
use std::sync::{Arc, Mutex};
use std::vec::Vec;
use std::{format, thread, vec};

use proptest::prelude::*;

use super::journal::Journal;
use super::{
    Compression, Limits, Observer, Options, RecordError, Recorder, Settled, SocketObserver,
};
use crate::core::time::UnixTime;
use crate::host::clock::{self, HostClock};
use crate::host::spool::{self, Added, Bell, Naming, Spool};

fn naming(name: &str, _: UnixTime) -> Result<Naming, String> {
    Ok(Naming {
        bucket: "b".into(),
        key: format!("r/{name}"),
        ..Naming::default()
    })
}

fn open(folder: &Path) -> Spool {
    Spool::open(folder, spool::Options::default()).unwrap()
}

fn recorder(spool: &Spool, options: Options) -> Recorder {
    Recorder::new(spool.clone(), Box::new(naming), options, Box::new(Silent))
}

fn of_records(records: u64) -> Options {
    Options {
        limits: Limits {
            records,
            ..Limits::default()
        },
        ..Options::default()
    }
}

struct Silent;

impl Observer for Silent {
    fn added(&self, _added: &Added, _records: u64) {}
    fn failed(&self, _error: &RecordError) {}
    fn damaged(&self, error: &RecordError) {
        panic!("{error}");
    }
}

impl SocketObserver for Silent {
    fn ended(&self, _settled: &Settled) {}
    fn waits(&self, _why: Option<&RecordError>) {}
    fn failed(&self, error: &io::Error) {
        panic!("{error}");
    }
}

/// Contents of all entries, in their order.
fn contents(spool: &Spool) -> Vec<Vec<u8>> {
    let entries = spool.entries().unwrap().into_iter();
    entries
        .map(|(id, head)| {
            let file = fs::read(spool.path().join(format!("entries/{id}"))).unwrap();
            let length = usize::try_from(head.digests.length).unwrap();
            file[..length].to_vec()
        })
        .collect()
}

#[test]
fn batches_by_count_and_the_rest_when_closed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let recorder = recorder(&spool, of_records(2));
    recorder.add(b"1\n2\n3\n").unwrap();
    recorder.add(b"4\n5\n").unwrap();
    assert_eq!(contents(&spool), [b"1\n2\n", b"3\n4\n"]);
    recorder.close().unwrap();
    assert_eq!(contents(&spool).last().unwrap(), b"5\n");
    recorder.close().unwrap();
    let entries = spool.entries().unwrap();
    let (_, head) = &entries[0];
    assert_eq!(
        head.attributes.content_type.as_deref(),
        Some("application/x-ndjson")
    );
    assert!(head.key.starts_with("r/20") && head.key.ends_with(".ndjson"));
    assert_eq!(folder.path().join("records").read_dir().unwrap().count(), 0);
    let usage = spool.usage().unwrap();
    let files = folder.path().join("entries").read_dir().unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!((usage.entries, usage.bytes), (3, bytes));
}

/// A hub that knows its clock to be wrong does not name batches by it.
#[test]
fn batches_are_named_by_the_clock_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let confirmed = clock::BUILD_TIME.as_secs() + 86_400;
    let confirmed = UnixTime::from_secs(confirmed);
    let clock = HostClock::with_system(|| UnixTime::from_secs(60), Some(confirmed));
    let options = Options {
        clock: Some(Arc::new(clock)),
        ..Options::default()
    };
    let recorder = recorder(&spool, options);
    recorder.add(b"1\n").unwrap();
    recorder.close().unwrap();
    let (_, head) = spool.entries().unwrap().remove(0);
    let begins = format!("r/{}-", confirmed.amz());
    assert!(head.key.starts_with(&begins), "{}", head.key);
}

#[test]
fn an_old_batch_becomes_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let mut options = Options::default();
    options.limits.age = Duration::from_millis(1);
    let recorder = recorder(&spool, options);
    let bell = Arc::new(Bell::new().unwrap());
    let (clock, heard) = (recorder.clone(), bell.clone());
    let clock = thread::spawn(move || clock.keep_time(&heard));
    recorder.add(b"1\n").unwrap();
    while contents(&spool).is_empty() {
        thread::yield_now();
    }
    bell.ring();
    clock.join().unwrap();
    assert_eq!(contents(&spool), [b"1\n"]);
}

fn unpacked(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut content = vec![];
    match compression {
        Compression::None => content.extend_from_slice(bytes),
        Compression::Gzip => {
            let mut decoder = flate2::read::GzDecoder::new(bytes);
            decoder.read_to_end(&mut content).unwrap();
        }
        Compression::Zstd => {
            let mut decoder = ruzstd::decoding::StreamingDecoder::new(bytes).unwrap();
            decoder.read_to_end(&mut content).unwrap();
        }
    }
    content
}

#[test]
fn compressed_batches() {
    let lines: String = (0..20_000)
        .map(|number| format!("{{\"sensor\":\"t{}\",\"value\":{number}}}\n", number % 7))
        .collect();
    for (compression, suffix) in [(Compression::Gzip, ".gz"), (Compression::Zstd, ".zst")] {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(folder.path());
        let options = Options {
            compression,
            ..Options::default()
        };
        let recorder = recorder(&spool, options);
        recorder.add(lines.as_bytes()).unwrap();
        recorder.close().unwrap();
        let packed = contents(&spool).remove(0);
        assert!(packed.len() < lines.len() / 4, "{suffix} {}", packed.len());
        assert!(unpacked(compression, &packed) == lines.as_bytes());
        let (_, head) = spool.entries().unwrap().remove(0);
        assert!(
            head.key.ends_with(&format!(".ndjson{suffix}")),
            "{}",
            head.key
        );
        let encoding = head.attributes.content_encoding;
        assert_eq!(encoding.as_deref(), compression.content_encoding());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_can_be_unpacked(
        pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 1..300_usize), 0..30),
    ) {
        let content: Vec<u8> = pieces
            .iter()
            .flat_map(|(piece, times)| core::iter::repeat_n(piece, *times).flatten())
            .copied()
            .collect();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let mut packed = vec![];
            compression.copy(&mut &content[..], &mut packed).unwrap();
            prop_assert!(unpacked(compression, &packed) == content);
        }
    }
}

#[test]
fn compression_fails_with_its_streams() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    impl io::Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let read = compression.copy(&mut Broken, &mut Vec::new());
        assert_eq!(read.unwrap_err().to_string(), "broken");
        let written = compression.copy(&mut &b"123"[..], &mut Broken);
        assert_eq!(written.unwrap_err().to_string(), "broken");
    }
}

#[test]
fn many_writers_share_batches_and_lose_nothing() {
    const WRITERS: usize = 16;
    const EACH: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let mut options = of_records(100);
    options.group_commit = Duration::from_millis(1);
    let recorder = recorder(&spool, options);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let recorder = &recorder;
            scope.spawn(move || {
                for number in 0..EACH {
                    recorder
                        .add(format!("[{writer},{number}]\n").as_bytes())
                        .unwrap();
                }
            });
        }
    });
    recorder.close().unwrap();
    let batches = contents(&spool);
    assert_eq!(batches.len(), (WRITERS * EACH).div_ceil(100));
    let all = String::from_utf8(batches.concat()).unwrap();
    for writer in 0..WRITERS {
        let of_writer = all
            .lines()
            .filter(|line| line.starts_with(&format!("[{writer},")));
        let expected = (0..EACH).map(|number| format!("[{writer},{number}]"));
        assert!(of_writer.eq(expected), "{all}");
    }
}

/// The one file in `records/`.
fn open_batch(folder: &Path) -> std::path::PathBuf {
    let mut files = folder.join("records").read_dir().unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn at_the_quota_records_are_refused_or_wait() {
    let folder = tempfile::tempdir().unwrap();
    let options = spool::Options {
        max_bytes: Some(100_000),
        ..spool::Options::default()
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    let record = format!("\"{}\"\n", "x".repeat(10_000));
    for is_patient in [false, true] {
        let rejected = spool.usage().unwrap().rejected;
        let mut options = of_records(1);
        options.is_patient = is_patient;
        let recorder = recorder(&spool, options);
        let mut accepted = 0;
        let error = loop {
            match recorder.add(record.as_bytes()) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert!(error.is_full, "{error}");
        let usage = spool.usage().unwrap();
        assert!(usage.bytes <= 100_000, "{usage:?}");
        assert_eq!(usage.rejected > rejected, !is_patient);
        // What was accepted is there, and goes on when there is room.
        let (id, _) = spool.entries().unwrap()[0];
        spool.remove(id).unwrap();
        recorder.add(record.as_bytes()).unwrap();
        recorder.close().unwrap();
        assert_eq!(spool.entries().unwrap().len(), accepted);
        for (id, _) in spool.entries().unwrap() {
            spool.remove(id).unwrap();
        }
        assert_eq!(spool.usage().unwrap().bytes, 0);
    }
}

#[test]
fn a_batch_waits_on_disk_until_it_can_become_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let options = spool::Options {
        max_entries: Some(1),
        ..spool::Options::default()
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    let first = recorder(&spool, of_records(1));
    let journal = Journal::create(
        &spool,
        naming("x", UnixTime::from_secs(0)).unwrap(),
        Compression::None,
        true,
    );
    let mut journal = journal.unwrap();
    journal.append(b"2\n", 1).unwrap();
    journal.sync().unwrap();
    first.add(b"1\n").unwrap();
    let (journal, error) = journal.into_entry().unwrap_err();
    assert!(error.is_full());
    assert_eq!(spool.usage().unwrap().rejected, 0);
    spool.remove(spool.entries().unwrap()[0].0).unwrap();
    journal.into_entry().unwrap().unwrap();
    assert_eq!(contents(&spool), [b"2\n"]);
}

#[test]
fn names_that_cannot_be_made_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let told = Arc::new(Mutex::new(0));
    let counted = told.clone();
    let names = move |_: &str, _: UnixTime| {
        *counted.lock().unwrap() += 1;
        Err("no key".to_string())
    };
    let recorder = Recorder::new(spool, Box::new(names), Options::default(), Box::new(Silent));
    let error = recorder.add(b"1\n").unwrap_err();
    assert!(error.what.contains("no key") && !error.is_full, "{error}");
    assert_eq!(*told.lock().unwrap(), 1);
}

//! How many entries a spool accepts in a second: `spool-rate FOLDER COUNT BYTES`. In turns with a bare loop, which does
//! for each of them what being durable takes and nothing else: write, fsync, rename, fsync of the folder. Prints
//! entries a second as JSON: `bare`, `spool`, and `batch` for entries that are committed a hundred at a time.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use keystead::host::spool::{Naming, Options, Spool};

/// What takes its turn; the disk is not the same all the time.
const TURN: u64 = 25;

/// Entries of a batch.
const BATCH: u64 = 100;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [folder, count, bytes] = &arguments[..] else {
        panic!("spool-rate FOLDER COUNT BYTES");
    };
    let count: u64 = count.parse().expect("a number of entries");
    let bytes = bytes.parse().expect("a number of bytes");
    let folder = Path::new(folder);
    let (tmp, named) = (folder.join("bare-tmp"), folder.join("bare"));
    for folder in [&tmp, &named] {
        fs::create_dir_all(folder).expect("a folder can be made");
    }
    let opened = Spool::open(folder.join("spool"), Options::default());
    let spool = opened.expect("a spool can be made");
    let (mut bare, mut spooled, mut batched) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut content = vec![0; bytes];
    for turn in 0..count.div_ceil(TURN) {
        for index in turn * TURN..(turn + 1) * TURN {
            content[..8].copy_from_slice(&index.to_le_bytes());
            let began = Instant::now();
            bare_entry(&tmp, &named, index, &content);
            bare += began.elapsed();
        }
        for index in turn * TURN..(turn + 1) * TURN {
            content[..8].copy_from_slice(&index.to_le_bytes());
            let naming = naming("one", index);
            let began = Instant::now();
            spool
                .add(&mut &content[..], naming)
                .expect("it is accepted");
            spooled += began.elapsed();
        }
        let began = Instant::now();
        let mut batch = spool.batch();
        for index in turn * BATCH..(turn + 1) * BATCH {
            content[..8].copy_from_slice(&index.to_le_bytes());
            let mut writer = spool.writer();
            writer.append(&content).expect("it is taken");
            batch
                .add(writer, naming("batch", index))
                .expect("it is taken");
        }
        batch.commit().expect("all are accepted");
        batched += began.elapsed();
    }
    let turns = count.div_ceil(TURN);
    let rate = |count: u64, time: Duration| count as f64 / time.as_secs_f64();
    println!(
        r#"{{"bare": {:.1}, "spool": {:.1}, "batch": {:.1}}}"#,
        rate(turns * TURN, bare),
        rate(turns * TURN, spooled),
        rate(turns * BATCH, batched)
    );
}

fn naming(kind: &str, index: u64) -> Naming {
    Naming {
        bucket: "bucket".into(),
        key: format!("{kind}/{index}"),
        ..Naming::default()
    }
}

fn bare_entry(tmp: &Path, named: &Path, index: u64, content: &[u8]) {
    let (new, name) = (tmp.join(index.to_string()), named.join(index.to_string()));
    let mut file = File::create_new(&new).expect("a file can be made");
    file.write_all(content).expect("it can be written");
    file.sync_all().expect("it can be synced");
    fs::rename(&new, &name).expect("it can be renamed");
    let folder = File::open(named).expect("the folder can be opened");
    folder.sync_all().expect("it can be synced");
}

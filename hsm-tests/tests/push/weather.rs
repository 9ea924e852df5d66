//! Ten days of bad weather between a hub and S3. Entries are added all the time, sessions end, the link refuses,
//! stalls, cuts, slows down and throttles; in the end everything is there, once, byte by byte.
//!
//! The days run at [`SPEED`]. What the deliverer does by its clock (delays and their caps, the upload window, looks at
//! the spool) runs with them, in the proportions that it has on a hub. Only the network's own times are ours: the
//! server answers as fast as it can, and silence ends an upload after [`SILENCE`].

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hsm_tests::lab::now;
use hsm_tests::processes::await_that;
use hsm_tests::s3::{BUCKET, Keys, REGION, S3s, Server as _};
use hsm_tests::weather::{FastTime, Forecast, Relay};
use keystead::core::time::UnixTime;
use keystead::host::clock::HostClock;
use keystead::host::endpoint::Endpoint;
use keystead::host::refresh::{Clocks, Failure, Now};
use keystead::host::s3::{Bucket, Client, ObjectStore, Place, S3Clock, Style};
use keystead::host::session::Credentials;
use keystead::host::spool::{self, Naming, Spool};
use keystead::host::transport::TransportOptions;
use keystead::output::push::deliver::{Deliverer, Options, Stores};
use keystead::output::push::{Sessions, UploadOptions};

use crate::rig::noise;

const DAYS: u32 = 10;

/// Ten days take 24 seconds.
const SPEED: u32 = 36_000;

/// After so long without a byte an upload is over: three hours of those days.
const SILENCE: Duration = Duration::from_millis(300);

/// An entry is added so often.
const EVERY: Duration = Duration::from_secs(90 * 60);

/// A session lasts so long.
const SESSION: Duration = Duration::from_secs(5 * 3_600);

/// What decides about the weather.
const SEED: u64 = 6;

/// The clocks of a hub in those days.
struct FastClocks {
    began: UnixTime,
    time: FastTime,
}

impl Clocks for FastClocks {
    fn now(&self) -> Now {
        let passed = self.time.now();
        Now {
            since_boot: Duration::from_secs(3_600) + passed,
            wall: UnixTime::from_secs(self.began.as_secs() + passed.as_secs()),
        }
    }

    fn lasts(&self, time: Duration) -> Duration {
        self.time.lasts(time)
    }
}

/// Sessions of the server's writer. One that has ended is followed by another when S3 has said so.
struct OfWriter {
    latest: Arc<Mutex<Arc<Credentials>>>,
    used: Mutex<Arc<Credentials>>,
    ended: Arc<AtomicU32>,
}

fn credentials(keys: &Keys) -> Arc<Credentials> {
    Arc::new(Credentials {
        access_key_id: keys.access_key.clone(),
        secret_access_key: keys.secret_key.clone().into(),
        session_token: keys.token.clone().unwrap_or_default().into(),
        expiration: UnixTime::MAX,
        role_arn: String::new(),
    })
}

impl Sessions for OfWriter {
    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        Ok(self.used.lock().expect("nobody panicked").clone())
    }

    fn refused(&self, used: &Arc<Credentials>) {
        let latest = self.latest.lock().expect("nobody panicked").clone();
        let mut current = self.used.lock().expect("nobody panicked");
        if Arc::ptr_eq(&current, used) && !Arc::ptr_eq(&latest, used) {
            self.ended.fetch_add(1, Ordering::Relaxed);
            *current = latest;
        }
    }
}

/// The way to the bucket.
struct Way {
    url: String,
}

impl Stores for Way {
    fn open(&self, bucket: &str) -> Result<Box<dyn ObjectStore>, String> {
        let place = Place {
            region: REGION.into(),
            endpoint: Some(Endpoint::custom(&self.url).map_err(|error| error.to_string())?),
            style: Style::Path,
            dual_stack: false,
            fips: false,
        };
        let bucket = Bucket::new(bucket, &place).map_err(|error| error.to_string())?;
        let options = TransportOptions {
            connect_timeout: SILENCE,
            ..TransportOptions::default()
        };
        let clock = Arc::new(S3Clock::new(Arc::new(HostClock::new(None))));
        let client = Client::new(bucket, &options, clock);
        let mut client = client.map_err(|error| error.to_string())?;
        client.set_idle_timeout(SILENCE);
        Ok(Box::new(client))
    }
}

/// What is added as the entry of that number: mostly small, sometimes in parts.
fn content(number: u64) -> Vec<u8> {
    let length = match number % 40 {
        39 => 11 << 20,
        rest if rest % 8 == 7 => 400_000,
        rest => rest * rest * 37,
    };
    noise(number, length as usize)
}

#[test]
fn everything_arrives_through_ten_days_of_bad_weather() {
    let server = S3s::start();
    let time = FastTime::from_now(SPEED);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.port()));
    let relay = Relay::start(address, Forecast::rough(DAYS, SEED), time);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let spool = Spool::open(folder.path(), spool::Options::default()).expect("it can be made");

    let latest = Arc::new(Mutex::new(credentials(server.writer())));
    let ended = Arc::new(AtomicU32::new(0));
    let sessions = OfWriter {
        used: Mutex::new(latest.lock().expect("nobody panicked").clone()),
        latest: Arc::clone(&latest),
        ended: Arc::clone(&ended),
    };
    let options = Options {
        between: Some("02:00-23:00".parse().expect("a part of a day")),
        upload: UploadOptions {
            part_size: 5 << 20,
            sign_payload: true,
            ..UploadOptions::default()
        },
        seed: SEED,
        ..Options::default()
    };
    let clocks = Arc::new(FastClocks { began: now(), time });
    let way = Way { url: relay.url() };
    let deliverer = Deliverer::start(
        spool.clone(),
        Box::new(way),
        Arc::new(sessions),
        clocks,
        options,
        Box::new(()),
    );
    let deliverer = deliverer.expect("nobody else delivers");

    let mut added = BTreeMap::new();
    let mut session_ends = SESSION;
    while !relay.is_clear() {
        let number = added.len() as u64;
        let key = format!("readings/{number:04}");
        let naming = Naming {
            bucket: BUCKET.into(),
            key: format!("weather/{key}"),
            ..Naming::default()
        };
        let bytes = content(number);
        spool
            .add(&mut bytes.as_slice(), naming)
            .expect("it is accepted");
        added.insert(key, bytes);
        if time.now() > session_ends {
            session_ends += SESSION;
            *latest.lock().expect("nobody panicked") = credentials(&server.renew());
        }
        let next = EVERY * added.len() as u32;
        thread::sleep(time.lasts(next.saturating_sub(time.now())));
    }
    await_that("an empty spool", || {
        spool
            .usage()
            .is_ok_and(|usage| usage.entries == 0 || usage.aside > 0)
    });
    let status = deliverer.status();
    assert_eq!(
        spool.usage().expect("it can be read").aside,
        0,
        "{status:?}"
    );

    let met = relay.met();
    assert_eq!(met.len(), 7, "{met:?}");
    assert!(
        ended.load(Ordering::Relaxed) > 5,
        "sessions have ended under it"
    );
    assert!(added.len() > 100, "{}", added.len());
    let found = server.aws().objects("weather/");
    assert_eq!(found.len(), added.len());
    for (key, bytes) in &added {
        assert!(found.get(key) == Some(bytes), "{key} is not what was added");
    }
}

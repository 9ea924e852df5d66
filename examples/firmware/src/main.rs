//! A sensor without operating system, allocator and network stack: it gets a session of IAM Roles Anywhere over a
//! serial line, and writes a reading to S3. README.md says what is at the other end.
#![no_std]
#![no_main]

mod board;
mod clock;
mod console;
mod sector;
mod signer;
mod stack;
#[cfg(feature = "put")]
mod text;

use core::fmt;
#[cfg(feature = "put")]
use core::fmt::Write as _;

use cortex_m_rt::entry;
use keystead::core::create_session::{self, CreateSession, Observed, SessionError};
#[cfg(feature = "put")]
use keystead::core::http::Header;
use keystead::core::http::stream::{StreamError, StreamTransport};
use keystead::core::identity::Identity;
use keystead::core::key::Signer;
#[cfg(feature = "put")]
use keystead::core::s3::{self, ObjectPath, Put};
#[cfg(feature = "put")]
use keystead::core::text::Printable;
use keystead::core::time::{Clock as _, UnixTime};
use zeroize::Zeroize as _;

use board::Uart;
use clock::BoardClock;
use console::{figure, say};
use sector::{Chain, Sector};
#[cfg(feature = "put")]
use text::Text;

const USER_AGENT: &str = concat!("keystead-firmware/", env!("CARGO_PKG_VERSION"));

/// What failed and may succeed later is tried again after so many times the first pause, each time.
const PAUSES: [u32; 3] = [1, 4, 16];

/// No service makes the device wait longer, in milliseconds.
#[cfg(feature = "put")]
const LONGEST_PAUSE: u128 = 60_000;

/// AWS refuses requests that are further off, in seconds.
const MAX_SKEW: u64 = 300;

/// All the memory that the exchanges take, but for the stack.
struct Memory {
    /// The head of an answer. AWS's have less than 1 KiB.
    head: [u8; 1024],
    /// A P-256 signature.
    signature: [u8; 72],
    /// The answer to `CreateSession`, and with it the credentials. AWS's have less than 2 KiB.
    session: [u8; 2560],
    /// Values of it that are written with escapes, which AWS does not do.
    scratch: [u8; 256],
    /// The path of an object.
    #[cfg(feature = "put")]
    target: [u8; 192],
    /// What S3 answers.
    #[cfg(feature = "put")]
    answer: [u8; 384],
}

impl Memory {
    const fn new() -> Self {
        Self {
            head: [0; 1024],
            signature: [0; 72],
            session: [0; 2560],
            scratch: [0; 256],
            #[cfg(feature = "put")]
            target: [0; 192],
            #[cfg(feature = "put")]
            answer: [0; 384],
        }
    }
}

/// Why nothing was stored. A person has read the reason.
enum Failed {
    /// It will fail again.
    ForGood,
    /// It may succeed in so many milliseconds, or later.
    ForNow(u32),
}

impl Failed {
    fn new(may_succeed_later: bool) -> Self {
        if may_succeed_later {
            Self::ForNow(0)
        } else {
            Self::ForGood
        }
    }
}

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory::new();
    stack::paint();
    board::start();
    let mut console = Uart::console();
    let outcome = if run(MEMORY, &mut console).is_ok() {
        "done"
    } else {
        "gave up"
    };
    MEMORY.session.zeroize();
    MEMORY.scratch.zeroize();
    figure(&mut console, "static RAM", stack::statics());
    say(&mut console, format_args!("{outcome}"));
    loop {
        core::hint::spin_loop();
    }
}

/// Takes the device's identity, and one reading to S3.
fn run(memory: &mut Memory, console: &mut Uart) -> Result<(), Failed> {
    let mut fail = |what: &dyn fmt::Display| {
        say(console, format_args!("failed: {what}"));
        Failed::ForGood
    };
    let sector = Sector::read().ok_or_else(|| fail(&"nothing is in the device's sector"))?;
    #[cfg(feature = "software-key")]
    let signer = signer::software::SoftwareKey::new(sector.private_key)
        .ok_or_else(|| fail(&"the private key is none"))?;
    #[cfg(not(feature = "software-key"))]
    let signer = signer::element::Element::new(Uart::element(), sector.patience)
        .map_err(|_| fail(&"the secure element does not answer"))?;
    let mut identity = Identity::new(&sector.chain, signer).map_err(|error| fail(&error))?;
    figure(console, "stack: start", stack::peak());

    let mut outcome = deliver(&sector, &mut identity, memory, console);
    for pause in PAUSES {
        match outcome {
            Err(Failed::ForNow(ms)) => {
                let ms = ms.max(pause.saturating_mul(sector.pause));
                say(console, format_args!("again in {ms} ms"));
                board::pause(ms);
            }
            _ => break,
        }
        outcome = deliver(&sector, &mut identity, memory, console);
    }
    outcome
}

/// One try: a session, and a reading with it.
fn deliver(
    sector: &Sector,
    identity: &mut Identity<&Chain, impl Signer>,
    memory: &mut Memory,
    console: &mut Uart,
) -> Result<(), Failed> {
    let mut link = Uart::link();
    link.begin(sector.patience);
    let clock = BoardClock::ask(&mut link, &mut memory.head, sector.host).map_err(|error| {
        say(console, format_args!("failed: no time: {error}"));
        Failed::ForNow(0)
    })?;
    let now = clock.now();
    say(console, format_args!("time {now}"));

    let buffers = create_session::Buffers {
        signature: &mut memory.signature,
        answer: &mut memory.session,
        scratch: &mut memory.scratch,
    };
    let len = buffers.signature.len() + buffers.answer.len() + buffers.scratch.len();
    let mut observed = Observed::default();
    let in_use = stack::paint();
    link.begin(sector.patience);
    let transport = StreamTransport::new(&mut link, &mut memory.head);
    let outcome = open_session(sector, identity, now, transport, buffers, &mut observed);
    let peak = stack::peak();
    let credentials = outcome.map_err(|error| {
        say(console, format_args!("failed: {error}"));
        let skew = observed.date.map_or(0, |date| date.since(now));
        if skew.unsigned_abs() > MAX_SKEW {
            // Whoever told the time was wrong, or is now: the next try asks anew.
            say(console, format_args!("the clock is off by {} s", -skew));
            return Failed::ForNow(0);
        }
        // What came over the line mangled is no reason to give up.
        let is_mangled = matches!(error, SessionError::Transport(_) | SessionError::Answer(_));
        Failed::new(is_mangled || error.is_retryable())
    })?;
    say(
        console,
        format_args!("session until {}", credentials.expiration),
    );
    figure(console, "stack: CreateSession", peak);
    figure(console, "exchange", peak - in_use + len + memory.head.len());

    #[cfg(feature = "put")]
    {
        let buffers = s3::Buffers {
            target: &mut memory.target,
            answer: &mut memory.answer,
        };
        stack::paint();
        link.begin(sector.patience);
        let transport = StreamTransport::new(&mut link, &mut memory.head);
        let outcome = store_reading(sector, credentials, &clock, transport, buffers);
        let peak = stack::peak();
        let stored = outcome.map_err(|error| {
            say(console, format_args!("failed: {error}"));
            match error {
                s3::PutError::Transport(_) => Failed::ForNow(0),
                s3::PutError::Refused(refusal) if refusal.is_retryable() => {
                    let ms = refusal.retry_after.unwrap_or_default().as_millis();
                    Failed::ForNow(ms.min(LONGEST_PAUSE) as u32)
                }
                _ => Failed::ForGood,
            }
        })?;
        say(console, format_args!("stored {}", Printable(stored.etag)));
        figure(console, "stack: PutObject", peak);
    }
    Ok(())
}

// The two exchanges are no parts of their caller, so that what they have on the stack is there only while they run.

#[inline(never)]
fn open_session<'m>(
    sector: &Sector,
    identity: &mut Identity<&Chain, impl Signer>,
    now: UnixTime,
    mut transport: StreamTransport<'_, &mut Uart>,
    buffers: create_session::Buffers<'m>,
    observed: &mut Observed,
) -> Result<create_session::Credentials<'m>, SessionError<'m, StreamError>> {
    let session = CreateSession {
        host: sector.host,
        region: sector.region,
        trust_anchor_arn: sector.trust_anchor_arn,
        profile_arn: sector.profile_arn,
        role_arn: sector.role_arn,
        duration_seconds: Some(900),
        role_session_name: None,
        user_agent: USER_AGENT,
    };
    session.send(identity, &mut transport, now, buffers, observed, &mut ())
}

#[cfg(feature = "put")]
#[inline(never)]
fn store_reading<'m>(
    sector: &Sector,
    credentials: create_session::Credentials<'_>,
    clock: &BoardClock,
    mut transport: StreamTransport<'_, &mut Uart>,
    buffers: s3::Buffers<'m>,
) -> Result<s3::Stored<'m>, s3::PutError<'m, StreamError>> {
    let now = clock.now();
    let (mut key, mut reading) = (Text::<96>::default(), Text::<96>::default());
    write!(key, "{}{}.json", sector.prefix, now.amz())
        .and_then(|()| {
            let (uptime, stack) = (board::uptime_ms(), stack::peak());
            write!(
                reading,
                r#"{{"time":"{now}","uptime_ms":{uptime},"stack":{stack}}}"#
            )
        })
        .map_err(|_| s3::PutError::Unsignable)?;
    let put = Put {
        host: sector.s3_host,
        region: sector.region,
        path: ObjectPath {
            bucket: Some(sector.bucket),
            key: key.as_str(),
        },
        headers: &[Header {
            name: "content-type",
            value: &"application/json",
        }],
        content: reading.as_str().as_bytes(),
        user_agent: USER_AGENT,
    };
    put.send(&credentials.into(), &mut transport, clock, buffers)
}

//! `CreateSession` over TLS that ends on the device, to see what it takes: the line is one to a TCP connection, and who
//! listens to it learns nothing. It tries once; main.rs shows how a device goes on after failures.
#![no_std]
#![no_main]

// The other program uses all of them.
#[allow(dead_code)]
mod board;
mod console;
#[allow(dead_code)]
mod sector;
mod signer;
mod stack;

use core::fmt;

use cortex_m_rt::entry;
use device_tls::path::Rules;
use device_tls::signature::P256;
use device_tls::{Anchor, ConnectError, Connection, Records, ServerName, Verifier, connect};
use keystead::core::create_session::{Buffers, CreateSession, Credentials, Observed, SessionError};
use keystead::core::http::stream::{StreamError, StreamTransport};
use keystead::core::identity::Identity;
use keystead::core::key::Signer;
use keystead::core::time::UnixTime;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use board::Uart;
use console::{figure, say};
use sector::{Chain, Sector, Tls};

/// All the memory that is set aside.
struct Memory {
    /// A record of the server's, as long as they can be.
    read: [u8; 16_640],
    /// A record of ours.
    write: [u8; 1024],
    head: [u8; 1024],
    signature: [u8; 72],
    session: [u8; 2560],
    scratch: [u8; 256],
}

#[entry]
fn main() -> ! {
    static mut MEMORY: Memory = Memory {
        read: [0; 16_640],
        write: [0; 1024],
        head: [0; 1024],
        signature: [0; 72],
        session: [0; 2560],
        scratch: [0; 256],
    };
    stack::paint();
    board::start();
    let console = &mut Uart::console();
    let outcome = match run(MEMORY, console) {
        Some(()) => "done",
        None => "gave up",
    };
    MEMORY.read.zeroize();
    MEMORY.session.zeroize();
    MEMORY.scratch.zeroize();
    figure(console, "static RAM", stack::statics());
    say(console, format_args!("{outcome}"));
    loop {
        core::hint::spin_loop();
    }
}

fn run(memory: &mut Memory, console: &mut Uart) -> Option<()> {
    let mut told = Uart::console();
    let mut fail = |what: &dyn fmt::Display| say(&mut told, format_args!("failed: {what}"));
    let sector = Sector::read();
    let Some((sector, tls)) = sector.and_then(|sector| Tls::read(&sector).map(|tls| (sector, tls)))
    else {
        fail(&"nothing is in the device's sector");
        return None;
    };
    let signer = signer::element::Element::new(Uart::element(), sector.patience);
    let signer = signer.map_err(|_| fail(&"the secure element does not answer"));
    let identity = Identity::new(&sector.chain, signer.ok()?);
    let mut identity = identity.map_err(|error| fail(&error)).ok()?;

    let size = size_of::<Memory>();
    let in_use = stack::paint();
    let mut link = Uart::link();
    link.begin(sector.patience);
    let records = Records {
        read: &mut memory.read,
        write: &mut memory.write,
    };
    let connection = dial(&sector, &tls, &mut link, records);
    let connection = connection.map_err(|error| fail(&error)).ok()?;
    let handshake = stack::peak();
    stack::paint();

    let buffers = Buffers {
        signature: &mut memory.signature,
        answer: &mut memory.session,
        scratch: &mut memory.scratch,
    };
    let transport = StreamTransport::new(connection, &mut memory.head);
    let outcome = open_session(&sector, &mut identity, tls.now, transport, buffers);
    let peak = stack::peak();
    let credentials = outcome.map_err(|error| fail(&error)).ok()?;
    say(
        console,
        format_args!("session until {}", credentials.expiration),
    );
    figure(console, "stack: handshake", handshake);
    figure(console, "stack: CreateSession", peak);
    figure(console, "exchange", peak.max(handshake) - in_use + size);
    Some(())
}

// As in main.rs: what they have on the stack is there only while they run.

#[inline(never)]
fn dial<'b>(
    sector: &Sector,
    tls: &Tls,
    link: &'b mut Uart,
    records: Records<'b>,
) -> Result<Connection<'b, &'b mut Uart>, ConnectError> {
    let host = sector.host.split(':').next().unwrap_or_default();
    let name = ServerName::parse(host);
    let name = name.map_err(|_| ConnectError::Refused(device_tls::Refused::OtherName))?;
    let anchors = [Anchor::from_der(tls.root).map_err(ConnectError::Refused)?];
    let rules = Rules {
        anchors: &anchors,
        name,
        now: tls.now,
    };
    connect(link, records, Verifier::new(rules, P256), Random::new(tls))
}

#[inline(never)]
fn open_session<'m>(
    sector: &Sector,
    identity: &mut Identity<&Chain, impl Signer>,
    now: UnixTime,
    mut transport: StreamTransport<'_, Connection<'_, &mut Uart>>,
    buffers: Buffers<'m>,
) -> Result<Credentials<'m>, SessionError<'m, StreamError>> {
    let session = CreateSession {
        host: sector.host,
        region: sector.region,
        trust_anchor_arn: sector.trust_anchor_arn,
        profile_arn: sector.profile_arn,
        role_arn: sector.role_arn,
        duration_seconds: Some(900),
        role_session_name: None,
        user_agent: concat!("keystead-firmware/", env!("CARGO_PKG_VERSION")),
    };
    let observed = &mut Observed::default();
    session.send(identity, &mut transport, now, buffers, observed, &mut ())
}

/// Numbers from the seed and the time since the start. A device takes its generator's: this one gives the same ones
/// again if it was started in the same cycle.
struct Random {
    key: [u8; 32],
    count: u32,
}

impl Random {
    fn new(tls: &Tls) -> Self {
        let mut hash = Sha256::new();
        hash.update(tls.seed);
        hash.update(board::instant().to_be_bytes());
        let key = hash.finalize().into();
        Self { key, count: 0 }
    }
}

impl CryptoRng for Random {}

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(32) {
            let mut hash = Sha256::new();
            hash.update(self.key);
            hash.update(self.count.to_be_bytes());
            piece.copy_from_slice(&hash.finalize()[..piece.len()]);
            self.count += 1;
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

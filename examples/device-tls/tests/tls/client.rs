//! The side of the device.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use device_tls::path::Rules;
use device_tls::signature::Signatures;
use device_tls::{
    Anchor, ConnectError, Connection, Records, Refused, ServerName, Verifier, connect,
};
use embedded_io::{Read as _, Write as _};
use embedded_io_adapters::std::FromStd;
use embedded_tls::CryptoRng;
use keystead::core::time::UnixTime;
use p256::elliptic_curve::rand_core::{self, RngCore};

/// What a server answers that has been asked.
pub const GREETING: &[u8] = b"hello, device";

pub fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_secs(since.unwrap().as_secs())
}

/// Connects to `name` at `address`, trusting `root`; what comes of it after a question and an answer.
pub fn ask(
    address: SocketAddr,
    name: &str,
    root: &[u8],
    now: UnixTime,
    signatures: impl Signatures,
) -> Result<(), ConnectError> {
    ask_and((address, name), root, now, signatures, |_| {})
}

/// As [`ask`], and then something else over the same connection.
pub fn ask_and(
    (address, name): (SocketAddr, &str),
    root: &[u8],
    now: UnixTime,
    signatures: impl Signatures,
    more: impl FnOnce(&mut Connection<'_, FromStd<TcpStream>>),
) -> Result<(), ConnectError> {
    let stream = TcpStream::connect(address).unwrap();
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).unwrap();
    let anchors = [Anchor::from_der(root).unwrap()];
    let rules = Rules {
        anchors: &anchors,
        name: ServerName::parse(name).unwrap(),
        now,
    };
    let (mut read, mut write) = ([0; 16_640], [0; 1024]);
    let records = Records {
        read: &mut read,
        write: &mut write,
    };
    let verifier = Verifier::new(rules, signatures);
    let mut connection = connect(FromStd::new(stream), records, verifier, Random)?;
    connection.write_all(b"who is there?").unwrap();
    connection.flush().unwrap();
    let mut answer = [0; GREETING.len()];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(answer, GREETING);
    more(&mut connection);
    Ok(())
}

#[track_caller]
pub fn refusal(outcome: Result<(), ConnectError>) -> Refused {
    match outcome {
        Err(ConnectError::Refused(reason)) => reason,
        other => panic!("not refused: {other:?}"),
    }
}

struct Random;

impl CryptoRng for Random {}

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        getrandom::getrandom(bytes).unwrap();
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

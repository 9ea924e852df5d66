//! A PIV card for pcscd's virtual reader: the applet of NIST SP 800-73-4 with the extensions of a
//! YubiKey that Yubico's tools need. Only ever a card of tests: its keys lie in a file.
//!
//! `piv-card ADDRESS FOLDER`: the reader's address, and where the card's state is kept, so that it is
//! the same card when it is inserted again. A touch is asked for at the Unix socket `FOLDER/touch`.

mod apdu;
mod applet;
mod attestation;
mod authenticate;
mod key;
mod metadata;
mod references;
mod state;
mod tlv;
mod touch;

use std::env;
use std::io;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;

use vpicc::{Connection, VSmartCard};

use apdu::Exchange;
use applet::Applet;
use state::Store;
use touch::Sensor;

/// The answer to reset of a YubiKey 5: by it Yubico's tools and OpenSC know one.
const ATR: [u8; 23] = [
    0x3b, 0xfd, 0x13, 0x00, 0x00, 0x81, 0x31, 0xfe, 0x15, 0x80, 0x73, 0xc0, 0x21, 0xc0, 0x57, 0x59,
    0x75, 0x62, 0x69, 0x4b, 0x65, 0x79, 0x40,
];

struct Card {
    exchange: Exchange,
    applet: Applet,
}

impl VSmartCard for Card {
    fn atr(&self) -> &[u8] {
        &ATR
    }

    fn power_off(&mut self) {
        self.reset();
    }

    fn reset(&mut self) {
        self.exchange = Exchange::default();
        self.applet.reset();
    }

    fn execute(&mut self, message: &[u8]) -> Vec<u8> {
        self.exchange.execute(message, &mut self.applet)
    }
}

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let (Some(address), Some(folder), None) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("usage: piv-card ADDRESS FOLDER");
        return ExitCode::from(2);
    };
    match insert(&address.to_string_lossy(), folder.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("piv-card: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves the reader until it is gone.
fn insert(address: &str, folder: PathBuf) -> io::Result<()> {
    let sensor = Sensor::new(folder.join("touch"));
    let mut card = Card {
        exchange: Exchange::default(),
        applet: Applet::new(Store::open(folder)?, sensor),
    };
    let stream = TcpStream::connect(address)?;
    // An exchange is two small packets: without this each waits 40 ms for the other side.
    stream.set_nodelay(true)?;
    match Connection::from(stream).run(&mut card) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        other => other,
    }
}

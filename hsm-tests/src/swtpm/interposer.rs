//! Somebody on the way to a TPM: reads along, and changes what it answers.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use keystead::backend::tpm::Access;

use super::Swtpm;
use super::port::Ports;

/// What is done with an answer: to which command (its code), and all of its bytes.
type Change = dyn Fn(u32, &mut Vec<u8>) + Send + Sync;

/// Somebody on the way. What is connected to it is connected to the TPM.
pub struct Interposer {
    ports: Ports,
    shared: Arc<Shared>,
}

struct Shared {
    seen: Mutex<Vec<u8>>,
    change: Box<Change>,
    is_over: AtomicBool,
    /// The connection to the TPM.
    tpm: Mutex<Option<TcpStream>>,
}

impl Interposer {
    /// Changes answers before the TPM.
    pub fn new(tpm: &Swtpm, change: impl Fn(u32, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
        let interposer = Self {
            ports: Ports::claim(),
            shared: Arc::new(Shared {
                seen: Mutex::default(),
                change: Box::new(change),
                is_over: AtomicBool::new(false),
                tpm: Mutex::default(),
            }),
        };
        let (ours, theirs) = (&interposer.ports, &tpm.ports);
        serve(
            &interposer.shared,
            ours.commands(),
            theirs.commands(),
            commands,
        );
        serve(
            &interposer.shared,
            ours.control(),
            theirs.control(),
            |_, client, tpm| pass_on(client, tpm),
        );
        interposer
    }

    /// Reads along only.
    pub fn who_listens(tpm: &Swtpm) -> Self {
        Self::new(tpm, |_, _| {})
    }

    /// The way to the TPM through it.
    pub fn access(&self, tpm: &Swtpm) -> Access {
        Access {
            tcti: format!("swtpm:host=127.0.0.1,port={}", self.ports.commands()),
            ..tpm.access()
        }
    }

    /// Sends a command of its own, as the system does that has the TPM's device. Nobody else may send one
    /// meanwhile.
    #[track_caller]
    pub fn send(&self, command: &[u8]) -> Vec<u8> {
        let mut tpm = self.shared.tpm.lock().expect("nobody panics with it");
        let tpm = tpm.as_mut().expect("somebody is connected");
        tpm.write_all(command).expect("the TPM is there");
        frame(tpm).expect("the TPM answers")
    }

    /// Whether these bytes were in a command or in an answer.
    pub fn has_seen(&self, bytes: &[u8]) -> bool {
        let seen = self.shared.seen.lock().expect("nobody panics with it");
        seen.windows(bytes.len()).any(|window| window == bytes)
    }
}

impl Drop for Interposer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for port in [self.ports.commands(), self.ports.control()] {
            // Who waits for somebody to come looks then.
            let _ = connected(port);
        }
    }
}

fn serve(
    shared: &Arc<Shared>,
    ours: u16,
    theirs: u16,
    work: fn(&Shared, TcpStream, TcpStream) -> io::Result<()>,
) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, ours)).expect("the port was free");
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for client in listener.incoming() {
            if shared.is_over.load(Ordering::SeqCst) {
                return;
            }
            let (Ok(client), Ok(tpm)) = (client, connected(theirs)) else {
                continue;
            };
            let shared = Arc::clone(&shared);
            // It ends with the connection.
            thread::spawn(move || work(&shared, client, tpm));
        }
    });
}

fn commands(shared: &Shared, mut client: TcpStream, mut tpm: TcpStream) -> io::Result<()> {
    loop {
        let command = frame(&mut client)?;
        // Not before: libtss2 looks whether somebody is there, and a connection without a command that is kept
        // open here keeps the TPM from taking the next one.
        *shared.tpm.lock().expect("nobody panics with it") = Some(tpm.try_clone()?);
        tpm.write_all(&command)?;
        let mut answer = frame(&mut tpm)?;
        let mut seen = shared.seen.lock().expect("nobody panics with it");
        seen.extend(&command);
        seen.extend(&answer);
        drop(seen);
        (shared.change)(number(&command[6..10]), &mut answer);
        client.write_all(&answer)?;
    }
}

/// A command or an answer: a tag (2 bytes), its length (4 bytes), a code (4 bytes), and what belongs to it.
pub fn frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 10];
    stream.read_exact(&mut bytes)?;
    bytes.resize(number(&bytes[2..6]) as usize, 0);
    stream.read_exact(&mut bytes[10..])?;
    Ok(bytes)
}

/// A connection to who listens at a port of this machine.
pub fn connected(port: u16) -> io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
}

fn number(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn pass_on(client: TcpStream, tpm: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (tpm.try_clone()?, client.try_clone()?);
    let back = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (client, tpm);
    let copied = io::copy(&mut from, &mut to);
    to.shutdown(Shutdown::Both)?;
    let _ = back.join();
    copied.map(|_| ())
}

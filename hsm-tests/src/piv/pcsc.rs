//! Enough of pcscd's own protocol to wait until a card is in the reader, or no longer: nothing else
//! tells when, and a test does not sleep.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// `CMD_VERSION`, `CMD_GET_READERS_STATE`, `CMD_WAIT_READER_STATE_CHANGE` of `winscard_msg.h`.
const VERSION: u32 = 0x11;
const READERS: u32 = 0x12;
const WAIT: u32 = 0x13;
/// The protocol that pcsc-lite speaks since 1.8.24.
const PROTOCOL: [u32; 3] = [4, 4, 0];
/// `READER_STATE` of `eventhandler.h`, and how many of them there are.
const READER_STATE: usize = 184;
const READER_NAME: usize = 128;
const MOST_READERS: usize = 16;
/// `SCARD_PRESENT`.
const PRESENT: u32 = 4;

/// How long pcscd may take for anything: it looks at its readers every 400 ms.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to pcscd.
pub struct Pcscd(UnixStream);

impl Pcscd {
    /// Connects as soon as it answers.
    pub fn connect(socket: &Path) -> io::Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::try_connect(socket) {
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                connected => return connected,
            }
        }
    }

    fn try_connect(socket: &Path) -> io::Result<Self> {
        let mut pcscd = Self(UnixStream::connect(socket)?);
        pcscd.0.set_read_timeout(Some(PATIENCE))?;
        pcscd.send(VERSION, &PROTOCOL)?;
        let mut answer = [0; 12];
        pcscd.0.read_exact(&mut answer)?;
        if answer[8..] != [0; 4] {
            return Err(io::Error::other(format!(
                "pcscd speaks another protocol: {answer:?}"
            )));
        }
        Ok(pcscd)
    }

    fn send(&mut self, command: u32, body: &[u32]) -> io::Result<()> {
        let size = u32::try_from(size_of_val(body)).expect("bodies are short");
        let words = [&[size, command], body].concat();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.0.write_all(&bytes)
    }

    /// Waits until there is a card in a reader, or in none.
    pub fn wait_for_card(&mut self, present: bool) -> io::Result<()> {
        self.send(READERS, &[])?;
        while self.card_is_present()? != present {
            // The answer is the state as it is now; after the next change comes an event, once.
            self.send(WAIT, &[])?;
            if self.card_is_present()? == present {
                return Ok(());
            }
            self.0.read_exact(&mut [0; 8])?;
            self.send(READERS, &[])?;
        }
        Ok(())
    }

    fn card_is_present(&mut self) -> io::Result<bool> {
        let mut states = [0; READER_STATE * MOST_READERS];
        self.0.read_exact(&mut states)?;
        let mut readers = states
            .chunks_exact(READER_STATE)
            .filter(|reader| reader[0] != 0);
        Ok(readers.any(|reader| {
            let state = reader[READER_NAME + 4..].first_chunk().copied();
            u32::from_ne_bytes(state.unwrap_or_default()) & PRESENT != 0
        }))
    }
}

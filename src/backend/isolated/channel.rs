//! Frames over a pair of pipes: a length (4 bytes, little endian), then a message in postcard's form.

use core::fmt;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::string::String;
use std::time::Instant;

use postcard::ser_flavors::Flavor;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::buffer::Buffer;

/// The longest message, either way. A token with a thousand certificates needs a tenth of it.
pub const MAX_MESSAGE_LEN: usize = 16 << 20;

/// How the line begins that each side says first: who it is, and the version of the messages that
/// follow. Both programs are of one package, so that nothing but the same version has to be understood.
/// Then come the kinds of devices: those that a worker serves, that which a client wants.
const GREETING: &str = concat!("keystead-signer ", env!("CARGO_PKG_VERSION"), " 2");

/// The longest such line.
const MAX_GREETING_LEN: usize = 128;

const PREFIX: usize = size_of::<u32>();

/// When to stop waiting; `None` is never.
pub type Deadline = Option<Instant>;

/// The moment after this time.
pub fn deadline_in(time: Duration) -> Deadline {
    Instant::now().checked_add(time)
}

/// The kinds of devices that the other side named, with blanks between them.
#[derive(Debug)]
pub struct Families(String);

impl Families {
    /// Whether this one is among them.
    pub fn has(&self, family: &str) -> bool {
        self.0.split(' ').any(|named| named == family)
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One end of a conversation.
#[derive(Debug)]
pub struct Channel {
    input: OwnedFd,
    output: OwnedFd,
    /// Whether reads and writes wait by themselves, and keep no deadline.
    blocking: bool,
    incoming: Buffer,
    outgoing: Buffer,
}

impl Channel {
    /// The end that waits as long as it takes.
    pub fn blocking(input: OwnedFd, output: OwnedFd) -> Self {
        Self {
            input,
            output,
            blocking: true,
            incoming: Buffer::default(),
            outgoing: Buffer::default(),
        }
    }

    /// The end that keeps deadlines.
    ///
    /// # Errors
    /// [`io::Error`] if the pipes cannot be set so.
    pub fn with_deadlines(input: OwnedFd, output: OwnedFd) -> io::Result<Self> {
        for end in [&input, &output] {
            // Each end of a pipe has flags of its own: the other side goes on blocking.
            fcntl_setfl(end, fcntl_getfl(end)? | OFlags::NONBLOCK)?;
        }
        Ok(Self {
            blocking: false,
            ..Self::blocking(input, output)
        })
    }

    /// Puts the greeting before the next message.
    pub fn greet(&mut self, families: impl IntoIterator<Item = &'static str>) {
        self.outgoing.clear();
        self.outgoing.push(GREETING.as_bytes());
        for family in families {
            self.outgoing.push(b" ");
            self.outgoing.push(family.as_bytes());
        }
        self.outgoing.push(b"\n");
    }

    /// Sends what [`Channel::greet`] left, without a message.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn flush(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        let mut rest = self.outgoing.filled();
        while !rest.is_empty() {
            match rustix::io::write(&self.output, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::AGAIN) => wait(self.output.as_fd(), PollFlags::OUT, deadline)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.outgoing.clear();
        Ok(())
    }

    /// Reads the other side's greeting.
    ///
    /// # Errors
    /// [`ChannelError::Greeting`] if it is none, or of another version.
    pub fn expect_greeting(&mut self, deadline: Deadline) -> Result<Families, ChannelError> {
        loop {
            let filled = self.incoming.filled();
            let filled = &filled[..filled.len().min(MAX_GREETING_LEN)];
            if let Some(end) = filled.iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&filled[..end]).into_owned();
                self.incoming.take(end + 1);
                return match line.strip_prefix(GREETING) {
                    Some(families) if families.is_empty() || families.starts_with(' ') => {
                        Ok(Families(families.trim_start().into()))
                    }
                    _ => Err(ChannelError::Greeting(line)),
                };
            }
            if filled.len() == MAX_GREETING_LEN {
                return Err(ChannelError::Malformed);
            }
            self.fill(deadline)?;
        }
    }

    /// Sends a message, in one piece.
    ///
    /// # Errors
    /// [`ChannelError`]. Nothing was sent if it is [`ChannelError::TooLong`] or
    /// [`ChannelError::Unspeakable`].
    pub fn send<T: Serialize>(
        &mut self,
        message: &T,
        deadline: Deadline,
    ) -> Result<(), ChannelError> {
        let start = self.outgoing.filled().len();
        self.encode(message, start)
            .inspect_err(|_| self.outgoing.truncate(start))?;
        self.flush(deadline)
    }

    fn encode<T: Serialize>(&mut self, message: &T, start: usize) -> Result<(), ChannelError> {
        self.outgoing.push(&[0; PREFIX]);
        let encoded = postcard::serialize_with_flavor(message, Encoded(&mut self.outgoing));
        encoded.map_err(|error| match error {
            postcard::Error::SerializeBufferFull => ChannelError::TooLong,
            _ => ChannelError::Unspeakable,
        })?;
        let frame = &mut self.outgoing.filled_mut()[start..];
        let len = u32::try_from(frame.len() - PREFIX).map_err(|_| ChannelError::TooLong)?;
        frame[..PREFIX].copy_from_slice(&len.to_le_bytes());
        Ok(())
    }

    /// Receives a message. It borrows from the buffer that it came in.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub fn receive<'a, T: Deserialize<'a>>(
        &'a mut self,
        deadline: Deadline,
    ) -> Result<T, ChannelError> {
        let len = loop {
            if let Some((prefix, rest)) = self.incoming.filled().split_first_chunk::<PREFIX>() {
                let len = usize::try_from(u32::from_le_bytes(*prefix));
                let len = len.map_err(|_| ChannelError::Malformed)?;
                if len > MAX_MESSAGE_LEN {
                    return Err(ChannelError::Malformed);
                }
                if rest.len() >= len {
                    break len;
                }
            }
            self.fill(deadline)?;
        };
        let frame = self.incoming.take(PREFIX + len);
        match postcard::take_from_bytes(&frame[PREFIX..]) {
            Ok((message, [])) => Ok(message),
            _ => Err(ChannelError::Malformed),
        }
    }

    /// Clears what the last messages left in memory, both ways.
    pub fn wipe(&mut self) {
        self.incoming.wipe();
        self.outgoing.wipe();
    }

    /// Reads what is there, and waits if nothing is.
    fn fill(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        loop {
            if !self.blocking {
                wait(self.input.as_fd(), PollFlags::IN, deadline)?;
            }
            match rustix::io::read(&self.input, self.incoming.spare()) {
                Ok(0) => return Err(ChannelError::Closed),
                Ok(read) => {
                    self.incoming.advance(read);
                    return Ok(());
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits until a descriptor can be read or written.
pub fn wait(fd: BorrowedFd<'_>, what: PollFlags, deadline: Deadline) -> Result<(), ChannelError> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A time that does not fit is as good as none.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::from_borrowed_fd(fd, what)], left.as_ref()) {
            Ok(0) => return Err(ChannelError::TimedOut),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Where postcard puts a message.
struct Encoded<'a>(&'a mut Buffer);

impl Flavor for Encoded<'_> {
    type Output = ();

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.0.filled().len() + bytes.len() > MAX_MESSAGE_LEN {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.0.push(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Why a conversation ended.
#[derive(Debug)]
pub enum ChannelError {
    /// The other side is gone.
    Closed,
    /// It was gone before it could hear what was asked.
    Gone,
    /// It did not answer in time.
    TimedOut,
    /// What it said is no message, or not one that belongs there.
    Malformed,
    /// What is to be said is longer than [`MAX_MESSAGE_LEN`].
    TooLong,
    /// What is to be said has no form: a path in it is not UTF-8.
    Unspeakable,
    /// It is another program, or another version: what it said of itself.
    Greeting(String),
    /// It does not serve this kind of device: the feature that it was built without.
    Unbuilt(String),
    /// The system refuses.
    Io(io::Error),
}

impl From<Errno> for ChannelError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PIPE => Self::Closed,
            error => Self::Io(error.into()),
        }
    }
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed | Self::Gone => f.write_str("it closed the pipe"),
            Self::TimedOut => f.write_str("it did not answer in time"),
            Self::Malformed => f.write_str("what it answered is no message"),
            Self::TooLong => write!(f, "a message is longer than {MAX_MESSAGE_LEN} bytes"),
            Self::Unspeakable => f.write_str("a path is not UTF-8"),
            Self::Greeting(theirs) => write!(
                f,
                "it calls itself `{}`, and this is `{}`: install both programs from one package",
                crate::core::text::Printable(theirs),
                GREETING
            ),
            Self::Unbuilt(feature) => write!(
                f,
                "it was built without the feature `{}`",
                crate::core::text::Printable(feature)
            ),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ChannelError {}

#[cfg(test)]
mod tests {
    use super::super::family::Family;
    use super::super::message::{ToClient, ToWorker};
    use super::*;
    use core::time::Duration;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::TestCaseError;
    use std::fs::File;
    use std::io::Write as _;
    use std::thread;
    use std::vec::Vec;

    /// A channel that hears these bytes in pieces of this length, and then the end.
    fn hearing(bytes: Vec<u8>, piece: usize) -> Channel {
        let (input, mut output) = io::pipe().unwrap();
        thread::spawn(move || {
            for piece in bytes.chunks(piece) {
                if output.write_all(piece).is_err() {
                    break;
                }
            }
        });
        let nothing = File::options().write(true).open("/dev/null").unwrap();
        Channel::blocking(input.into(), nothing.into())
    }

    fn frame(len: usize, message: &[u8]) -> Vec<u8> {
        let len = u32::try_from(len).unwrap().to_le_bytes();
        [&len, message].concat()
    }

    fn hear_out<F: Family>(message: &[u8], piece: usize) -> Result<(), TestCaseError> {
        let mut worker = hearing(message.to_vec(), piece);
        while worker.receive::<ToWorker<'_, F>>(None).is_ok() {}
        let mut client = hearing(message.to_vec(), piece);
        while client.receive::<ToClient<'_, F>>(None).is_ok() {}
        // What a length promises is not believed.
        prop_assert!(client.incoming.capacity() <= 8192);
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_error(
            bytes in vec(any::<u8>(), 0..300),
            len in prop_oneof![0..400_usize, Just(MAX_MESSAGE_LEN), Just(usize::MAX >> 33)],
            piece in 1..50_usize,
        ) {
            for message in [bytes.clone(), frame(len, &bytes)] {
                #[cfg(feature = "pkcs11")]
                hear_out::<super::super::tokens::Pkcs11>(&message, piece)?;
                #[cfg(feature = "tpm-direct")]
                hear_out::<super::super::tpm::Tpm>(&message, piece)?;
            }
        }

        #[test]
        fn a_message_arrives_whole_however_it_comes(
            len in 0..30_000_u16,
            piece in 1..9000_usize,
        ) {
            let message: String = ('a'..='z').cycle().take(len.into()).collect();
            let (mut there, output) = io::pipe().unwrap();
            let (input, _) = io::pipe().unwrap();
            let mut from = Channel::with_deadlines(input.into(), output.into()).unwrap();
            from.greet(["pkcs11", "tpm"]);
            let deadline = deadline_in(Duration::from_secs(60));
            from.send(&message, deadline).unwrap();
            from.send(&message, deadline).unwrap();
            drop(from);
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut there, &mut bytes).unwrap();
            let mut to = hearing(bytes, piece);
            let families = to.expect_greeting(None).unwrap();
            prop_assert!(families.has("pkcs11") && families.has("tpm") && !families.has("pkcs11 tpm"));
            for _ in 0..2 {
                prop_assert_eq!(to.receive::<&str>(None).unwrap(), &message);
            }
            prop_assert!(matches!(to.receive::<&str>(None), Err(ChannelError::Closed)));
        }
    }

    #[test]
    fn what_is_too_long_is_not_sent_and_the_next_message_is() {
        let (there, output) = io::pipe().unwrap();
        let (input, _) = io::pipe().unwrap();
        let mut from = Channel::blocking(input.into(), output.into());
        let long = "x".repeat(MAX_MESSAGE_LEN);
        let sent = from.send(&long, None);
        assert!(matches!(sent, Err(ChannelError::TooLong)));
        from.send(&"short", None).unwrap();
        let nothing = File::options().write(true).open("/dev/null").unwrap();
        let mut to = Channel::blocking(there.into(), nothing.into());
        assert_eq!(to.receive::<&str>(None).unwrap(), "short");
    }

    #[test]
    fn nobody_who_does_not_read_is_waited_for_forever() {
        let (_there, output) = io::pipe().unwrap();
        let (input, _here) = io::pipe().unwrap();
        let mut channel = Channel::with_deadlines(input.into(), output.into()).unwrap();
        let soon = deadline_in(Duration::from_millis(20));
        let sent = channel.send(&"x".repeat(1 << 20), soon);
        assert!(matches!(sent, Err(ChannelError::TimedOut)));
        let heard = channel.receive::<&str>(soon);
        assert!(matches!(heard, Err(ChannelError::TimedOut)));
    }

    #[test]
    fn a_pin_is_not_left_in_memory() {
        let (there, output) = io::pipe().unwrap();
        let (input, _) = io::pipe().unwrap();
        let mut from = Channel::blocking(input.into(), output.into());
        let nothing = File::options().write(true).open("/dev/null").unwrap();
        let mut to = Channel::blocking(there.into(), nothing.into());
        from.send(&"PIN-4711", None).unwrap();
        assert_eq!(to.receive::<&str>(None).unwrap(), "PIN-4711");
        assert!(from.outgoing.holds(b"4711") && to.incoming.holds(b"4711"));
        from.wipe();
        to.wipe();
        assert!(!from.outgoing.holds(b"4711") && !to.incoming.holds(b"4711"));
    }
}

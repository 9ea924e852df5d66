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

/// What each side says first: who it is, and the version of the messages that follow. Both programs
/// are of one package, so that nothing but the same version has to be understood.
const GREETING: &str = concat!("keystead-signer ", env!("CARGO_PKG_VERSION"), " 1\n");

const PREFIX: usize = size_of::<u32>();

/// When to stop waiting; `None` is never.
pub type Deadline = Option<Instant>;

/// The moment after this time.
pub fn deadline_in(time: Duration) -> Deadline {
    Instant::now().checked_add(time)
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
    pub fn greet(&mut self) {
        self.outgoing.clear();
        self.outgoing.push(GREETING.as_bytes());
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
    pub fn expect_greeting(&mut self, deadline: Deadline) -> Result<(), ChannelError> {
        loop {
            let filled = self.incoming.filled();
            let filled = &filled[..filled.len().min(2 * GREETING.len())];
            if let Some(end) = filled.iter().position(|&byte| byte == b'\n') {
                if &filled[..=end] != GREETING.as_bytes() {
                    let theirs = String::from_utf8_lossy(&filled[..end]).into_owned();
                    return Err(ChannelError::Greeting(theirs));
                }
                self.incoming.take(end + 1);
                return Ok(());
            }
            if filled.len() == 2 * GREETING.len() {
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
                GREETING.trim_end()
            ),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ChannelError {}

//! The kernel's device of a TPM.
//!
//! What the kernel does with a command it does while the command is written, or read, or waited for, and while the
//! file is closed: it takes as long as its driver likes, minutes for a chip that hangs, whatever O_NONBLOCK says. So
//! the file is with a thread of its own, which is not waited for any longer than the answer may take.

use core::time::Duration;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Instant;
use std::vec;
use std::vec::Vec;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::stream::{MAX_LEN, late, remaining};

/// How long closing may take at the end: a resource manager removes then what was loaded.
const CLOSING: Duration = Duration::from_secs(5);

/// What reading and writing take of the stack, and a thread's beginning.
const STACK: usize = 64 << 10;

/// A device that is open.
pub struct DeviceFile {
    /// What the thread is to send; none when there is no more.
    commands: Option<Sender<Zeroizing<Vec<u8>>>>,
    answers: Receiver<io::Result<Vec<u8>>>,
    /// Whether the kernel has not answered yet.
    is_late: bool,
}

impl DeviceFile {
    /// Opens a device.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // What is named by mistake may be a terminal.
        options.custom_flags(OFlags::NOCTTY.bits() as i32);
        Self::over(options.open(path)?)
    }

    /// Speaks to what is open.
    fn over(file: File) -> io::Result<Self> {
        let (commands, orders) = mpsc::channel();
        let (results, answers) = mpsc::channel();
        thread::Builder::new()
            .name("tpm".into())
            .stack_size(STACK)
            .spawn(move || serve(file, &orders, results))?;
        Ok(Self {
            commands: Some(commands),
            answers,
            is_late: false,
        })
    }

    /// Sends a command, and waits for the answer. After an error it is of no use any more.
    ///
    /// # Errors
    /// What the kernel says; [`late`].
    pub fn exchange(&mut self, command: &[u8], until: Instant) -> io::Result<Vec<u8>> {
        let ended = || io::Error::from(io::ErrorKind::BrokenPipe);
        let left = remaining(until)?;
        let commands = self.commands.as_ref().ok_or_else(ended)?;
        commands
            .send(command.to_vec().into())
            .map_err(|_| ended())?;
        self.answers
            .recv_timeout(left)
            .unwrap_or_else(|error| match error {
                RecvTimeoutError::Timeout => {
                    self.is_late = true;
                    Err(late())
                }
                RecvTimeoutError::Disconnected => Err(ended()),
            })
    }
}

impl Drop for DeviceFile {
    /// Who opens the device next is not to find it in use. If the kernel is late the thread is left alone: it closes
    /// the file when the kernel lets it.
    fn drop(&mut self) {
        self.commands = None;
        if !self.is_late {
            // The thread says no more than that it has ended.
            let _ = self.answers.recv_timeout(CLOSING);
        }
    }
}

/// Serves one command after the other until nobody waits for answers any more.
fn serve(
    mut file: File,
    commands: &Receiver<Zeroizing<Vec<u8>>>,
    answers: Sender<io::Result<Vec<u8>>>,
) {
    while let Ok(command) = commands.recv() {
        let answer = transmit(&mut file, &command);
        drop(command);
        if answers.send(answer).is_err() {
            break;
        }
    }
    // Before who waits hears of the end.
    drop(file);
    drop(answers);
}

/// The kernel takes a command whole, and gives its answer whole (Linux, Documentation/security/tpm): of what is longer
/// than what it is asked for, old kernels throw the rest away.
fn transmit(file: &mut File, command: &[u8]) -> io::Result<Vec<u8>> {
    if uninterrupted(|| file.write(command))? != command.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let mut answer = vec![0; MAX_LEN];
    let mut len = 0;
    // Once, but for what stands in a device's place and gives less.
    while len < announced(&answer[..len]) {
        match uninterrupted(|| file.read(&mut answer[len..]))? {
            0 => break,
            more => len += more,
        }
    }
    answer.truncate(len);
    Ok(answer)
}

/// How long the answer is that begins so, as far as it is known.
fn announced(answer: &[u8]) -> usize {
    let size = answer.get(2..6).and_then(|size| size.try_into().ok());
    let size = size.map_or(MAX_LEN, |size| u32::from_be_bytes(size) as usize);
    size.min(MAX_LEN)
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    /// A device, and the kernel's end of it.
    fn device() -> (DeviceFile, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let device = DeviceFile::over(OwnedFd::from(ours).into()).unwrap();
        (device, theirs)
    }

    fn within(time: Duration) -> Instant {
        Instant::now() + time
    }

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);
    const COMMAND: [u8; 4] = *b"what";
    const ANSWER: [u8; 12] = [0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 1, 2];

    fn is_closed(kernel: &mut UnixStream) -> bool {
        kernel.read(&mut [0; 16]).is_ok_and(|len| len == 0)
    }

    #[test]
    fn commands_are_answered_one_after_the_other() {
        let (mut device, mut kernel) = device();
        for parts in [&[12][..], &[3, 12], &[7, 10, 12]] {
            let parts = parts.to_vec();
            let mut end = kernel.try_clone().unwrap();
            let answering = thread::spawn(move || {
                let mut command = [0; 16];
                let len = end.read(&mut command).unwrap();
                let mut from = 0;
                for to in parts {
                    end.write_all(&ANSWER[from..to]).unwrap();
                    from = to;
                }
                command[..len].to_vec()
            });
            assert_eq!(device.exchange(&COMMAND, within(LONG)).unwrap(), ANSWER);
            assert_eq!(answering.join().unwrap(), COMMAND);
        }
        drop(device);
        assert!(is_closed(&mut kernel));
    }

    #[test]
    fn whoever_does_not_answer_is_waited_for_until_the_time_is_over() {
        let (mut device, mut kernel) = device();
        let began = Instant::now();
        let error = device.exchange(&COMMAND, within(SHORT)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(device);
        assert!(began.elapsed() < CLOSING);
        // It is still open, as far as the kernel is concerned: it may answer as late as it likes.
        let mut command = [0; 16];
        assert_eq!(kernel.read(&mut command).unwrap(), COMMAND.len());
        kernel.write_all(&ANSWER).unwrap();
        assert!(is_closed(&mut kernel));
    }

    #[test]
    fn what_ends_is_an_error_at_once() {
        let (mut device, kernel) = device();
        drop(kernel);
        assert!(device.exchange(&COMMAND, within(LONG)).is_err());
        let (mut device, kernel) = self::device();
        kernel.shutdown(std::net::Shutdown::Write).unwrap();
        // Half an answer is none: whoever takes it apart says so.
        assert_eq!(device.exchange(&COMMAND, within(LONG)).unwrap(), b"");
    }
}

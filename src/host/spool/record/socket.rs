//! The Unix socket that records come in by.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::{fs, thread};

use rustix::fs::Gid;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::error::RecordError;
use super::intake::{Intake, Settled};
use super::recorder::Recorder;
use crate::host::spool::Bell;

/// Who is in the group may write.
const MODE: u32 = 0o660;

/// How many connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 128;

/// So many peers at once; further ones wait until one of them goes.
const MOST_PEERS: usize = 256;

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

/// Of a peer that does not stop, so many pieces are taken after the bell.
const LAST_PIECES: u32 = 16;

/// A peer that is through gets so long to take its last answer.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// Is told what happens at the socket, by many threads.
pub trait SocketObserver: Send + Sync {
    /// A peer has gone; this is what came of its stream.
    fn ended(&self, settled: &Settled);
    /// Peers wait because of this, or, with `None`, no longer.
    fn waits(&self, why: Option<&RecordError>);
    /// A connection failed, or could not be accepted.
    fn failed(&self, error: &io::Error);
}

/// A socket that records come in by.
#[derive(Debug)]
pub struct RecordSocket {
    listener: UnixListener,
    /// Is removed at the end, if it was made here.
    path: Option<(PathBuf, (u64, u64))>,
}

impl RecordSocket {
    /// A socket that listens already.
    ///
    /// # Errors
    /// [`io::Error`] if the system refuses.
    pub fn from_listener(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            path: None,
        })
    }

    /// Makes a socket for the user and the group, the folder's own if no other is given. One that nobody listens at
    /// any more is replaced.
    ///
    /// # Errors
    /// [`io::Error`]; of kind `AddrInUse` if somebody listens there, or something else is in the place.
    pub fn bind(path: &Path, group: Option<u32>) -> io::Result<Self> {
        if let Ok(found) = fs::symlink_metadata(path) {
            let is_left_behind = found.file_type().is_socket()
                && UnixStream::connect(path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !is_left_behind {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            fs::remove_file(path)?;
        }
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        let made = fs::symlink_metadata(path)?;
        let bound = Self {
            listener: UnixListener::from(socket),
            path: Some((path.into(), (made.dev(), made.ino()))),
        };
        if let Some(group) = group
            && made.gid() != group
        {
            rustix::fs::chown(path, None, Some(Gid::from_raw(group)))?;
        }
        // Nobody can connect before it listens: at no time does it have other permissions than these.
        fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        rustix::net::listen(&bound.listener, BACKLOG)?;
        bound.listener.set_nonblocking(true)?;
        Ok(bound)
    }

    /// Takes records until `bell` is rung; then what has come until then.
    pub fn run(
        self,
        recorder: &Recorder,
        longest: usize,
        bell: &Bell,
        observer: &dyn SocketObserver,
    ) {
        let peers = AtomicUsize::new(0);
        thread::scope(|scope| {
            while !bell.is_rung() {
                if peers.load(Ordering::Acquire) >= MOST_PEERS {
                    bell.wait(&[], Some(Duration::from_millis(100)));
                    continue;
                }
                let stream = match self.listener.accept() {
                    Ok((stream, _)) => stream,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        bell.wait(&[self.listener.as_fd()], None);
                        continue;
                    }
                    Err(error) => {
                        observer.failed(&error);
                        bell.wait(&[], Some(Duration::from_secs(1)));
                        continue;
                    }
                };
                peers.fetch_add(1, Ordering::AcqRel);
                let peers = &peers;
                let serve = move || {
                    let mut intake = Intake::new(recorder.clone(), longest);
                    if let Err(error) = serve(stream, &mut intake, bell, observer) {
                        observer.failed(&error);
                    }
                    observer.ended(&intake.settled());
                    peers.fetch_sub(1, Ordering::AcqRel);
                };
                let spawned = thread::Builder::new()
                    .name("records".into())
                    .stack_size(256 * 1024)
                    .spawn_scoped(scope, serve);
                if let Err(error) = spawned {
                    peers.fetch_sub(1, Ordering::AcqRel);
                    observer.failed(&error);
                }
            }
        });
    }
}

impl Drop for RecordSocket {
    fn drop(&mut self) {
        if let Some((path, made)) = &self.path
            && let Ok(found) = fs::symlink_metadata(path)
            && (found.dev(), found.ino()) == *made
        {
            // There is nobody to tell.
            let _ = fs::remove_file(path);
        }
    }
}

fn serve(
    mut stream: UnixStream,
    intake: &mut Intake,
    bell: &Bell,
    observer: &dyn SocketObserver,
) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let mut piece = std::vec![0; PIECE];
    let mut is_listening = true;
    let mut left = LAST_PIECES;
    loop {
        // What is still to be read has its sender, who was not told of it.
        if bell.is_rung() {
            if left == 0 {
                return Ok(());
            }
            left -= 1;
        }
        let read = match stream.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if bell.is_rung() {
                    // What has come without its end is the peer's, who was not told of it.
                    return Ok(());
                }
                bell.wait(&[stream.as_fd()], None);
                continue;
            }
            // Gone: what has come is a stream that was torn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error),
        };
        let bytes = piece.get(..read).filter(|bytes| !bytes.is_empty());
        intake.feed(bytes, &mut |_, _| {});
        let mut has_waited = false;
        let is_settled = intake.settle_patiently(bell, &mut |error| {
            has_waited = true;
            observer.waits(Some(error));
        });
        if has_waited && is_settled {
            observer.waits(None);
        }
        if !is_settled {
            return Ok(());
        }
        if is_listening {
            is_listening = answer(&mut stream, intake).is_ok();
        }
        if bytes.is_none() {
            if is_listening {
                stream.set_nonblocking(false)?;
                stream.set_write_timeout(Some(LAST_ANSWER))?;
                // A peer that is gone has said that it does not care.
                let _ = stream.write_all(intake.answers());
            }
            return Ok(());
        }
    }
}

/// Writes what the peer takes now.
fn answer(stream: &mut UnixStream, intake: &mut Intake) -> io::Result<()> {
    loop {
        let answers = intake.answers();
        if answers.is_empty() {
            return Ok(());
        }
        match stream.write(answers) {
            Ok(written) => drop(answers.drain(..written)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

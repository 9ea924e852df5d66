//! The launcher: a process that starts workers for a daemon that can no longer start any itself,
//! since it has confined itself.

use core::mem::MaybeUninit;
use core::time::Duration;
use std::boxed::Box;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::string::{String, ToString as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use super::channel::{deadline_in, wait};
use super::exit;
use super::starter::{Direct, Environment, Process, Start, Started, command, not_started};

/// The first argument of a launcher.
pub const LAUNCHER: &str = "launcher";

/// How long the launcher may take for anything, beside what it is told to wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long workers may take to log out when the daemon is gone.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// How many workers there may be at a time.
const MAX_WORKERS: usize = 64;

/// The longest packet.
const MAX_PACKET: usize = 2048;

/// The most characters of an error: they fit into a packet, each of four bytes.
const MAX_TEXT: usize = 500;

/// What the daemon wants. One packet each.
#[derive(Serialize, Deserialize)]
enum Order {
    /// Answered by [`Report::Started`] or [`Report::Failed`].
    Start(Environment),
    /// Ends a worker; answered by [`Report::Ended`] or [`Report::Failed`].
    End { id: u32, patience: Duration },
}

/// What the launcher answers.
#[derive(Serialize, Deserialize)]
enum Report {
    /// A worker runs. With it come what it writes, and what it reads.
    Started {
        id: u32,
    },
    /// What `wait` says of it.
    Ended {
        status: Option<i32>,
    },
    Failed(String),
}

impl Report {
    fn failed(error: &io::Error) -> Self {
        let text = error.to_string();
        Self::Failed(text.chars().take(MAX_TEXT).collect())
    }
}

/// The daemon's end of a launcher. When its last clone is dropped the launcher ends, and what it
/// started.
#[derive(Debug, Clone)]
pub struct Launcher(Arc<Mutex<Seat>>);

#[derive(Debug)]
struct Seat {
    /// Closed before the child is waited for.
    socket: Option<OwnedFd>,
    child: Child,
}

impl Launcher {
    /// Starts a launcher: the program `keystead-signer`, before the process confines itself. Its workers
    /// have its environment.
    ///
    /// # Errors
    /// [`io::Error`] if it cannot be started.
    pub fn start(program: &Path, environment: &Environment) -> io::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let child = command(program, environment)
            .arg(LAUNCHER)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| not_started(program, &error))?;
        Ok(Self(Arc::new(Mutex::new(Seat {
            socket: Some(ours),
            child,
        }))))
    }

    /// Ends the launcher and what it started, as the drop of the last clone does.
    pub fn end(&self) {
        self.lock().end();
    }

    fn lock(&self) -> MutexGuard<'_, Seat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, order: &Order, patience: Duration) -> io::Result<(Report, Vec<OwnedFd>)> {
        let mut seat = self.lock();
        let answer = seat.ask(order, patience);
        if answer.is_err() {
            // A later answer would be taken for that to another order.
            seat.socket = None;
        }
        answer
    }
}

impl Seat {
    fn ask(&self, order: &Order, patience: Duration) -> io::Result<(Report, Vec<OwnedFd>)> {
        let ended = || {
            let what = "the launcher has ended: restart the program that it works for";
            io::Error::new(io::ErrorKind::BrokenPipe, what)
        };
        let socket = self.socket.as_ref().ok_or_else(ended)?.as_fd();
        send(socket, order, &[]).map_err(|_| ended())?;
        wait(socket, PollFlags::IN, deadline_in(patience)).map_err(io::Error::other)?;
        receive(socket)?.ok_or_else(ended)
    }
}

impl Seat {
    fn end(&mut self) {
        self.socket = None;
        // Nobody is left to be told.
        let _ = exit::end(&mut self.child, LAST_PATIENCE + PATIENCE);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.end();
    }
}

/// A launcher, and the environment that its workers get.
pub(super) struct Launching {
    pub launcher: Launcher,
    pub environment: Environment,
}

impl Start for Launching {
    fn start(&self) -> io::Result<Started> {
        let order = Order::Start(self.environment.clone());
        let (report, descriptors) = self.launcher.ask(&order, PATIENCE)?;
        match (report, <[OwnedFd; 2]>::try_from(descriptors)) {
            (Report::Started { id }, Ok([input, output])) => Ok(Started {
                input,
                output,
                process: Box::new(Launched {
                    launcher: self.launcher.clone(),
                    id,
                }),
            }),
            (Report::Failed(reason), _) => Err(io::Error::other(reason)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[derive(Debug)]
struct Launched {
    launcher: Launcher,
    id: u32,
}

impl Process for Launched {
    fn end(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let order = Order::End {
            id: self.id,
            patience,
        };
        match self.launcher.ask(&order, patience + PATIENCE)?.0 {
            Report::Ended { status } => Ok(status.map(ExitStatus::from_raw)),
            Report::Failed(reason) => Err(io::Error::other(reason)),
            Report::Started { .. } => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Serves a daemon until it closes its end of `socket`; then what was started is ended. `program` is
/// what a worker is started from.
///
/// # Errors
/// [`io::Error`] if the system refuses, or if what comes is no order.
pub fn launch(socket: OwnedFd, program: PathBuf) -> io::Result<()> {
    let mut workers = Workers {
        direct: Direct::new(program, Environment::default()),
        running: Vec::new(),
        started: 0,
    };
    loop {
        workers.wait_for_orders(socket.as_fd())?;
        let Some((order, _)) = receive(socket.as_fd())? else {
            return Ok(());
        };
        workers.obey(order, socket.as_fd())?;
    }
}

struct Workers {
    direct: Direct,
    running: Vec<Running>,
    /// How many there were: the next one's number. The system gives a process's number again while the
    /// daemon may still ask for the one that had it.
    started: u32,
}

struct Running {
    id: u32,
    child: Child,
    /// Until it has ended.
    handle: Option<OwnedFd>,
}

impl Workers {
    /// Waits for the daemon, and meanwhile buries workers that end by themselves.
    fn wait_for_orders(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            let handles = self.running.iter().filter_map(|one| one.handle.as_ref());
            let handles =
                handles.map(|handle| PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN));
            let mut polled = std::vec![PollFd::from_borrowed_fd(socket, PollFlags::IN)];
            polled.extend(handles);
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let orders = !polled[0].revents().is_empty();
            for worker in &mut self.running {
                if !matches!(worker.child.try_wait(), Ok(None)) {
                    worker.handle = None;
                }
            }
            if orders {
                return Ok(());
            }
        }
    }

    fn obey(&mut self, order: Order, socket: BorrowedFd<'_>) -> io::Result<()> {
        match order {
            Order::Start(_) if self.running.len() >= MAX_WORKERS => {
                let error = io::Error::other(std::format!("{MAX_WORKERS} workers run already"));
                send(socket, &Report::failed(&error), &[])
            }
            Order::Start(environment) => match self.direct.spawn(&environment) {
                Ok((input, output, child)) => {
                    let id = self.started;
                    self.started = self.started.wrapping_add(1);
                    let report = Report::Started { id };
                    self.running.push(Running {
                        id,
                        handle: exit::handle(&child),
                        child,
                    });
                    send(socket, &report, &[input.as_fd(), output.as_fd()])
                }
                Err(error) => send(socket, &Report::failed(&error), &[]),
            },
            Order::End { id, patience } => {
                let report = match self.end(id, patience) {
                    Ok(status) => Report::Ended {
                        status: status.map(ExitStatus::into_raw),
                    },
                    Err(error) => Report::failed(&error),
                };
                send(socket, &report, &[])
            }
        }
    }

    fn end(&mut self, id: u32, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let found = self.running.iter().position(|one| one.id == id);
        let found = found.ok_or(io::ErrorKind::NotFound)?;
        let status = exit::end(&mut self.running[found].child, patience)?;
        if status.is_some() {
            self.running.swap_remove(found);
        }
        Ok(status)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Their pipes have closed as well: they are about to log out and end.
        let deadline = std::time::Instant::now() + LAST_PATIENCE;
        for worker in &mut self.running {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            // Nobody is left to be told.
            let _ = exit::end(&mut worker.child, left);
        }
    }
}

fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut packet = [0; MAX_PACKET];
    let packet = postcard::to_slice(message, &mut packet).map_err(io::Error::other)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    loop {
        match sendmsg(
            socket,
            &[IoSlice::new(packet)],
            &mut control,
            SendFlags::NOSIGNAL,
        ) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The next packet; `None` at the end.
fn receive<T: for<'a> Deserialize<'a>>(
    socket: BorrowedFd<'_>,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut packet = [0; MAX_PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut packet)];
        match recvmsg(socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    match postcard::take_from_bytes(&packet[..received.bytes]) {
        Ok((message, [])) => Ok(Some((message, descriptors))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

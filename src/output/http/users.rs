//! Whose program is at the other end of a connection.
//!
//! The kernel says so: for a Unix socket by SO_PEERCRED, for TCP by sock_diag(7), asked for the *client's*
//! socket. `/proc/net/tcp` has the same facts, but lists every socket of the machine for each question.
//! Who cannot be found out, because he is elsewhere or has closed his socket already, is refused.

use std::io;

use super::listener::Listener;
use super::response::Refusal;
use super::stream::Socket;

/// Finds users.
#[derive(Debug, Default)]
pub(super) struct Users {
    #[cfg(target_os = "linux")]
    diagnosis: Option<super::sock_diag::SockDiag>,
}

const NOT_ALLOWED: Refusal = Refusal::new(
    403,
    "Programs of this user are not allowed here (--allow-uid).\n",
);
const UNKNOWN: Refusal = Refusal::new(
    403,
    "Whose program this is cannot be found out, and only some users' are allowed (--allow-uid).\n",
);

#[cfg(target_os = "linux")]
impl Users {
    /// Readies what these listeners need. It is asked once whether the kernel has it, since a kernel that
    /// has it not would have everybody refused.
    pub(super) fn new<'a>(listeners: impl IntoIterator<Item = &'a Listener>) -> io::Result<Self> {
        let mut users = Self::default();
        for listener in listeners {
            let (Some(_), Some(address)) = (listener.allowed_uids(), listener.local_addr()) else {
                continue;
            };
            let diagnosis = match &mut users.diagnosis {
                Some(open) => open,
                none => none.insert(super::sock_diag::SockDiag::open()?),
            };
            diagnosis.check(address)?;
        }
        Ok(users)
    }

    /// Why the peer is refused, if it is.
    pub(super) fn check(&mut self, socket: &Socket, allowed: &[u32]) -> Option<Refusal> {
        match self.user(socket) {
            Some(uid) if allowed.contains(&uid) => None,
            Some(_) => Some(NOT_ALLOWED),
            None => Some(UNKNOWN),
        }
    }

    fn user(&mut self, socket: &Socket) -> Option<u32> {
        match socket {
            Socket::Unix(socket) => {
                let peer = rustix::net::sockopt::socket_peercred(socket).ok()?;
                Some(peer.uid.as_raw())
            }
            Socket::Tcp(socket) => {
                let client = socket.peer_addr().ok()?;
                let server = socket.local_addr().ok()?;
                self.diagnosis.as_mut()?.owner(client, server)
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Users {
    pub(super) fn new<'a>(listeners: impl IntoIterator<Item = &'a Listener>) -> io::Result<Self> {
        match listeners
            .into_iter()
            .any(|listener| listener.allowed_uids().is_some())
        {
            false => Ok(Self::default()),
            true => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the users of programs can be told apart only on Linux",
            )),
        }
    }

    pub(super) fn check(&mut self, _socket: &Socket, _allowed: &[u32]) -> Option<Refusal> {
        Some(UNKNOWN)
    }
}

//! The owner of a TCP socket of this machine, from the kernel (sock_diag(7)): one question of 72 bytes and
//! an answer. The layout is that of linux/netlink.h and linux/inet_diag.h.

use core::net::{IpAddr, SocketAddr};
use std::format;
use std::io;
use std::os::fd::OwnedFd;
use std::vec::Vec;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

#[derive(Debug)]
pub(super) struct SockDiag {
    socket: OwnedFd,
    sequence: u32,
}

/// NLM_F_REQUEST
const REQUEST: u16 = 1;
/// SOCK_DIAG_BY_FAMILY
const BY_FAMILY: u16 = 20;
const HEADER: usize = 16;
/// `struct inet_diag_msg`
const ANSWER: usize = 72;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

impl SockDiag {
    pub(super) fn open() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(SOCK_DIAG),
        )
        .map_err(|error| {
            let error = io::Error::from(error);
            let what = "the kernel cannot be asked whose a TCP connection is (AF_NETLINK)";
            io::Error::new(error.kind(), format!("{what}: {error}"))
        })?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Whether the kernel answers at all, which it does not without the module `tcp_diag`: about a socket
    /// that is there for certain, which listens at `address`.
    pub(super) fn check(&mut self, address: SocketAddr) -> io::Result<()> {
        // Where a socket listens is found by one end alone; this is the other one.
        let nobody = match canonical(address).ip() {
            IpAddr::V4(_) => SocketAddr::from(([127, 0, 0, 1], 1)),
            IpAddr::V6(_) => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 1)),
        };
        match self.ask(canonical(address), nobody) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the kernel does not say whose a TCP connection is (its module tcp_diag is missing)",
            )),
            Err(error) => Err(error),
        }
    }

    /// The user whose socket has `local` as its own address and `remote` as its peer's; `None` if there is
    /// no such socket, or no process has it any more.
    pub(super) fn owner(&mut self, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        let (local, remote) = (canonical(local), canonical(remote));
        let found = self.ask(local, remote).ok()??;
        // Where there is no such connection the kernel answers with whoever listens at that port. A socket
        // that its process has closed counts as root's, and has no inode.
        (found.ends == (local, remote) && found.inode != 0).then_some(found.uid)
    }

    fn ask(&mut self, local: SocketAddr, remote: SocketAddr) -> io::Result<Option<Found>> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = question(local, remote, self.sequence);
        rustix::net::send(&self.socket, &question, SendFlags::empty())?;
        // The kernel has answered before it returns from the call; what comes first may be the answer to an
        // older question.
        let mut answer = [0; 512];
        loop {
            let buffer = &mut answer[..];
            let (len, from) = match rustix::net::recvfrom(&self.socket, buffer, RecvFlags::empty())
            {
                Ok((_, len, from)) => (len, from),
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let sender = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
            let answer = &answer[..len.min(answer.len())];
            // The kernel's own port is 0.
            if sender.is_some_and(|sender| sender.pid() == 0)
                && number(answer, 8) == Some(self.sequence)
            {
                return Ok(found(answer));
            }
        }
    }
}

/// A socket that the kernel found.
struct Found {
    /// Its own address and its peer's.
    ends: (SocketAddr, SocketAddr),
    uid: u32,
    inode: u32,
}

fn question(local: SocketAddr, remote: SocketAddr, sequence: u32) -> Vec<u8> {
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut out = Vec::with_capacity(72);
    out.extend_from_slice(&72_u32.to_ne_bytes());
    out.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    out.extend_from_slice(&REQUEST.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&0_u32.to_ne_bytes());
    // struct inet_diag_req_v2: no extensions, sockets in all states, on any interface, without a cookie
    out.extend_from_slice(&[family, IPPROTO_TCP, 0, 0]);
    out.extend_from_slice(&u32::MAX.to_ne_bytes());
    out.extend_from_slice(&id(local, remote));
    out.extend_from_slice(&0_u32.to_ne_bytes());
    out.extend_from_slice(&[0xff; 8]);
    out
}

/// The beginning of `struct inet_diag_sockid`: both ports and both addresses, in network order.
fn id(local: SocketAddr, remote: SocketAddr) -> [u8; 36] {
    let mut id = [0; 36];
    for (address, port_at, address_at) in [(local, 0, 4), (remote, 2, 20)] {
        id[port_at..][..2].copy_from_slice(&address.port().to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => id[address_at..][..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => id[address_at..][..16].copy_from_slice(&ip.octets()),
        }
    }
    id
}

/// The socket that an answer describes; `None` for an error, which has another type.
fn found(answer: &[u8]) -> Option<Found> {
    let kind = answer.get(4..6)?;
    if kind != BY_FAMILY.to_ne_bytes() || answer.len() < HEADER + ANSWER {
        return None;
    }
    let message = &answer[HEADER..];
    Some(Found {
        ends: (end(message, 4, 8)?, end(message, 6, 24)?),
        uid: number(message, 64)?,
        inode: number(message, 68)?,
    })
}

/// One end of a socket. An IPv6 socket that speaks IPv4, as Java opens them, is found by its IPv4 addresses,
/// and told by the IPv6 addresses that stand for them.
fn end(message: &[u8], port_at: usize, address_at: usize) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(message.get(port_at..port_at + 2)?.try_into().ok()?);
    let octets: [u8; 16] = message.get(address_at..address_at + 16)?.try_into().ok()?;
    let [a, b, c, d, ..] = octets;
    let ip = match *message.first()? {
        AF_INET => IpAddr::from([a, b, c, d]),
        AF_INET6 => IpAddr::from(octets),
        _ => return None,
    };
    Some(canonical(SocketAddr::new(ip, port)))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

/// An IPv4 address is one, whatever kind of socket says it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

//! Whether the network may have come back: what the kernel says of links, addresses and routes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink};

/// rtnetlink(7), `linux/rtnetlink.h`: the groups of links, IPv4 and IPv6 addresses and routes.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

/// `struct nlmsghdr` (netlink(7)).
const HEADER: usize = 16;

/// Where `struct ifinfomsg` has its flags, and the flag of a link over which something can be sent.
const LINK_FLAGS: usize = HEADER + 8;
const IFF_RUNNING: u32 = 0x40;

/// A socket at which the kernel tells of changes.
#[derive(Debug)]
pub struct Network(OwnedFd);

impl Network {
    /// Listens from now on.
    ///
    /// # Errors
    /// [`io::Error`] if the system refuses; whoever asks has to find out by trying.
    pub fn listen() -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            // NETLINK_ROUTE.
            None,
        )?;
        rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, GROUPS))?;
        Ok(Self(socket))
    }

    /// Reads everything that has come; whether some of it means that there may be a network where there was
    /// none. What could not be kept for us may mean that as well.
    pub fn look(&self) -> bool {
        let mut buffer = [0; 8192];
        let mut is_news = false;
        loop {
            match rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
                Ok((_, 0)) => return is_news,
                Ok((_, length)) => is_news |= is_promising(&buffer[..length.min(buffer.len())]),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::NOBUFS) => is_news = true,
                Err(_) => return is_news,
            }
        }
    }
}

impl AsFd for Network {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whether one of these messages tells of a new address or route, or of a link that has come up.
fn is_promising(mut messages: &[u8]) -> bool {
    let number = |at: usize, messages: &[u8]| {
        let bytes = messages.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    loop {
        let (Some(length), Some(kind)) = (number(0, messages), messages.get(4..6)) else {
            return false;
        };
        let length = length as usize;
        if length < HEADER || length > messages.len() {
            return false;
        }
        match u16::from_ne_bytes([kind[0], kind[1]]) {
            RTM_NEWADDR | RTM_NEWROUTE => return true,
            RTM_NEWLINK if number(LINK_FLAGS, messages).is_some_and(|f| f & IFF_RUNNING != 0) => {
                return true;
            }
            _ => {}
        }
        // They are aligned to four bytes.
        let Some(rest) = messages.get(length.next_multiple_of(4)..) else {
            return false;
        };
        messages = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        message.extend((HEADER as u32 + body.len() as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    fn link(flags: u32) -> Vec<u8> {
        let mut body = std::vec![0; 8];
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        message(RTM_NEWLINK, &body)
    }

    #[test]
    fn what_promises_a_network() {
        assert!(is_promising(&message(RTM_NEWADDR, &[0; 8])));
        assert!(is_promising(&message(RTM_NEWROUTE, &[0; 12])));
        assert!(is_promising(&link(0x1 | IFF_RUNNING)));
        assert!(!is_promising(&link(0x1)));
        // Gone: RTM_DELLINK, RTM_DELADDR, RTM_DELROUTE.
        for kind in [17, 21, 25] {
            assert!(!is_promising(&message(kind, &[0; 32])));
        }
        let several = [link(0), message(21, &[0; 9]), message(RTM_NEWADDR, &[])].concat();
        assert!(is_promising(&several));
    }

    #[test]
    fn nonsense_promises_nothing() {
        let whole = message(RTM_NEWADDR, &[0; 8]);
        for length in 0..whole.len() {
            assert!(!is_promising(&whole[..length]));
        }
        assert!(!is_promising(&[0; 64]));
        assert!(!is_promising(&[0xff; 64]));
    }

    #[test]
    fn the_kernel_is_asked() {
        let network = Network::listen().unwrap();
        // Nothing may have happened meanwhile, and it does not wait.
        network.look();
    }
}

//! Ports for servers that cannot be told to take any that is free.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Ports in a row. No other test gets one of them as long as this is there, also while nothing listens at it.
pub struct Ports {
    first: u16,
    /// Names in the kernel that only one process can have, and that are free once that has ended.
    _claims: Vec<UnixListener>,
}

impl Ports {
    /// So many in a row that nobody listens at, below those that the system gives to clients.
    pub fn claim(count: u16) -> Self {
        let seed = fs::read_to_string("/proc/sys/kernel/random/uuid").expect("Linux has them");
        let start = u16::from_str_radix(&seed[..4], 16).expect("it begins with hex digits");
        for number in 0..20_000 {
            let first = 10_000 + start.wrapping_add(number) % (20_000 - count);
            let claims: Option<_> = (first..first + count).map(claim).collect();
            if let Some(claims) = claims {
                return Self {
                    first,
                    _claims: claims,
                };
            }
        }
        panic!("no {count} ports in a row from 10000 to 29999 are free");
    }

    /// The port at a place in the row, from 0 on.
    pub fn at(&self, place: u16) -> u16 {
        self.first + place
    }
}

/// A port that nobody listens at, and that no other test has.
fn claim(port: u16) -> Option<UnixListener> {
    let address = SocketAddr::from_abstract_name(format!("keystead-tests/port-{port}"))
        .expect("the name is short");
    let claim = UnixListener::bind_addr(&address).ok()?;
    let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    is_free.then_some(claim)
}

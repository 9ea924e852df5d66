//! Ports for servers that cannot be told to take any that is free.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Two ports in a row, that of the control channel being the second. No other test gets them as long as
/// this is there, also while nothing listens at them.
pub struct Ports {
    first: u16,
    /// A name in the kernel that only one process can have, and that is free once that has ended.
    _claim: UnixListener,
}

impl Ports {
    /// Two that nobody listens at, below those that the system gives to clients.
    pub fn claim() -> Self {
        let seed = fs::read_to_string("/proc/sys/kernel/random/uuid").expect("Linux has them");
        let start = u16::from_str_radix(&seed[..4], 16).expect("it begins with hex digits");
        for number in 0..10_000 {
            let first = 10_000 + (start.wrapping_add(number) % 10_000) * 2;
            let name = format!("keystead-tests/swtpm-{first}");
            let address = SocketAddr::from_abstract_name(name).expect("the name is short");
            let Ok(claim) = UnixListener::bind_addr(&address) else {
                continue;
            };
            let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if is_free(first) && is_free(first + 1) {
                return Self {
                    first,
                    _claim: claim,
                };
            }
        }
        panic!("no two ports from 10000 to 29999 are free");
    }

    /// That of the channel for commands.
    pub fn commands(&self) -> u16 {
        self.first
    }

    /// That of the control channel.
    pub fn control(&self) -> u16 {
        self.first + 1
    }
}

//! Who reaches an address.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses at which containers of ECS and EKS look for credentials. SDKs take them without TLS.
const OF_CONTAINERS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

/// Whether an address is neither this machine's alone nor one of containers.
pub fn is_remote(address: IpAddr) -> bool {
    !address.is_loopback() && !OF_CONTAINERS.contains(&address)
}

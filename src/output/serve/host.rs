//! Whom requests are for: a page of some website, which has its own name point to this machine (DNS
//! rebinding), is told apart by `Host` and `Origin`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::string::String;
use std::vec::Vec;

/// Addresses that AWS's programs know by heart, and that no name server is needed for: EC2's metadata
/// service, and those of containers of ECS and EKS. People have them lead to this endpoint.
const WELL_KNOWN: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

/// What a request's `Host` may be.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    bound: Option<IpAddr>,
    names: Vec<String>,
}

impl Hosts {
    /// Loopback addresses, `localhost`, the addresses of AWS's own endpoints, `bound`, and `names`.
    pub fn new(bound: Option<IpAddr>, names: &[String]) -> Self {
        let names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { bound, names }
    }

    /// Whether `host`, the value of the header, is one of them; the port does not matter.
    pub fn allow(&self, host: &[u8]) -> bool {
        let Some(name) = core::str::from_utf8(host).ok().and_then(without_port) else {
            return false;
        };
        let address = match name.strip_prefix('[') {
            Some(rest) => rest
                .strip_suffix(']')
                .and_then(|text| text.parse::<Ipv6Addr>().ok())
                .map(IpAddr::V6),
            None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        match address {
            Some(address) => {
                address.is_loopback()
                    || WELL_KNOWN.contains(&address)
                    || self.bound == Some(address)
            }
            None => {
                name.eq_ignore_ascii_case("localhost")
                    || self
                        .names
                        .iter()
                        .any(|known| name.eq_ignore_ascii_case(known))
            }
        }
    }
}

/// `HOST` of `HOST[:PORT]` (RFC 9110 section 7.2).
fn without_port(host: &str) -> Option<&str> {
    let end = match host.starts_with('[') {
        true => host.find(']')? + 1,
        false => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    is_port.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_may_be_asked_for() {
        let bound = "172.17.0.1".parse().unwrap();
        let hosts = Hosts::new(Some(bound), &["Hub.Example".into()]);
        for host in [
            "127.0.0.1",
            "127.0.0.1:9911",
            "127.8.9.10:1",
            "[::1]:9912",
            "localhost",
            "LOCALHOST:80",
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23:80",
            "[fd00:ec2::23]",
            "172.17.0.1:9912",
            "hub.example:443",
        ] {
            assert!(hosts.allow(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "evil.example:9912",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "127.0.0.1:80:80",
            "127.0.0.1:x",
            "::1",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "0.0.0.0",
            "172.17.0.2",
            "2130706433",
            "hub.example.",
            "localhost\u{e9}",
        ] {
            assert!(!hosts.allow(host.as_bytes()), "{host}");
        }
        assert!(!hosts.allow(b"\xff"));
        assert!(!Hosts::default().allow(b"172.17.0.1"));
    }

    proptest! {
        #[test]
        fn other_names_are_refused(name in "[a-z]{1,9}(\\.[a-z0-9]{1,9}){1,3}(:[0-9]{1,5})?") {
            prop_assert!(!Hosts::default().allow(name.as_bytes()));
        }
    }
}

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::vec::Vec;
use std::{assert, assert_eq, vec};

use rustix::net::sockopt;

use super::super::{Limits, Listener, Server};
use super::support::{Client, Echo, PATIENCE, Running, loopback};

fn unix_client(path: &std::path::Path) -> Client<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client::new(stream)
}

#[test]
fn sockets_of_every_kind_are_served_by_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let given = UnixListener::bind(folder.path().join("given")).unwrap();
    let listeners = vec![
        Listener::tcp(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap(),
        Listener::bind_tcp("[::1]:0".parse().unwrap()).unwrap(),
        Listener::bind_unix(&path, 0o660).unwrap(),
        Listener::unix(given).unwrap().named("given"),
    ];
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let server = Running::start(listeners, Limits::default(), Echo);
    for address in &server.addresses[..2] {
        assert_eq!(Client::connect(address.unwrap()).get("/").status, 200);
    }
    assert_eq!(server.addresses[2..], [None, None]);
    for name in ["socket", "given"] {
        let mut client = unix_client(&folder.path().join(name));
        assert_eq!(client.get("/a").body, "GET /a ");
        assert_eq!(client.get("/b").body, "GET /b ");
    }
    drop(server);
    // What was made is removed, what was given stays.
    assert!(!path.exists());
    assert!(folder.path().join("given").exists());
}

#[test]
fn a_socket_is_replaced_only_if_nobody_listens_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    let listener = Listener::bind_unix(&path, 0o600).unwrap();
    let error = Listener::bind_unix(&path, 0o600).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    let error = Listener::bind_unix(&path, 0o600).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    drop(listener);
    assert_eq!(fs::read(&path).unwrap(), b"a file");
}

#[test]
fn packets_of_a_connection_go_as_far_as_the_hop_limit_says() {
    for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
        let listener = Listener::bind_tcp(address.parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.with_hop_limit(1);
        let socket = listener.accepted(address);
        match address.is_ipv6() {
            true => assert_eq!(sockopt::ipv6_unicast_hops(&socket), Ok(1)),
            false => assert_eq!(sockopt::ip_ttl(&socket), Ok(1)),
        }
        if address.ip().is_unspecified() {
            assert_eq!(sockopt::ip_ttl(&socket), Ok(1));
        }
        // Neighbours are reached all the same.
        let server = Running::start(vec![listener], Limits::default(), Echo);
        assert_eq!(server.client().get("/").status, 200);
    }
}

#[test]
fn more_listeners_than_connections_are_an_error() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let listeners: Vec<_> = (0..2).map(|_| loopback()).collect();
    assert!(Server::new(listeners, limits).is_err());
}

#[cfg(target_os = "linux")]
mod users {
    use super::*;

    /// Of every kind, for these users alone.
    fn listeners(folder: &std::path::Path, uids: &[u32]) -> Vec<Listener> {
        let path = folder.join("socket");
        [
            Listener::bind_unix(&path, 0o666).unwrap(),
            Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap(),
            Listener::bind_tcp("[::1]:0".parse().unwrap()).unwrap(),
            Listener::bind_tcp("[::]:0".parse().unwrap()).unwrap(),
        ]
        .into_iter()
        .map(|listener| listener.with_allowed_uids(uids.to_vec()))
        .collect()
    }

    fn statuses(uids: &[u32]) -> Vec<u16> {
        let folder = tempfile::tempdir().unwrap();
        let listeners = listeners(folder.path(), uids);
        let server = Running::start(listeners, Limits::default(), Echo);
        let mut statuses = vec![unix_client(&folder.path().join("socket")).get("/").status];
        for address in server.addresses.iter().flatten() {
            let mut address = *address;
            // An IPv4 client of a socket for both.
            if address.ip().is_unspecified() {
                address.set_ip([127, 0, 0, 1].into());
            }
            let mut client = Client::connect(address);
            let answer = client.get("/");
            assert_eq!(answer.status != 200, answer.closes());
            assert_eq!(answer.status != 200, answer.body.contains("--allow-uid"));
            statuses.push(answer.status);
        }
        statuses
    }

    #[test]
    fn only_programs_of_allowed_users_are_answered() {
        let own = rustix::process::getuid().as_raw();
        assert_eq!(statuses(&[own ^ 1, own]), [200; 4]);
        assert_eq!(statuses(&[own ^ 1]), [403; 4]);
        assert_eq!(statuses(&[]), [403; 4]);
    }

    #[test]
    fn the_owner_of_a_socket_is_known_by_both_of_its_ends() {
        use super::super::super::sock_diag::SockDiag;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(server).unwrap();
        let address = client.local_addr().unwrap();
        let mut diagnosis = SockDiag::open().unwrap();
        diagnosis.check(server).unwrap();
        let own = rustix::process::getuid().as_raw();
        assert_eq!(diagnosis.owner(address, server), Some(own));
        // The listener has that port too, and is not the connection.
        let mut other = address;
        other.set_port(1);
        assert_eq!(diagnosis.owner(server, other), None);
        // Once nobody has the socket, the kernel calls it root's.
        let (accepted, _) = listener.accept().unwrap();
        drop(client);
        assert_eq!(diagnosis.owner(address, server), None);
        drop(accepted);
    }

    /// As Java opens them.
    #[test]
    fn an_ipv6_socket_that_speaks_ipv4_has_an_owner() {
        use super::super::super::sock_diag::SockDiag;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mapped = core::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let client = std::net::TcpStream::connect((mapped, port)).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        let owner = SockDiag::open()
            .unwrap()
            .owner(peer, accepted.local_addr().unwrap());
        assert_eq!(owner, Some(rustix::process::getuid().as_raw()));
        drop(client);
    }
}

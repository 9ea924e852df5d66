use core::fmt;
use core::net::SocketAddr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use mio::event::Source;
use mio::{Interest, Registry, Token, net};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustls::ServerConfig;

use super::stream::Socket;

/// A socket that connections come in by, and what holds for them.
pub struct Listener {
    socket: Listening,
    name: String,
    tls: Option<Arc<ServerConfig>>,
    allowed_uids: Option<Vec<u32>>,
    hop_limit: Option<u8>,
    /// Is removed with the listener, if the listener made it.
    _path: Option<SocketPath>,
}

enum Listening {
    Tcp(net::TcpListener),
    Unix(net::UnixListener),
}

/// How many connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 256;

impl Listener {
    /// A TCP socket that listens already.
    ///
    /// # Errors
    /// What the system says, if the socket cannot be made non-blocking.
    pub fn tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        // Accepted sockets inherit it: one call less for each of them.
        sockopt::set_tcp_nodelay(&listener, true)?;
        Ok(Self::new(Listening::Tcp(net::TcpListener::from_std(
            listener,
        ))))
    }

    /// A Unix socket that listens already.
    ///
    /// # Errors
    /// What the system says, if the socket cannot be made non-blocking.
    pub fn unix(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::new(Listening::Unix(net::UnixListener::from_std(
            listener,
        ))))
    }

    /// Listens at an address; at port 0 the system chooses one.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind_tcp(address: SocketAddr) -> io::Result<Self> {
        Self::tcp(std::net::TcpListener::bind(address)?)
    }

    /// Makes a socket with these permissions and listens at it. A socket that nobody listens at any more is
    /// replaced. It is removed with the listener.
    ///
    /// # Errors
    /// What the system says; `AddrInUse` if somebody listens there, or something else is in the place.
    pub fn bind_unix(path: &Path, mode: u32) -> io::Result<Self> {
        if let Ok(found) = fs::symlink_metadata(path) {
            let is_left_behind = found.file_type().is_socket()
                && UnixStream::connect(path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !is_left_behind {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            fs::remove_file(path)?;
        }
        let socket = unix_socket()?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        let guard = SocketPath::new(path)?;
        // Nobody can connect before it listens: at no time does it have other permissions than these.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        rustix::net::listen(&socket, BACKLOG)?;
        let mut listener = Self::unix(UnixListener::from(socket))?;
        listener._path = Some(guard);
        Ok(listener)
    }

    fn new(socket: Listening) -> Self {
        Self {
            socket,
            name: String::new(),
            tls: None,
            allowed_uids: None,
            hop_limit: None,
            _path: None,
        }
    }

    /// Gives it a name, for errors.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// Speaks TLS on its connections.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Refuses programs of other users than these, and those whose user cannot be found out.
    #[must_use]
    pub fn with_allowed_uids(mut self, uids: Vec<u32>) -> Self {
        self.allowed_uids = Some(uids);
        self
    }

    /// Sends with this time to live (IPv4) or hop limit (IPv6), over TCP.
    #[must_use]
    pub fn with_hop_limit(mut self, hops: u8) -> Self {
        self.hop_limit = Some(hops);
        self
    }

    /// What it was named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens; `None` for a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Listening::Tcp(socket) => socket.local_addr().ok(),
            Listening::Unix(_) => None,
        }
    }

    pub(super) fn tls(&self) -> Option<&Arc<ServerConfig>> {
        self.tls.as_ref()
    }

    pub(super) fn allowed_uids(&self) -> Option<&[u32]> {
        self.allowed_uids.as_deref()
    }

    /// Readies it for accepting. The hop limit is set here, too, so that it holds for the very first
    /// packet of a connection, which the kernel sends before anybody accepts.
    pub(super) fn start(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.limit_hops(self.socket.as_fd())?;
        self.source().register(registry, token, Interest::READABLE)
    }

    pub(super) fn end(mut self, registry: &Registry) {
        // It is closed right after.
        let _ = self.source().deregister(registry);
    }

    pub(super) fn accept(&self) -> io::Result<Socket> {
        let socket = match &self.socket {
            Listening::Tcp(listener) => Socket::Tcp(listener.accept()?.0),
            Listening::Unix(listener) => Socket::Unix(listener.accept()?.0),
        };
        // It is the connection that fails here, not the listener.
        let aborted = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
        self.limit_hops(socket.as_fd()).map_err(aborted)?;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        if let Socket::Tcp(socket) = &socket {
            socket.set_nodelay(true).map_err(aborted)?;
        }
        Ok(socket)
    }

    /// Whether there is somebody to accept.
    pub(super) fn somebody_waits(&self) -> bool {
        let mut asked = [PollFd::new(&self.socket, PollFlags::IN)];
        // What cannot be found out, accepting finds out.
        rustix::event::poll(&mut asked, Some(&Timespec::default())) != Ok(0)
    }

    /// A connection's socket, as the server gets it.
    #[cfg(test)]
    pub(super) fn accepted(&self, address: SocketAddr) -> Socket {
        let connect = SocketAddr::new(loopback(address), address.port());
        let _client = std::net::TcpStream::connect(connect).expect("it listens");
        loop {
            match self.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                accepted => return accepted.expect("it accepts"),
            }
        }
    }

    fn limit_hops(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        let (Some(hops), Some(address)) = (self.hop_limit, self.local_addr()) else {
            return Ok(());
        };
        if address.is_ipv6() {
            sockopt::set_ipv6_unicast_hops(socket, Some(hops))?;
            // Of IPv4 clients, unless the socket is for IPv6 alone.
            match sockopt::set_ip_ttl(socket, hops.into()) {
                Err(error) if error != Errno::NOPROTOOPT => Err(error.into()),
                _ => Ok(()),
            }
        } else {
            Ok(sockopt::set_ip_ttl(socket, hops.into())?)
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Listening::Tcp(socket) => socket,
            Listening::Unix(socket) => socket,
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("name", &self.name)
            .field("address", &self.local_addr())
            .field("tls", &self.tls.is_some())
            .field("allowed_uids", &self.allowed_uids)
            .field("hop_limit", &self.hop_limit)
            .finish()
    }
}

#[cfg(test)]
fn loopback(address: SocketAddr) -> core::net::IpAddr {
    match address {
        SocketAddr::V4(_) => [127, 0, 0, 1].into(),
        SocketAddr::V6(_) => core::net::Ipv6Addr::LOCALHOST.into(),
    }
}

/// A socket that no program inherits.
fn unix_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::empty();
    #[cfg(not(target_vendor = "apple"))]
    let flags = flags | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    #[cfg(target_vendor = "apple")]
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    Ok(socket)
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

/// Removes a socket from the file system, if it is still the one that was made.
struct SocketPath {
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl SocketPath {
    fn new(path: &Path) -> io::Result<Self> {
        let made = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.into(),
            device_and_inode: (made.dev(), made.ino()),
        })
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| (found.dev(), found.ino()) == self.device_and_inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

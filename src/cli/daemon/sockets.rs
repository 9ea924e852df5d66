//! Sockets that the service manager has opened (sd_listen_fds(3)).

use std::borrow::ToOwned as _;
use std::format;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::process;
use std::string::{String, ToString as _};
use std::vec::Vec;

use listenfd::ListenFd;

use crate::backend::secret::Environment;
use crate::cli::error::CliError;

/// A socket that was handed over.
#[derive(Debug)]
pub struct Activated {
    /// What `FileDescriptorName=` says.
    pub name: String,
    /// The socket.
    pub socket: Socket,
}

/// What listens.
#[derive(Debug)]
pub enum Socket {
    /// On an address.
    Tcp(TcpListener),
    /// On a path.
    Unix(UnixListener),
}

/// Takes what was handed to this process. Once, before there is a second thread: it removes the variables
/// that tell of it.
///
/// # Errors
/// [`CliError`] if something else was handed over than sockets that listen.
pub fn take(environment: &dyn Environment) -> Result<Vec<Activated>, CliError> {
    let text = |name| {
        environment
            .var(name)
            .and_then(|value| value.into_string().ok())
    };
    if text("LISTEN_PID") != Some(process::id().to_string()) {
        return Ok(Vec::new());
    }
    let names = text("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut descriptors = ListenFd::from_env();
    let taken = (0..descriptors.len()).map(|index| {
        let name = names.next().unwrap_or_default().to_owned();
        let socket = take_one(&mut descriptors, index).ok_or_else(|| {
            CliError::usage(
                format!(
                    "the socket `{name}` that the service manager has opened is not a stream socket"
                ),
                "ListenStream= in the socket unit opens one, with Accept=no",
            )
        })?;
        Ok(Activated { name, socket })
    });
    taken.collect()
}

fn take_one(descriptors: &mut ListenFd, index: usize) -> Option<Socket> {
    // Each leaves what is not of its kind to the next.
    if let Ok(Some(listener)) = descriptors.take_tcp_listener(index) {
        return Some(Socket::Tcp(listener));
    }
    let listener = descriptors.take_unix_listener(index).ok().flatten()?;
    Some(Socket::Unix(listener))
}

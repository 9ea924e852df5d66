//! Sockets that the service manager has opened, each for what its name says.

use core::net::SocketAddr;
use std::format;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use crate::cli::daemon::{Activated, Socket};
use crate::cli::error::CliError;

/// They take the place of the addresses that are configured.
#[derive(Default)]
pub struct Handed {
    container: Vec<(SocketAddr, TcpListener)>,
    /// The identity's name, if it is said.
    imds: Vec<(Option<String>, SocketAddr, TcpListener)>,
    unix: Option<(PathBuf, UnixListener)>,
    is_any: bool,
}

impl Handed {
    /// Sorts them by their names.
    ///
    /// # Errors
    /// [`CliError`] if one has another name, or is of another kind than its name says.
    pub fn new(sockets: Vec<Activated>) -> Result<Self, CliError> {
        let mut all = Self {
            is_any: !sockets.is_empty(),
            ..Self::default()
        };
        for Activated { name, socket } in sockets {
            let wrong = |what: &str| {
                CliError::usage(
                    format!(
                        "the service manager has opened a socket with the name `{name}`: {what}"
                    ),
                    "FileDescriptorName= of the socket unit is container or imds (imds-NAME for one of \
                     several identities) with an address, or unix with a path",
                )
            };
            match (name.as_str(), socket) {
                ("unix", Socket::Unix(listener)) if all.unix.is_none() => {
                    let address = listener.local_addr().ok();
                    let path = address.and_then(|address| Some(address.as_pathname()?.into()));
                    let path = path.ok_or_else(|| wrong("it has no path"))?;
                    all.unix = Some((path, listener));
                }
                ("unix", Socket::Unix(_)) => return Err(wrong("one is enough")),
                (known, Socket::Tcp(listener)) => {
                    let address = listener.local_addr();
                    let address = address.map_err(|_| wrong("it has no address"))?;
                    match (known, known.strip_prefix("imds-")) {
                        ("container", _) => all.container.push((address, listener)),
                        ("imds", _) => all.imds.push((None, address, listener)),
                        (_, Some(identity)) => {
                            all.imds.push((Some(identity.into()), address, listener));
                        }
                        _ => return Err(wrong("that says nothing about what is spoken there")),
                    }
                }
                _ => return Err(wrong("that is not for a socket with a path")),
            }
        }
        Ok(all)
    }

    /// Whether there are any.
    pub fn is_any(&self) -> bool {
        self.is_any
    }

    /// Where the container's endpoint is.
    pub fn container(&self) -> Vec<SocketAddr> {
        self.container.iter().map(|(address, _)| *address).collect()
    }

    /// Where IMDS is, and of which identity.
    pub fn imds(&self) -> impl Iterator<Item = (Option<&str>, SocketAddr)> {
        let imds = self.imds.iter();
        imds.map(|(identity, address, _)| (identity.as_deref(), *address))
    }

    /// The path of the Unix socket.
    pub fn unix_path(&self) -> Option<PathBuf> {
        self.unix.as_ref().map(|(path, _)| path.clone())
    }

    /// The socket at an address.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let is_it = |known: SocketAddr| known == address;
        if let Some(index) = self.container.iter().position(|(known, _)| is_it(*known)) {
            return Some(self.container.swap_remove(index).1);
        }
        let index = self.imds.iter().position(|(_, known, _)| is_it(*known))?;
        Some(self.imds.swap_remove(index).2)
    }

    /// The Unix socket.
    pub fn take_unix(&mut self) -> Option<UnixListener> {
        self.unix.take().map(|(_, listener)| listener)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(name: &str) -> Activated {
        Activated {
            name: name.into(),
            socket: Socket::Tcp(TcpListener::bind("127.0.0.1:0").unwrap()),
        }
    }

    fn unix(name: &str, folder: &tempfile::TempDir) -> Activated {
        Activated {
            name: name.into(),
            socket: Socket::Unix(UnixListener::bind(folder.path().join(name)).unwrap()),
        }
    }

    #[test]
    fn names_say_what_is_spoken() {
        let folder = tempfile::tempdir().unwrap();
        let sockets = [
            tcp("container"),
            tcp("imds"),
            tcp("imds-hub"),
            unix("unix", &folder),
        ];
        let mut handed = Handed::new(Vec::from(sockets)).unwrap();
        assert!(handed.is_any());
        let imds: Vec<_> = handed
            .imds()
            .map(|(name, _)| name.map(String::from))
            .collect();
        assert_eq!(imds, [None, Some("hub".into())]);
        assert_eq!(handed.unix_path(), Some(folder.path().join("unix")));
        for address in handed.container() {
            let listener = handed.take(address).unwrap();
            assert_eq!(listener.local_addr().unwrap(), address);
            assert!(handed.take(address).is_none());
        }
        assert!(handed.take_unix().is_some());
        assert!(!Handed::new(Vec::new()).unwrap().is_any());
    }

    #[test]
    fn other_names_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for socket in [tcp("keystead.socket"), tcp("unix"), unix("imds", &folder)] {
            let error = Handed::new(Vec::from([socket])).err().unwrap();
            assert!(error.remedy.contains("FileDescriptorName="), "{error}");
        }
    }
}

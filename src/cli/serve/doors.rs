//! From the plan to sockets that listen, each with what is behind it.

use core::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;
use std::{format, fs, io, vec};

use rustix::fs::Gid;
use rustls::ServerConfig;

use super::handed::Handed;
use super::plan::ServePlan;
use super::tls;
use crate::cli::daemon::is_remote;
use crate::cli::error::{CliError, Exit};
use crate::output::http::Listener;
use crate::output::serve::{Door, Gives, Hosts};

/// A socket that listens, and what it is for.
pub struct Open {
    /// The socket.
    pub listener: Listener,
    /// What is behind it.
    pub door: Door,
    /// How clients reach it.
    pub place: Place,
}

/// How clients reach a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `http://127.0.0.1:9912`, without a slash at the end.
    Url(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Opens everything that is planned, unless it was handed over open.
///
/// # Errors
/// [`CliError`] if an address is taken, or a file is wrong.
pub fn open(plan: &ServePlan, mut handed: Handed) -> Result<Vec<Open>, CliError> {
    let tls = match &plan.tls {
        Some((certificate, key)) => Some(tls::config(certificate, key)?),
        None => None,
    };
    let mut all = vec![];
    for &address in &plan.container {
        let listener = bind(address, "the container endpoint", "--listen", &mut handed)?;
        let listener = match plan.hops {
            Some(hops) => listener.with_hop_limit(hops),
            None => listener,
        };
        all.push(container(listener, address, tls.as_ref(), plan));
    }
    if let Some(path) = &plan.socket {
        all.push(Open {
            listener: restricted(unix(path, plan, &mut handed)?, plan),
            door: Door {
                gives: Gives::Container,
                hosts: None,
                is_remote: false,
            },
            place: Place::Unix(path.clone()),
        });
    }
    for imds in &plan.imds {
        let flag = if plan.drop_in { "--port" } else { "--imds" };
        let listener =
            bind(imds.address, "IMDS", flag, &mut handed)?.with_hop_limit(plan.imds_hops);
        let address = listener.local_addr().unwrap_or(imds.address);
        all.push(Open {
            door: Door {
                gives: Gives::Imds {
                    identity: imds.identity,
                },
                hosts: Some(Hosts::new(Some(address.ip()), &plan.hosts)),
                is_remote: false,
            },
            listener: restricted(listener, plan),
            place: Place::Url(format!("http://{address}")),
        });
    }
    Ok(all)
}

fn container(
    listener: Listener,
    address: SocketAddr,
    tls: Option<&Arc<ServerConfig>>,
    plan: &ServePlan,
) -> Open {
    let address = listener.local_addr().unwrap_or(address);
    let listener = restricted(listener, plan);
    match tls {
        Some(tls) if is_remote(address.ip()) => Open {
            listener: listener.with_tls(tls.clone()),
            door: Door {
                gives: Gives::Container,
                hosts: None,
                is_remote: true,
            },
            place: Place::Url(match plan.hosts.first() {
                Some(name) => format!("https://{name}:{}", address.port()),
                None => format!("https://{address}"),
            }),
        },
        _ => Open {
            listener,
            door: Door {
                gives: Gives::Container,
                hosts: Some(Hosts::new(Some(address.ip()), &plan.hosts)),
                is_remote: false,
            },
            place: Place::Url(format!("http://{address}")),
        },
    }
}

fn restricted(listener: Listener, plan: &ServePlan) -> Listener {
    match &plan.allow_uids {
        Some(uids) => listener.with_allowed_uids(uids.clone()),
        None => listener,
    }
}

fn bind(
    address: SocketAddr,
    what: &str,
    flag: &str,
    handed: &mut Handed,
) -> Result<Listener, CliError> {
    let listener = match handed.take(address) {
        Some(socket) => Listener::tcp(socket),
        None => Listener::bind_tcp(address),
    };
    let listener = listener.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("another program listens there; {flag} gives another address")
            }
            io::ErrorKind::AddrNotAvailable => {
                let prefix = if address.is_ipv6() { 128 } else { 32 };
                let ip = address.ip();
                format!("give it to an interface: `ip address add {ip}/{prefix} dev lo`")
            }
            io::ErrorKind::PermissionDenied => {
                String::from("ports below 1024 need CAP_NET_BIND_SERVICE")
            }
            _ => String::new(),
        };
        let what = format!("{what} cannot be at {address}: {error}");
        CliError::new(Exit::Internal, what, remedy)
    })?;
    Ok(listener.named(what))
}

/// A socket for this user, and for the members of the token's group. Who hands one over has said whose it is.
fn unix(path: &Path, plan: &ServePlan, handed: &mut Handed) -> Result<Listener, CliError> {
    let group = plan.token.as_ref().and_then(|token| token.group);
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    let listener = match handed.take_unix() {
        Some(socket) => Listener::unix(socket),
        None => Listener::bind_unix(path, mode).and_then(|listener| {
            if let Some(group) = group
                && fs::symlink_metadata(path)?.gid() != group
            {
                rustix::fs::chown(path, None, Some(Gid::from_raw(group)))?;
            }
            Ok(listener)
        }),
    };
    let listener = listener.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program listens there, or something else is in the place"
            }
            _ => "--socket PATH names another place",
        };
        let what = format!("the socket {} cannot be made: {error}", path.display());
        CliError::new(Exit::Internal, what, remedy)
    })?;
    Ok(listener.named("the Unix socket"))
}

//! A local double of the AWS services that keystead talks to: `CreateSession` of IAM Roles Anywhere,
//! STS `GetCallerIdentity`, and S3, all on one port of the loopback interface.
//!
//! It verifies what AWS verifies, with [roles, profiles, trust anchors and policies](Config) of its
//! own, and accepts only credentials that it issued itself. Where AWS's behaviour is not known, the
//! modules say what was chosen.

pub mod account;
mod answer;
mod authorization;
mod client_files;
mod clock;
mod config;
mod create_session;
pub mod device;
mod exchange;
mod faults;
mod policy;
mod record;
mod s3;
mod server;
mod sessions;
mod sts;
mod tls;
mod xml;

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::AtomicU64;
use std::format;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::string::String;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::vec::Vec;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use self::record::Record;
use self::s3::S3;
use self::server::Server;
use self::tls::Tls;
use crate::core::time::Clock as _;

pub use self::authorization::Authorization;
pub use self::client_files::ClientFiles;
pub use self::clock::SandboxClock;
pub use self::config::{Config, ConfigError, Scheme};
pub use self::faults::{Fault, Faults, InvalidFault, ScheduledFault};
pub use self::policy::{Decision, Policy, PolicyError};
pub use self::record::{Observer, Recorded, Service};

/// The sandbox, before it runs.
pub struct Sandbox;

/// A sandbox that runs on a thread of its own until this value is dropped.
pub struct Running {
    address: SocketAddr,
    server: Arc<Server>,
    /// PEM, with HTTPS.
    ca_pem: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Removed with everything in it when the sandbox ends.
    _temporary: Option<TempDir>,
}

/// Why a sandbox does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address is not on the loopback interface: others could reach it.
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// A bucket's directory cannot be made.
    Bucket(PathBuf, io::Error),
    /// The directory for objects cannot be used.
    Storage(String),
    /// The server's own certificate cannot be made.
    Tls(String),
    /// The authority that is to be the trust anchor, or the device's certificate.
    Authority(String),
    /// A file for clients cannot be written.
    Write(PathBuf, io::Error),
    /// The system refuses a thread, a temporary directory or the like.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoopback(address) => write!(
                f,
                "{address} is not a loopback address; the sandbox listens on 127.0.0.1 or ::1 only"
            ),
            Self::Listen(address, error) => write!(f, "{address} cannot be listened on: {error}"),
            Self::Bucket(path, error) => {
                write!(f, "the bucket {} cannot be made: {error}", path.display())
            }
            Self::Storage(error) => write!(f, "the directory for objects: {error}"),
            Self::Authority(error) => f.write_str(error),
            Self::Write(path, error) => write!(f, "{} cannot be written: {error}", path.display()),
            Self::Tls(error) => write!(f, "the server's certificate cannot be made: {error}"),
            Self::System(error) => write!(f, "the sandbox cannot start: {error}"),
        }
    }
}

impl core::error::Error for StartError {}

impl Sandbox {
    /// Starts a sandbox; when this returns, it answers.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(config: Config) -> Result<Running, StartError> {
        if !config.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(config.listen));
        }
        let (root, temporary) = match &config.storage {
            Some(path) => (path.clone(), None),
            None => {
                let directory =
                    TempDir::with_prefix("keystead-sandbox-").map_err(StartError::System)?;
                (directory.path().to_path_buf(), Some(directory))
            }
        };
        for bucket in &config.buckets {
            let path = root.join(bucket);
            std::fs::create_dir_all(&path).map_err(|error| StartError::Bucket(path, error))?;
        }
        let listen_error = |error| StartError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        listener.set_nonblocking(true).map_err(listen_error)?;

        let tls = match config.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Tls::new(address, SandboxClock::system().now())?),
        };
        let (acceptor, ca_pem) = tls.map(|tls| (tls.acceptor, tls.ca_pem)).unzip();
        let sessions = Arc::default();
        let s3 = S3::new(
            &root,
            &config.account.region,
            Arc::clone(&sessions),
            config.clock.clone(),
        )
        .map_err(|error| StartError::Storage(format!("{error:?}")))?;
        let server = Arc::new(Server {
            record: Record::new(config.observer.clone()),
            config,
            sessions,
            s3,
            request_count: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let thread =
            spawn(server.clone(), listener, acceptor, stopped).map_err(StartError::System)?;
        Ok(Running {
            address,
            server,
            ca_pem,
            stop: Some(stop),
            thread: Some(thread),
            _temporary: temporary,
        })
    }
}

fn spawn(
    server: Arc<Server>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    stop: oneshot::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = {
        let _context = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let name = "keystead-sandbox".into();
    thread::Builder::new()
        .name(name)
        .spawn(move || runtime.block_on(server.run(listener, tls, stop)))
}

impl Running {
    /// The URL of all services: what `AWS_ENDPOINT_URL` takes.
    pub fn url(&self) -> String {
        let scheme = match self.server.config.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        format!("{scheme}://{}", self.address)
    }

    /// The certificate that clients have to trust, PEM: what the file of `AWS_CA_BUNDLE` holds.
    /// `None` over plain HTTP.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// What the sandbox was started with; its clock and its faults can be changed while it runs.
    pub fn config(&self) -> &Config {
        &self.server.config
    }

    /// The last 10,000 requests, in the order in which they were answered.
    pub fn requests(&self) -> Vec<Recorded> {
        self.server.record.all()
    }

    /// Those of them that were for `CreateSession`.
    pub fn session_requests(&self) -> Vec<Recorded> {
        let mut requests = self.requests();
        requests.retain(|request| request.service == Service::RolesAnywhere);
        requests
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

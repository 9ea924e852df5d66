//! The endpoint that is there for one command: on a port of its own, with a token of its own, for as long
//! as the command runs.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};
use std::boxed::Box;
use std::format;
use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::vec;

use ring::error::Unspecified;
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::super::context::Context;
use super::super::error::{CliError, Exit};
use super::super::plan::{self, Plan};
use crate::host::clock::HostClock;
use crate::host::refresh::Refresher;
use crate::output::http::{Limits, Listener, Server, Waker};
use crate::output::serve::{
    Authorization, Door, Gives, Hosts, Served, Site, container_path, new_token,
};

/// The endpoint.
pub struct Endpoint {
    waker: Waker,
    thread: Option<JoinHandle<()>>,
    url: String,
    token: Zeroizing<String>,
    token_file: PathBuf,
    /// Is removed with the endpoint.
    _folder: TempDir,
}

impl Endpoint {
    /// Serves the credentials of `refresher`, which is called `name`, on the loopback interface.
    ///
    /// # Errors
    /// [`CliError`] if the system refuses.
    pub fn start(
        name: &str,
        refresher: &Refresher,
        clock: Arc<HostClock>,
        plan: &Plan,
        context: &Context<'_>,
    ) -> Result<Self, CliError> {
        let refused = |error: &dyn fmt::Display| {
            let what = format!("no endpoint can be opened for the command: {error}");
            CliError::new(Exit::Internal, what, "")
        };
        let no_random = |_: Unspecified| refused(&"the system gives no random numbers");
        let failed = |error: io::Error| refused(&error);
        let token = new_token().map_err(no_random)?;
        let (folder, token_file) = keep(&token, context).map_err(failed)?;
        let listener = Listener::bind_tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.map_err(failed)?.named("exec");
        let mut server = Server::new(vec![listener], Limits::default()).map_err(failed)?;
        let address = server
            .local_addr(0)
            .ok_or_else(|| refused(&"it has no address"))?;
        let role = String::from(plan.session.arns.role().as_str());
        let region = plan.session.region.clone();
        let door = Door {
            gives: Gives::Container,
            hosts: Some(Hosts::new(Some(address.ip()), &[])),
            is_remote: false,
        };
        let authorization = Authorization::new(&token).map_err(no_random)?;
        let waker = server.waker();
        let woken = waker.clone();
        refresher.on_change(Box::new(move || woken.wake()));
        let (identity, refresher) = (String::from(name), refresher.clone());
        let serve = move || {
            let served = Served::new(identity, role, region, Box::new(refresher));
            let site = Site::new(vec![served], vec![door], authorization, clock);
            // Without an endpoint the command finds no credentials, and says so.
            if let Ok(mut site) = site {
                let _ = server.run(&mut site);
            }
        };
        let thread = thread::Builder::new()
            .name("endpoint".to_string())
            .spawn(serve)
            .map_err(failed)?;
        Ok(Self {
            waker,
            thread: Some(thread),
            url: format!("http://{address}{}", container_path(name)),
            token,
            token_file,
            _folder: folder,
        })
    }

    /// The variables by which SDKs find it. The token is there twice: AWS's command line before 2.15, s5cmd
    /// and others do not know of the file.
    pub fn variables(&self) -> [(&'static str, &std::ffi::OsStr); 3] {
        [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.url.as_ref()),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                self.token_file.as_os_str(),
            ),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                self.token.as_str().as_ref(),
            ),
        ]
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.waker.stop();
        if let Some(thread) = self.thread.take() {
            // Whatever it ended with, nobody is left to be told.
            let _ = thread.join();
        }
    }
}

/// Keeps the token in a file that is the user's alone, if possible in memory.
fn keep(token: &str, context: &Context<'_>) -> io::Result<(TempDir, PathBuf)> {
    let folder = |name| plan::first(&context.environment.var(name)?);
    let bases = [folder("XDG_RUNTIME_DIR"), folder("RUNTIME_DIRECTORY")];
    let mut builder = tempfile::Builder::new();
    builder
        .prefix("keystead-exec-")
        .permissions(Permissions::from_mode(0o700));
    let mut made = None;
    for base in bases
        .into_iter()
        .flatten()
        .filter(|base| base.is_absolute())
    {
        if let Ok(folder) = builder.tempdir_in(base) {
            made = Some(folder);
            break;
        }
    }
    let folder = match made {
        Some(folder) => folder,
        None => builder.tempdir()?,
    };
    let path = folder.path().join("token");
    let mut options = OpenOptions::new();
    // Without a line end: some SDKs send the file as it is.
    options.write(true).create_new(true).mode(0o600);
    options.open(&path)?.write_all(token.as_bytes())?;
    Ok((folder, path))
}

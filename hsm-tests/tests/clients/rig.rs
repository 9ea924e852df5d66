//! A sandbox over HTTP, a developer's identity in files, and what stands between them and a client.

use std::collections::BTreeSet;
use std::time::Duration;

use hsm_tests::{Device, Lab, program};
use keystead::ca::KeyType;
use keystead::sandbox::{Fault, Recorded, ScheduledFault, Scheme, Service};
use tempfile::TempDir;

use crate::client::{Client, Running};
use crate::output::Outlet;

/// The ready-made bucket.
pub const BUCKET: &str = "sensor-logs";

/// The identity in keystead.toml, and the profile in ~/.aws/config.
pub const IDENTITY: &str = "developer";

/// One test's sandbox and identity.
pub struct Rig {
    pub lab: Lab,
    device: Device,
    /// On a memory file system, as `$XDG_RUNTIME_DIR` is.
    memory: TempDir,
}

impl Rig {
    pub fn new() -> Self {
        // The clients' own TLS is not the subject, and rclone 1.60 fails with AWS_CA_BUNDLE.
        let mut lab = Lab::over(Scheme::Http);
        let device = lab.device("laptop", KeyType::P256);
        lab.configure(&device);
        lab.write("reading", "21.5");
        let memory = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written to");
        Self {
            lab,
            device,
            memory,
        }
    }

    /// Lets sessions that begin from now on live for so long, and ends an outage.
    pub fn sessions_of(&self, life: Duration) {
        self.lab.sandbox.config().faults.clear();
        self.befall(Fault::Expire(life));
    }

    /// No session can be had from now on.
    pub fn begin_outage(&self) {
        self.befall(Fault::Status(503));
    }

    fn befall(&self, fault: Fault) {
        self.lab.sandbox.config().faults.add(ScheduledFault {
            service: Some(Service::RolesAnywhere),
            ..fault.always()
        });
    }

    /// Files, endpoint and ARNs of the identity, as words.
    pub fn identity(&self) -> [String; 7] {
        let account = self.lab.account();
        let device = &self.device;
        let path = |path: &std::path::Path| path.display().to_string();
        [
            path(&device.certificate),
            path(&device.key),
            path(&device.intermediates),
            self.lab.sandbox.url(),
            account.trust_anchor_arn("devices"),
            account.profile_arn("developer"),
            account.role_arn("Developer"),
        ]
    }

    /// Starts a client.
    pub fn start(&self, client: Client, outlet: &Outlet) -> Running {
        let mut arguments = outlet.arguments(client, self).into_iter();
        let mut command = program::command(arguments.next().expect("a program"));
        command.args(arguments);
        self.surround(&mut command);
        command
            .envs(client.variables(self))
            .envs(outlet.variables(client));
        Running::start(command, client, self)
    }

    /// The environment of every program here.
    pub fn surround(&self, command: &mut std::process::Command) {
        let lab = &self.lab;
        let region = &lab.account().region;
        command
            .current_dir(lab.folder())
            .env("HOME", lab.folder())
            .env("XDG_RUNTIME_DIR", self.memory.path())
            .env("AWS_ENDPOINT_URL", lab.sandbox.url())
            .env("AWS_REGION", region)
            .env("AWS_DEFAULT_REGION", region)
            .env("AWS_EC2_METADATA_DISABLED", "true");
    }

    /// The uploads of a client that succeeded, oldest first.
    pub fn uploads(&self, client: Client) -> Vec<Recorded> {
        let mut requests = self.lab.sandbox.requests();
        let folder = format!("/{BUCKET}/{client}/");
        requests.retain(|request| {
            request.method == "PUT"
                && request.target.starts_with(&folder)
                && request.status == Some(200)
        });
        requests
    }

    /// The access keys that a client uploaded with.
    pub fn access_keys(&self, client: Client) -> BTreeSet<String> {
        let uploads = self.uploads(client);
        uploads.iter().map(access_key).collect()
    }

    /// How many requests for a session the service has answered with this status.
    pub fn sessions(&self, status: u16) -> usize {
        let requests = self.lab.sandbox.session_requests();
        let answered = requests
            .iter()
            .filter(|request| request.status == Some(status));
        answered.count()
    }

    /// Asserts that S3 had no reason to refuse a request for its credentials.
    pub fn assert_nothing_refused(&self) {
        let mut requests = self.lab.sandbox.requests();
        requests.retain(|request| {
            request.service == Service::S3 && matches!(request.status, Some(400..=403))
        });
        assert!(requests.is_empty(), "{requests:?}");
    }
}

/// The access key of a signed request.
fn access_key(request: &Recorded) -> String {
    let authorization = request.header("authorization").unwrap_or_default();
    let (_, credential) = authorization.split_once("Credential=").unwrap_or_default();
    credential.split('/').next().unwrap_or_default().to_owned()
}

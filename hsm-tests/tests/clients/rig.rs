//! A sandbox over HTTP, a developer's identity in files, and what stands between them and a client.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use hsm_tests::{Lab, program};
use keystead::ca::KeyType;
use keystead::sandbox::{Fault, Recorded, ScheduledFault, Service};
use tempfile::TempDir;

use crate::client::{Client, Running};
use crate::output::Output;

/// The ready-made bucket.
pub const BUCKET: &str = "sensor-logs";

/// How long sessions from the cache have to live: five seconds less than they do, so that new ones are asked
/// for every five seconds, and enough for clients to go on without while there are none.
const MIN_LIFE: &str = "175s";

/// One test's sandbox and identity.
pub struct Rig {
    pub lab: Lab,
    /// Where sessions are kept: on a memory file system, as `$XDG_RUNTIME_DIR` is.
    memory: TempDir,
}

impl Rig {
    pub fn new() -> Self {
        // The clients' own TLS is not the subject, and rclone 1.60 fails with AWS_CA_BUNDLE.
        let mut lab = Lab::over(keystead::sandbox::Scheme::Http);
        let device = lab.device("laptop", KeyType::P256);
        lab.configure(&device);
        lab.write("reading", "21.5");
        let memory = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written to");
        Self { lab, memory }
    }

    /// Lets sessions that begin from now on live for so long.
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

    /// Starts a client.
    pub fn start(&self, client: Client, output: Output) -> Running {
        let mut arguments = client.arguments(self).into_iter();
        let mut command = program::command(arguments.next().expect("a program"));
        command.args(arguments);
        self.surround(&mut command, client, output);
        Running::start(command, client, self)
    }

    fn surround(&self, command: &mut Command, client: Client, output: Output) {
        let lab = &self.lab;
        let region = &lab.account().region;
        command
            .current_dir(lab.folder())
            .env("HOME", lab.folder())
            .env("XDG_RUNTIME_DIR", self.memory.path())
            .env("AWS_ENDPOINT_URL", lab.sandbox.url())
            .env("AWS_REGION", region)
            .env("AWS_DEFAULT_REGION", region)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(client.variables(self));
        match output {
            Output::CredentialProcess => {
                command
                    .env("AWS_PROFILE", "developer")
                    .env("KEYSTEAD_CACHE_MIN_LIFE", MIN_LIFE)
                    // Without it the AWS SDK for Go, version 1, reads no ~/.aws/config.
                    .env("AWS_SDK_LOAD_CONFIG", "1");
            }
        }
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

    /// How many requests for a session the service has failed.
    pub fn failed_sessions(&self) -> usize {
        let requests = self.lab.sandbox.session_requests();
        let failed = requests
            .iter()
            .filter(|request| request.status == Some(503));
        failed.count()
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

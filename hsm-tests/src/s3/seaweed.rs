//! SeaweedFS: master, volumes, filer and S3 with its STS, in one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{BUCKET, Keys, Server};
use crate::port::Ports;
use crate::program;

/// How long its start may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The role of who may write.
const ROLE: &str = "arn:aws:iam::role/SensorWriter";

/// Each of its services has a port for HTTP and one for gRPC; in this order.
const SERVICES: [&str; 4] = ["master", "volume", "filer", "s3"];

/// The server. It is killed with this: asked to end, it takes its time.
pub struct Seaweed {
    child: Child,
    ports: Ports,
    owner: Keys,
    writer: Keys,
    folder: TempDir,
}

impl Seaweed {
    /// A new one, with the bucket.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let owner = Keys::fixed("owner");
        let s3 = write(folder.path(), "s3.json", &identities(&owner));
        let iam = write(folder.path(), "iam.json", &roles());
        let objects = folder.path().join("objects");
        fs::create_dir(&objects).expect("folders can be made");
        let ports = Ports::claim(8);
        let mut command = program::command(program::client("weed"));
        command
            .current_dir(folder.path())
            // Without a key of its own it takes no object that is to be encrypted.
            .env("WEED_S3_SSE_KEY", "for tests alone")
            .args([
                "server",
                "-filer",
                "-s3",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
            ])
            .args(["-volume.max=100", "-master.volumeSizeLimitMB=256"])
            .args(["-master.telemetry=false", "-s3.autoCreateBucket=false"])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .arg(format!("-dir={}", objects.display()))
            .arg(format!("-s3.config={}", s3.display()))
            .arg(format!("-s3.iam.config={}", iam.display()));
        for (service, place) in SERVICES.iter().zip((0..).step_by(2)) {
            let (http, grpc) = (ports.at(place), ports.at(place + 1));
            command.arg(format!("-{service}.port={http}"));
            command.arg(format!("-{service}.port.grpc={grpc}"));
        }
        let log = fs::File::create(folder.path().join("log")).expect("a file can be made");
        let child = command
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the program weed starts");
        let mut server = Self {
            child,
            ports,
            writer: owner.clone(),
            owner,
            folder,
        };
        server.prepare();
        server
    }

    /// Makes the bucket as soon as it listens, and gets temporary credentials.
    fn prepare(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let address = ("127.0.0.1", self.port());
        while std::net::TcpStream::connect(address).is_err() {
            let has_ended = self.child.try_wait().expect("it is our child").is_some();
            let is_late = has_ended || Instant::now() > deadline;
            assert!(!is_late, "SeaweedFS does not start\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
        let mut aws = self.aws();
        aws.call(&["s3api", "create-bucket", "--bucket", BUCKET]);
        let assume = [
            "sts",
            "assume-role",
            "--role-session-name",
            "hub",
            "--role-arn",
        ];
        let answer = aws.call(&[&assume[..], &[ROLE]].concat());
        let text = |name: &str| {
            let value = answer["Credentials"][name].as_str();
            value.expect("an answer of STS").to_owned()
        };
        self.writer = Keys {
            access_key: text("AccessKeyId"),
            secret_key: text("SecretAccessKey"),
            token: Some(text("SessionToken")),
        };
    }

    fn port(&self) -> u16 {
        self.ports.at(6)
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Server for Seaweed {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    fn owner(&self) -> &Keys {
        &self.owner
    }

    fn writer(&self) -> &Keys {
        &self.writer
    }
}

impl Drop for Seaweed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // It leaves the sockets of its services behind.
        for (service, place) in SERVICES.iter().zip((0..).step_by(2)) {
            let (http, grpc) = (self.ports.at(place), self.ports.at(place + 1));
            for socket in [
                format!("{service}-{http}"),
                format!("{service}-grpc-{grpc}"),
            ] {
                let _ = fs::remove_file(format!("/tmp/seaweedfs-{socket}.sock"));
            }
        }
    }
}

fn write(folder: &Path, name: &str, document: &Value) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, document.to_string()).expect("a file can be written");
    path
}

fn identities(owner: &Keys) -> Value {
    json!({ "identities": [{
        "name": "owner",
        "credentials": [{ "accessKey": owner.access_key, "secretKey": owner.secret_key }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }] })
}

fn roles() -> Value {
    let allow = |what: Value| json!({ "Version": "2012-10-17", "Statement": [what] });
    let anybody =
        json!({ "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": ["sts:AssumeRole"] });
    let put = json!({
        "Effect": "Allow",
        "Action": ["s3:PutObject"],
        "Resource": [format!("arn:aws:s3:::{BUCKET}/*")],
    });
    json!({
        "sts": {
            "tokenDuration": "1h",
            "maxSessionLength": "12h",
            "issuer": "seaweedfs-sts",
            "signingKey": "Zm9yIHRlc3RzIGFsb25lLCBmb3IgdGVzdHMgYWxvbmU=",
        },
        "policy": { "defaultEffect": "Deny", "storeType": "memory" },
        "roles": [{
            "roleName": "SensorWriter",
            "roleArn": ROLE,
            "trustPolicy": allow(anybody),
            "attachedPolicies": ["PutOnly"],
        }],
        "policies": [{ "name": "PutOnly", "document": allow(put) }],
    })
}

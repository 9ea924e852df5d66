//! A hub and its server in network namespaces of their own, with a link between them that goes down, and names
//! that nobody knows for a while.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use hsm_tests::alone::Surroundings;
use hsm_tests::program::{self, run};
use hsm_tests::s3::S3s;

/// The server's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 8, 1);

/// What runs inside, as root: a process of its own for the test, whose network is its alone.
pub fn surroundings(_folder: &Path) -> Surroundings {
    let words = [
        "unshare",
        "--mount",
        "--net",
        "--propagation",
        "private",
        "--",
    ];
    Surroundings {
        variables: Vec::new(),
        within: words.map(Into::into).into(),
    }
}

/// The link, and the names.
pub struct Network {
    pub server: S3s,
    names: Arc<Mutex<Names>>,
}

/// What becomes of questions for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Every name is the server's.
    Known,
    /// "I cannot tell" (SERVFAIL).
    Failing,
    /// Nobody answers.
    Silent,
}

impl Network {
    /// In the namespaces of a test that runs alone. The link is down.
    pub fn new(folder: &Path) -> Self {
        let server = S3s::start_within(&["unshare", "--net", "--"], Ipv4Addr::UNSPECIFIED);
        let inside = server.id().to_string();
        ip(&["link", "set", "lo", "up"]);
        ip(&[
            "link", "add", "hub", "type", "veth", "peer", "name", "server",
        ]);
        ip(&["link", "set", "server", "netns", &inside]);
        ip(&["address", "add", "10.9.8.2/24", "dev", "hub"]);
        for words in [
            &["address", "add", "10.9.8.1/24", "dev", "server"][..],
            &["link", "set", "server", "up"],
        ] {
            let mut enter = program::command("nsenter");
            enter.args(["--net", "--target", &inside, "--", "ip"]);
            run(enter.args(words)).success();
        }
        let resolver = folder.join("resolv.conf");
        let text = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";
        std::fs::write(&resolver, text).expect("a file can be written");
        let mut mount = program::command("mount");
        run(mount.args([
            "--bind".as_ref(),
            resolver.as_os_str(),
            "/etc/resolv.conf".as_ref(),
        ]))
        .success();
        let names = Arc::new(Mutex::new(Names::Known));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 53)).expect("nobody else is here");
        thread::spawn({
            let names = Arc::clone(&names);
            move || answer(&socket, &names)
        });
        Self { server, names }
    }

    /// Brings the link up or down.
    pub fn link(&self, state: &str) {
        ip(&["link", "set", "hub", state]);
    }

    /// What becomes of questions from now on.
    pub fn names(&self, names: Names) {
        *self.names.lock().expect("nobody panicked") = names;
    }
}

fn ip(words: &[&str]) {
    let mut ip: Command = program::command("ip");
    run(ip.args(words)).success();
}

/// Answers questions for names (RFC 1035, section 4).
fn answer(socket: &UdpSocket, names: &Mutex<Names>) -> io::Result<()> {
    const HEADER: usize = 12;
    let mut message = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut message)?;
        let names = *names.lock().expect("nobody panicked");
        let question = message.get(HEADER..length).unwrap_or_default();
        // The name ends with an empty label; its type and its class follow.
        let name = question.iter().position(|&byte| byte == 0).unwrap_or(0);
        let Some(question) = question.get(..name + 5) else {
            continue;
        };
        if names == Names::Silent {
            continue;
        }
        let is_address = question[name + 1..] == [0, 1, 0, 1];
        let (code, count) = match names {
            Names::Failing => (2, 0),
            _ => (0, u8::from(is_address)),
        };
        let mut reply = message[..2].to_vec();
        reply.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
        reply.extend(question);
        if count == 1 {
            // The question's name, an address, good for no time.
            reply.extend([0xC0, 0x0C, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            reply.extend(SERVER.octets());
        }
        socket.send_to(&reply, from)?;
    }
}

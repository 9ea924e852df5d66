//! OpenSSL's `s_server`, which lets in who shows a certificate of the right authority.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Duration;

use keystead::backend::{BoxedSigner, Identity};
use keystead::ca::{Authority, KeyType, PrivateKey, Template, Usage, Validity, certificate_pem};
use keystead::core::key::Signer as _;
use keystead::tls::ClientCertificate;
use keystead::tls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, Stream, crypto::ring::default_provider,
};
use tempfile::TempDir;

use crate::lab::now;
use crate::program;

/// How long a test waits for the other end before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and the authority that certifies its clients: an intermediate below the one root that the
/// server knows, so that only those get in who send their chain.
pub struct TlsServer {
    root: Authority,
    clients: Authority,
    validity: Validity,
    folder: TempDir,
}

impl TlsServer {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let validity = Validity::starting(now(), Duration::from_secs(3600));
        let name = |name: &str| name.parse().expect("a distinguished name");
        let mut root = Authority::new_in_memory(name("CN=Root"), KeyType::P256, validity)
            .expect("the root can be made");
        let key = PrivateKey::generate(KeyType::P256).expect("a key can be made");
        let clients = root
            .new_intermediate(name("CN=Clients"), &key, validity)
            .expect("the intermediate can be made");
        let names = vec!["dns:localhost".parse().expect("a name")];
        let server = root
            .issue_server(name("CN=server"), names, validity)
            .expect("the server's certificate can be issued");
        let certificate = certificate_pem(&server.chain[0]).expect("it can be written");
        let key = server.key.to_pem().expect("it can be written");
        let anchor = certificate_pem(root.root()).expect("it can be written");
        for (file, contents) in [("server.pem", certificate + &key), ("root.pem", anchor)] {
            std::fs::write(folder.path().join(file), contents).expect("the folder is ours");
        }
        Self {
            root,
            clients,
            validity,
            folder,
        }
    }

    /// A client that the server lets in.
    pub fn client(&mut self, signer: BoxedSigner) -> Arc<ClientCertificate> {
        let client = ClientCertificate::new(self.identity(signer));
        Arc::new(client.expect("TLS has a use for the key"))
    }

    /// An identity whose certificate the server takes.
    pub fn identity(&mut self, signer: BoxedSigner) -> Identity {
        let template = Template::new(
            Usage::Client,
            "CN=hub-17".parse().expect("a distinguished name"),
            self.validity,
        );
        let leaf = self
            .clients
            .certify(&template, signer.public_key())
            .expect("the key can be certified");
        let mut chain = vec![leaf];
        chain.extend_from_slice(self.clients.intermediates());
        Identity::new(chain, signer).expect("the certificate is for the key")
    }

    /// Connects once, says a word and hears it backwards. Gives what the server says about its client,
    /// or why there was no connection. More `arguments` are the server's.
    pub fn meet(&self, client: &Arc<ClientCertificate>, arguments: &[&str]) -> io::Result<String> {
        let server = Running::start(self.folder.path(), arguments);
        let mut roots = RootCertStore::empty();
        let root = self.root.root().to_vec().into();
        roots.add(root).expect("our own root is well-formed");
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS needs")
            .with_root_certificates(roots)
            .with_client_cert_resolver(client.clone());
        let name = "localhost".try_into().expect("a host name");
        let mut connection =
            ClientConnection::new(Arc::new(config), name).expect("it can be set up");
        let mut socket = TcpStream::connect(("127.0.0.1", server.port))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut stream = Stream::new(&mut connection, &mut socket);
        stream.write_all(b"keystead\n")?;
        let mut answer = [0; 9];
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"daetsyek\n");
        connection.send_close_notify();
        connection.complete_io(&mut socket)?;
        Ok(server.finish())
    }
}

impl Default for TlsServer {
    fn default() -> Self {
        Self::new()
    }
}

/// `s_server` for one connection.
struct Running {
    child: Child,
    /// Kept open: it writes to it until its end.
    stdout: BufReader<ChildStdout>,
    port: u16,
}

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = program::command("openssl");
        command
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-naccept",
                "1",
                "-rev",
            ])
            .args([
                "-cert",
                "server.pem",
                "-key",
                "server.pem",
                "-CAfile",
                "root.pem",
            ])
            .args(["-Verify", "2", "-verify_return_error"])
            .args(arguments)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program openssl starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut server = Self {
            child,
            stdout,
            port: 0,
        };
        let mut lines = server.stdout.by_ref().lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            line.strip_prefix("ACCEPT ")?
                .rsplit(':')
                .next()?
                .parse()
                .ok()
        });
        server.port = port.unwrap_or_else(|| panic!("s_server does not start: {}", server.said()));
        server
    }

    /// What it says of its client, once that has gone.
    fn finish(mut self) -> String {
        let said = self.said();
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "{said}");
        said
    }

    fn said(&mut self) -> String {
        let mut said = String::new();
        io::copy(&mut self.stdout, &mut io::sink()).expect("it is a pipe");
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).expect("it speaks UTF-8");
        }
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already unless the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

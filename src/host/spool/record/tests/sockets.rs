//! The socket that records come in by.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use super::super::RecordSocket;
use super::*;

struct Server {
    bell: Arc<Bell>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(socket: RecordSocket, recorder: Recorder, longest: usize) -> Self {
        let bell = Arc::new(Bell::new().unwrap());
        let heard = bell.clone();
        let run = move || socket.run(&recorder, longest, &heard, &Silent);
        Self {
            bell,
            thread: Some(thread::spawn(run)),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.bell.ring();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

#[test]
fn a_socket_answers_when_records_are_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&folder.path().join("spool"));
    let path = folder.path().join("records.sock");
    // One that was left behind is replaced; anything else is not.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let socket = RecordSocket::bind(&path, None).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let taken = RecordSocket::bind(&path, None).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);

    let recorder = recorder(&spool, Options::default());
    let server = Server::start(socket, recorder.clone(), 32);
    let mut peer = UnixStream::connect(&path).unwrap();
    let mut answers = BufReader::new(peer.try_clone().unwrap()).lines();
    peer.write_all(b"{\"a\":1}\n").unwrap();
    let mut next = || answers.next().unwrap().unwrap();
    assert_eq!(next(), r#"{"lines":1,"accepted":1}"#);
    // It is on disk: whoever finds it there after a crash has it.
    assert!(
        fs::read_to_string(open_batch(spool.path()))
            .unwrap()
            .contains("{\"a\":1}\n")
    );
    let long = "x".repeat(40);
    peer.write_all(format!("{{\"a\":\n\"{long}\"\n\n2\n").as_bytes())
        .unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    let rest: Vec<String> = answers.map(Result::unwrap).collect();
    assert_eq!(
        rest.iter()
            .filter(|line| line.contains("error"))
            .collect::<Vec<_>>(),
        [
            r#"{"line":2,"error":"it is not JSON: EOF while parsing a value (byte 5)"}"#,
            r#"{"line":3,"error":"it is longer than 32 bytes"}"#,
        ]
    );
    assert_eq!(rest.last().unwrap(), r#"{"lines":5,"accepted":2}"#);
    drop(server);
    assert!(!path.exists());
    recorder.close().unwrap();
    assert_eq!(contents(&spool), [b"{\"a\":1}\n2\n"]);
}

#[test]
fn peers_that_go_or_never_listen_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&folder.path().join("spool"));
    let path = folder.path().join("records.sock");
    let recorder = recorder(&spool, Options::default());
    let socket = RecordSocket::bind(&path, None).unwrap();
    let server = Server::start(socket, recorder.clone(), 1000);
    // Goes in the middle of a line, without having read an answer.
    let mut torn = UnixStream::connect(&path).unwrap();
    torn.write_all(b"1\n{\"torn\"").unwrap();
    drop(torn);
    // Brings far more bad lines than it reads answers.
    let mut deaf = UnixStream::connect(&path).unwrap();
    for _ in 0..200 {
        deaf.write_all("x\n".repeat(500).as_bytes()).unwrap();
    }
    deaf.write_all(b"2\n").unwrap();
    deaf.shutdown(std::net::Shutdown::Write).unwrap();
    let last = BufReader::new(deaf).lines().last().unwrap().unwrap();
    assert_eq!(last, r#"{"lines":100001,"accepted":1}"#);
    drop(server);
    recorder.close().unwrap();
    let mut all = contents(&spool).concat();
    all.sort_unstable();
    assert_eq!(all, b"\n\n12");
}

#[test]
fn a_peer_that_never_stops_does_not_keep_it_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(&folder.path().join("spool"));
    let path = folder.path().join("records.sock");
    let recorder = recorder(&spool, Options::default());
    let socket = RecordSocket::bind(&path, None).unwrap();
    let server = Server::start(socket, recorder.clone(), 1000);
    let mut peer = UnixStream::connect(&path).unwrap();
    let mut answers = BufReader::new(peer.try_clone().unwrap()).lines();
    let sending = thread::spawn(move || {
        let lines = "1\n".repeat(20_000);
        while peer.write_all(lines.as_bytes()).is_ok() {}
    });
    answers.next().unwrap().unwrap();
    drop(server);
    sending.join().unwrap();
    recorder.close().unwrap();
    // All that it was told of is there.
    let last = answers.map_while(Result::ok).last();
    let told = last.and_then(|line| line.rsplit(':').next()?.strip_suffix('}')?.parse().ok());
    let records = contents(&spool).concat().len() / 2;
    assert!(records >= told.unwrap_or(1), "{records} {told:?}");
}

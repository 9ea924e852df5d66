//! The relay.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::sockopt;

use super::{FastTime, Forecast, Sky};
use crate::port::Ports;

/// How often it is asked whether the weather has changed.
const LOOK: Duration = Duration::from_millis(2);

/// What passes at once.
const PIECE: usize = 64 * 1024;

/// A relay before a server. It ends with this.
pub struct Relay {
    port: Ports,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

/// How many connections met with which kind of weather, by its name.
pub type Met = BTreeMap<String, u32>;

struct Shared {
    server: SocketAddr,
    forecast: Forecast,
    time: FastTime,
    is_over: AtomicBool,
    met: Mutex<Met>,
    /// Bytes for the server.
    up: AtomicU64,
}

impl Relay {
    /// The forecast begins now.
    pub fn start(server: SocketAddr, forecast: Forecast, time: FastTime) -> Self {
        let port = Ports::claim(1);
        let shared = Arc::new(Shared {
            server,
            forecast,
            time,
            is_over: AtomicBool::new(false),
            met: Mutex::default(),
            up: AtomicU64::new(0),
        });
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.at(0)));
        let listening = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.listen(address)
        });
        Self {
            port,
            shared,
            listening: Some(listening),
        }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.at(0))
    }

    /// Whether all bad weather is over.
    pub fn is_clear(&self) -> bool {
        self.shared.now().is_none()
    }

    /// How much has passed to the server.
    pub fn bytes_up(&self) -> u64 {
        self.shared.up.load(Ordering::Relaxed)
    }

    /// Who met with what until now.
    pub fn met(&self) -> Met {
        self.shared.met().clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(listening) = self.listening.take() {
            // A panic there has been seen: nothing arrived.
            let _ = listening.join();
        }
    }
}

impl Shared {
    /// The spell's number, and its sky; none when the forecast is over.
    fn now(&self) -> Option<(usize, Sky)> {
        self.forecast.at(self.time.now())
    }

    fn sky(&self) -> Sky {
        self.now().map_or(Sky::Clear, |(_, sky)| sky)
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection that the weather did something to.
    fn meets(&self, sky: Sky) {
        let name = format!("{sky:?}");
        let name = name.split('(').next().unwrap_or_default();
        *self.met().entry(name.to_owned()).or_default() += 1;
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Listens whenever connections are not refused.
    fn listen(self: &Arc<Self>, address: SocketAddr) {
        let mut listener = None;
        while !self.is_over() {
            if self.sky() == Sky::Refused {
                if listener.take().is_some() {
                    self.meets(Sky::Refused);
                }
                thread::sleep(LOOK);
                continue;
            }
            let listener = listener.get_or_insert_with(|| {
                let listener = TcpListener::bind(address).expect("the port is ours");
                listener.set_nonblocking(true).expect("sockets can do that");
                listener
            });
            match listener.accept() {
                Ok((client, _)) => {
                    let shared = Arc::clone(self);
                    thread::spawn(move || shared.serve(&client));
                }
                Err(_) => thread::sleep(LOOK),
            }
        }
    }

    /// One connection.
    fn serve(&self, client: &TcpStream) {
        client.set_nonblocking(false).expect("sockets can do that");
        if self.sky() == Sky::Throttled {
            self.meets(Sky::Throttled);
            // A client that does not wait for the answer has gone.
            let _ = throttle(client);
            return;
        }
        let ended = match TcpStream::connect(self.server) {
            Ok(server) => self.relay(client, &server),
            Err(_) => End::Reset,
        };
        if ended == End::Reset {
            // Closed so, it says RST.
            let _ = sockopt::set_socket_linger(client, Some(Duration::ZERO));
        }
    }

    fn relay(&self, client: &TcpStream, server: &TcpStream) -> End {
        for stream in [client, server] {
            stream.set_nodelay(true).expect("sockets can do that");
            let look = stream.set_read_timeout(Some(LOOK));
            look.expect("sockets can do that");
        }
        let spell = self.now().map(|(number, _)| number);
        let is_broken = AtomicBool::new(false);
        let pump = |from, to, way| Pump {
            shared: self,
            is_broken: &is_broken,
            from,
            to,
            way,
            spell,
            passed: 0,
            counted: None,
        };
        thread::scope(|scope| {
            let up = scope.spawn(|| pump(client, server, Way::Up).run());
            let down = pump(server, client, Way::Down).run();
            let up = up.join().unwrap_or(End::Reset);
            down.max(up)
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// How one way of a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// All was said.
    Said,
    /// Closed in the middle, as if all had been said.
    Cut,
    /// Reset.
    Reset,
}

/// One way of a connection.
struct Pump<'a> {
    shared: &'a Shared,
    /// Whether the other way was broken.
    is_broken: &'a AtomicBool,
    from: &'a TcpStream,
    to: &'a TcpStream,
    way: Way,
    /// The spell that the connection is in, and how much has passed since it began.
    spell: Option<usize>,
    passed: u64,
    /// The last spell that it has been counted for.
    counted: Option<usize>,
}

impl Pump<'_> {
    fn run(mut self) -> End {
        let end = match self.pass() {
            Ok(end) => end,
            Err(_) => End::Reset,
        };
        if end != End::Said {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        end
    }

    /// Passes everything on, until one side has said all, or the weather breaks it.
    fn pass(&mut self) -> io::Result<End> {
        let mut piece = vec![0; PIECE];
        loop {
            let sky = match self.weather() {
                Some(sky) => sky,
                None => return Ok(End::Reset),
            };
            let most = match sky {
                Sky::Slow(rate) => (rate as usize / 50).clamp(1, PIECE),
                _ => PIECE,
            };
            let read = match (&mut &*self.from).read(&mut piece[..most]) {
                Ok(0) => {
                    self.to.shutdown(Shutdown::Write)?;
                    return Ok(End::Said);
                }
                Ok(read) => read,
                Err(error) if is_timeout(&error) => continue,
                Err(error) => return Err(error),
            };
            self.passed += read as u64;
            match (sky, self.way) {
                (Sky::Reset(after), Way::Up) if self.passed > after.into() => {
                    self.count(sky);
                    return Ok(End::Reset);
                }
                (Sky::Truncated(after), Way::Down) if self.passed > after.into() => {
                    self.count(sky);
                    let beyond = usize::try_from(self.passed - u64::from(after));
                    let keep = read.saturating_sub(beyond.unwrap_or(read));
                    (&mut &*self.to).write_all(&piece[..keep])?;
                    return Ok(End::Cut);
                }
                (Sky::Slow(rate), _) => {
                    self.count(sky);
                    thread::sleep(Duration::from_secs_f64(read as f64 / f64::from(rate)));
                }
                (Sky::Late(milliseconds), _) => {
                    self.count(sky);
                    thread::sleep(Duration::from_millis(milliseconds.into()));
                }
                _ => {}
            }
            (&mut &*self.to).write_all(&piece[..read])?;
            if self.way == Way::Up {
                self.shared.up.fetch_add(read as u64, Ordering::Relaxed);
            }
        }
    }

    /// The sky, as soon as anything passes under it; none if it breaks connections.
    fn weather(&mut self) -> Option<Sky> {
        let mut was_silent = false;
        loop {
            if self.shared.is_over() || self.is_broken.load(Ordering::Relaxed) {
                return None;
            }
            let now = self.shared.now();
            let number = now.map(|(number, _)| number);
            if self.spell != number {
                self.spell = number;
                self.passed = 0;
                // What was underway then is lost, and nobody sends it again.
                if was_silent {
                    return None;
                }
            }
            match now.map_or(Sky::Clear, |(_, sky)| sky) {
                Sky::Refused => return None,
                Sky::Silent => {
                    was_silent = true;
                    self.count(Sky::Silent);
                    thread::sleep(LOOK);
                }
                sky => return Some(sky),
            }
        }
    }

    fn count(&mut self, sky: Sky) {
        if self.counted != self.spell {
            self.counted = self.spell;
            self.shared.meets(sky);
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Answers one request, and closes the connection.
fn throttle(mut client: &TcpStream) -> io::Result<()> {
    const BODY: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut piece)? {
            0 => return Ok(()),
            read => head.extend_from_slice(&piece[..read]),
        }
    }
    write!(
        client,
        "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{BODY}",
        BODY.len()
    )?;
    client.shutdown(Shutdown::Write)?;
    // Closed with unread bytes, the socket would send a reset that overtakes the answer.
    while client.read(&mut piece)? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// A relay before a server that sends back what it gets.
    fn before_an_echo(sky: Sky, lasts: Duration) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                thread::spawn(move || io::copy(&mut &stream, &mut &stream));
            }
        });
        Relay::start(address, Forecast::one(sky, lasts), FastTime::from_now(1))
    }

    /// Connects as soon as somebody listens.
    fn connect(relay: &Relay) -> TcpStream {
        let address = relay.url().replace("http://", "");
        loop {
            if let Ok(stream) = TcpStream::connect(&address) {
                return stream;
            }
            thread::sleep(LOOK);
        }
    }

    /// What comes back of so many bytes.
    fn echo(relay: &Relay, length: usize) -> io::Result<Vec<u8>> {
        let stream = connect(relay);
        let sent = vec![7; length];
        thread::scope(|scope| {
            scope.spawn(|| {
                (&stream)
                    .write_all(&sent)
                    .and_then(|()| stream.shutdown(Shutdown::Write))
            });
            let mut back = Vec::new();
            (&stream).read_to_end(&mut back)?;
            Ok(back)
        })
    }

    #[test]
    fn under_a_clear_sky_everything_passes() {
        let relay = before_an_echo(Sky::Clear, HOUR);
        assert_eq!(echo(&relay, 300_000).unwrap().len(), 300_000);
        assert!(relay.met().is_empty());
    }

    #[test]
    fn nobody_listens() {
        let relay = before_an_echo(Sky::Refused, HOUR);
        let address = relay.url().replace("http://", "");
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn connections_are_reset() {
        let relay = before_an_echo(Sky::Reset(1_000), HOUR);
        assert_eq!(echo(&relay, 1_000).unwrap().len(), 1_000);
        let reset = echo(&relay, 100_000).unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        assert_eq!(relay.met()["Reset"], 1);
    }

    #[test]
    fn answers_are_truncated() {
        let relay = before_an_echo(Sky::Truncated(100), HOUR);
        assert_eq!(echo(&relay, 1_000).unwrap().len(), 100);
        assert_eq!(relay.met()["Truncated"], 1);
    }

    #[test]
    fn what_meets_silence_is_lost() {
        let relay = before_an_echo(Sky::Silent, Duration::from_secs(1));
        let reset = echo(&relay, 10).unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        assert_eq!(echo(&relay, 10).unwrap().len(), 10);
    }

    #[test]
    fn bytes_are_slow() {
        let relay = before_an_echo(Sky::Slow(100_000), HOUR);
        let began = Instant::now();
        assert_eq!(echo(&relay, 20_000).unwrap().len(), 20_000);
        assert!(began.elapsed() > Duration::from_millis(190));
    }

    #[test]
    fn requests_are_throttled() {
        let relay = before_an_echo(Sky::Throttled, HOUR);
        let mut stream = connect(&relay);
        stream.write_all(b"PUT / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 503");
    }
}

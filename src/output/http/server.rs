use core::mem;
use core::net::SocketAddr;
use core::time::Duration;
use std::boxed::Box;
use std::io::{self, ErrorKind};
use std::time::Instant;
use std::vec;
use std::vec::Vec;

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use super::Handler;
use super::connection::{Connection, Next, Occasion, Turn};
use super::limits::Limits;
use super::listener::Listener;
use super::stream::{Socket, Stream};
use super::users::Users;
use super::waker::Waker;

/// Listeners, their connections, and the loop that serves them.
pub struct Server {
    poll: Poll,
    waker: Waker,
    limits: Limits,
    listeners: Vec<Open>,
    /// By token. What is taken out is having its turn.
    connections: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    /// Connections that want another turn without an event.
    again: Vec<usize>,
    parked: usize,
    users: Users,
    scratch: Box<[u8]>,
    head: Vec<u8>,
    now: Instant,
    /// No connection's time is up before this.
    earliest: Option<Instant>,
    draining: Option<Draining>,
}

struct Open {
    /// `None` when the server is stopping.
    listener: Option<Listener>,
    connections: usize,
    /// Somebody may be waiting, of whom no further event tells.
    ready: bool,
}

#[derive(Debug, Clone, Copy)]
struct Draining {
    /// Waiting requests are answered.
    parked: Instant,
    /// What is open then is closed.
    end: Instant,
}

const WAKER: Token = Token(usize::MAX);
/// The first listener's token; the next ones are below.
const LISTENER: usize = usize::MAX - 1;

/// What is read of a connection at a time, beyond what there can be of a request's head already.
const READ: usize = 8 * 1024;

/// How long nothing is accepted where there was no room for another connection; and how long a connection
/// may be without a request before it is closed for another one, so that of a crowd that comes at once all
/// are served.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections the table keeps room for when there are none.
const TABLE: usize = 32;

impl Server {
    /// Takes the listeners, which are known by their index from then on.
    ///
    /// # Errors
    /// What the system says; `InvalidInput` if the limits leave a listener without connections.
    pub fn new(mut listeners: Vec<Listener>, limits: Limits) -> io::Result<Self> {
        if listeners.len() > limits.connections {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "there are more listeners than connections are allowed",
            ));
        }
        let users = Users::new(&listeners)?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.start(poll.registry(), Token(LISTENER - index))?;
        }
        Ok(Self {
            poll,
            waker,
            listeners: listeners
                .into_iter()
                .map(|listener| Open {
                    listener: Some(listener),
                    connections: 0,
                    ready: true,
                })
                .collect(),
            connections: Vec::new(),
            free: Vec::new(),
            again: Vec::new(),
            parked: 0,
            users,
            scratch: vec![0; limits.head + READ].into_boxed_slice(),
            head: Vec::new(),
            now: Instant::now(),
            earliest: None,
            draining: None,
            limits,
        })
    }

    /// Speaks to the server while it runs.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Where a listener listens; `None` for Unix sockets.
    pub fn local_addr(&self, listener: usize) -> Option<SocketAddr> {
        let open = self.listeners.get(listener)?;
        open.listener.as_ref()?.local_addr()
    }

    /// Serves until [`Waker::stop`].
    ///
    /// # Errors
    /// What the system says, if events cannot be waited for.
    pub fn run(&mut self, handler: &mut dyn Handler) -> io::Result<()> {
        let mut events = Events::with_capacity(64);
        self.now = Instant::now();
        let mut tick = handler.tick().map(|after| self.now + after);
        self.accept();
        loop {
            match self.poll.poll(&mut events, self.timeout(tick)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => self.now = Instant::now(),
            }
            let mut woken = false;
            for event in &events {
                match event.token() {
                    WAKER => woken = true,
                    Token(token) if token > LISTENER - self.listeners.len() => {
                        self.listeners[LISTENER - token].ready = true;
                    }
                    Token(index) => self.event(handler, index, event),
                }
            }
            for index in mem::take(&mut self.again) {
                self.turn(handler, index, Occasion::Ready);
            }
            if woken {
                handler.woken();
                self.each(handler, Occasion::Woken, Connection::is_parked);
            }
            if self.earliest.is_some_and(|earliest| earliest <= self.now) {
                self.expire(handler);
            }
            if tick.is_some_and(|at| at <= self.now) {
                tick = handler.tick().map(|after| self.now + after);
            }
            self.accept();
            if self.waker.is_stopping() && self.draining.is_none() {
                self.drain(handler);
            }
            if let Some(draining) = self.draining
                && (self.open() == 0 || draining.end <= self.now)
            {
                self.connections.clear();
                return Ok(());
            }
        }
    }

    fn timeout(&self, tick: Option<Instant>) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let end = self.draining.map(|draining| draining.end);
        let next = [self.earliest, tick, end].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(self.now))
    }

    fn event(&mut self, handler: &mut dyn Handler, index: usize, event: &Event) {
        if let Some(Some(connection)) = self.connections.get_mut(index) {
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                connection.set_readable(event.is_read_closed() || event.is_error());
            }
            self.turn(handler, index, Occasion::Ready);
        }
    }

    fn turn(&mut self, handler: &mut dyn Handler, index: usize, occasion: Occasion) {
        let Some(mut connection) = self.connections.get_mut(index).and_then(Option::take) else {
            return;
        };
        let was_parked = connection.is_parked();
        let next = connection.turn(
            &mut Turn {
                handler,
                limits: &self.limits,
                registry: self.poll.registry(),
                scratch: &mut self.scratch,
                head: &mut self.head,
                now: self.now,
                may_park: self.parked < self.limits.parked,
                draining: self.draining.map(|draining| draining.parked),
            },
            occasion,
        );
        self.parked -= usize::from(was_parked);
        if next == Next::Close {
            return self.close(index, *connection);
        }
        self.parked += usize::from(connection.is_parked());
        if next == Next::Turn {
            self.again.push(index);
        }
        self.expect(connection.deadline());
        self.connections[index] = Some(connection);
    }

    fn expect(&mut self, deadline: Instant) {
        self.earliest = Some(self.earliest.map_or(deadline, |known| known.min(deadline)));
    }

    fn each(
        &mut self,
        handler: &mut dyn Handler,
        occasion: Occasion,
        which: impl Fn(&Connection) -> bool,
    ) {
        for index in 0..self.connections.len() {
            if matches!(self.connections.get(index), Some(Some(open)) if which(open)) {
                self.turn(handler, index, occasion);
            }
        }
    }

    /// Ends what has taken too long, and finds out when the next one will have.
    fn expire(&mut self, handler: &mut dyn Handler) {
        let now = self.now;
        self.earliest = None;
        self.each(handler, Occasion::Expired, |connection| {
            connection.deadline() <= now
        });
        let open = self.connections.iter().flatten();
        self.earliest = open.map(|connection| connection.deadline()).min();
    }

    fn accept(&mut self) {
        for index in 0..self.listeners.len() {
            while self.listeners[index].ready && self.has_room(index) {
                let Some(listener) = &self.listeners[index].listener else {
                    break;
                };
                match listener.accept() {
                    Ok(socket) => {
                        // One that cannot be registered is closed again.
                        let _ = self.open_connection(index, socket);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.listeners[index].ready = false;
                    }
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                    Err(_) => {
                        // There are no descriptors or no memory left, most likely.
                        self.expect(self.now + PAUSE);
                        break;
                    }
                }
            }
        }
    }

    /// Whether a listener may have another connection, if need be after closing one that nothing is lost
    /// with.
    fn has_room(&mut self, listener: usize) -> bool {
        let share = self.limits.connections / self.listeners.len();
        if self.listeners[listener].connections < share.min(self.limits.connections_each) {
            return true;
        }
        let waits = |open: &Open| open.listener.as_ref().is_some_and(Listener::somebody_waits);
        if !waits(&self.listeners[listener]) {
            self.listeners[listener].ready = false;
            return false;
        }
        let open = self.connections.iter().flatten();
        let found = open
            .filter(|connection| connection.listener() == listener)
            .filter_map(|connection| Some((connection.expendable()?, connection.token())))
            .filter(|((_, since), _)| *since + PAUSE <= self.now)
            .min();
        let Some((_, Token(index))) = found else {
            self.expect(self.now + PAUSE);
            return false;
        };
        if let Some(connection) = self.connections[index].take() {
            self.close(index, *connection);
        }
        true
    }

    fn open_connection(&mut self, listener: usize, socket: Socket) -> io::Result<()> {
        let Some(from) = &self.listeners[listener].listener else {
            return Ok(());
        };
        let refusal = from
            .allowed_uids()
            .and_then(|allowed| self.users.check(&socket, allowed));
        let mut stream = Stream::new(socket, from.tls());
        let index = self.free.pop().unwrap_or(self.connections.len());
        let token = Token(index);
        if index == self.connections.len() {
            self.connections.push(None);
        }
        let registry = self.poll.registry();
        if let Err(error) = registry.register(stream.source(), token, Interest::READABLE) {
            self.free.push(index);
            return Err(error);
        }
        let deadline = self.now + self.limits.request;
        let connection = Connection::new(stream, token, listener, refusal, self.now, deadline);
        self.connections[index] = Some(Box::new(connection));
        self.listeners[listener].connections += 1;
        self.expect(deadline);
        Ok(())
    }

    fn close(&mut self, index: usize, connection: Connection) {
        // The kernel forgets the registration when the socket is closed.
        self.listeners[connection.listener()].connections -= 1;
        drop(connection);
        self.free.push(index);
        if self.connections.len() > TABLE && self.open() == 0 {
            // After a crowd its table is given back.
            self.connections = Vec::new();
            self.free = Vec::new();
        }
    }

    fn open(&self) -> usize {
        self.listeners.iter().map(|open| open.connections).sum()
    }

    /// Closes the listeners and all connections on which nothing is under way.
    fn drain(&mut self, handler: &mut dyn Handler) {
        for open in &mut self.listeners {
            if let Some(listener) = open.listener.take() {
                listener.end(self.poll.registry());
            }
        }
        let parked = self.now + self.limits.drain / 2;
        self.draining = Some(Draining {
            parked,
            end: self.now + self.limits.drain,
        });
        for connection in self.connections.iter_mut().flatten() {
            connection.drain(parked);
        }
        self.each(handler, Occasion::Ready, |_| true);
        self.expire(handler);
    }
}

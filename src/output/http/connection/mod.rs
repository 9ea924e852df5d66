//! One connection: its times, what it reads, and how it ends.

mod exchange;

use core::mem;
use std::io;
use std::time::Instant;
use std::vec::Vec;

use mio::{Interest, Registry, Token};
use zeroize::{Zeroize as _, Zeroizing};

use self::exchange::Step;
use super::Handler;
use super::body::RestOfBody;
use super::limits::Limits;
use super::response::Refusal;
use super::stream::{Received, Stream};

pub(super) struct Connection {
    stream: Stream,
    token: Token,
    listener: usize,
    state: State,
    /// What every request on this connection is answered with, if its peer is not allowed here.
    refusal: Option<Refusal>,
    /// What has come and is not dealt with yet.
    input: Zeroizing<Vec<u8>>,
    /// There may be something to read, of which no further event tells.
    readable: bool,
    /// The peer has closed its side, so that there is an end to be read.
    hung_up: bool,
    watches_writes: bool,
    /// Whether the time of a request is running.
    begun: bool,
    /// When it was accepted, or its last answer was sent.
    since: Instant,
    deadline: Instant,
}

#[derive(Debug)]
enum State {
    /// The head of a request is awaited.
    Head,
    /// The head is the first so many bytes of the input, the rest of the body is awaited.
    Body { head: usize, rest: RestOfBody },
    /// The request, which is the first so many bytes of the input, waits for the handler.
    Parked { len: usize },
    /// After the answer the connection ends.
    Last { linger: bool },
    /// The answer is sent; what still comes is dropped, so that the peer gets to read it.
    Lingering,
}

/// What a turn needs besides the connection.
pub(super) struct Turn<'a> {
    pub handler: &'a mut dyn Handler,
    pub limits: &'a Limits,
    pub registry: &'a Registry,
    /// To read into. It is cleared after every turn.
    pub scratch: &'a mut [u8],
    /// To write heads of answers into.
    pub head: &'a mut Vec<u8>,
    pub now: Instant,
    pub may_park: bool,
    /// The server is stopping; waiting is over at this time.
    pub draining: Option<Instant>,
}

/// What a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// The socket is ready, or was left with work to do.
    Ready,
    /// The handler may have an answer now.
    Woken,
    /// The time is up.
    Expired,
}

/// What comes after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// An event.
    Event,
    /// Another turn, when the others have had theirs.
    Turn,
    /// Nothing.
    Close,
}

/// Requests that one connection has answered in a turn. Who sends many at once does not keep the others
/// waiting.
const REQUESTS: usize = 16;
/// Reads of one connection in a turn.
const READS: usize = 16;

const EXPIRED: Refusal = Refusal::new(408, "The request took too long.\n");

impl Connection {
    pub(super) fn new(
        stream: Stream,
        token: Token,
        listener: usize,
        refusal: Option<Refusal>,
        now: Instant,
        deadline: Instant,
    ) -> Self {
        Self {
            stream,
            token,
            listener,
            state: State::Head,
            refusal,
            input: Zeroizing::new(Vec::new()),
            readable: false,
            hung_up: false,
            watches_writes: false,
            begun: true,
            since: now,
            deadline,
        }
    }

    pub(super) fn token(&self) -> Token {
        self.token
    }

    pub(super) fn listener(&self) -> usize {
        self.listener
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn is_parked(&self) -> bool {
        matches!(self.state, State::Parked { .. })
    }

    /// How readily this connection is given up for another one, if it is: first those without a request,
    /// the one that has been so for longest before the others; then those whose request is not whole.
    pub(super) fn expendable(&self) -> Option<(bool, Instant)> {
        let waits_for_peer = matches!(
            self.state,
            State::Head | State::Body { .. } | State::Lingering
        );
        (waits_for_peer && !self.stream.is_blocked()).then_some((self.begun, self.since))
    }

    pub(super) fn set_readable(&mut self, hung_up: bool) {
        self.readable = true;
        self.hung_up |= hung_up;
    }

    /// The server is stopping: what is read already is answered, waiting ends at this time at the latest.
    pub(super) fn drain(&mut self, parked_until: Instant) {
        self.readable = true;
        if self.is_parked() {
            self.deadline = self.deadline.min(parked_until);
        }
    }

    pub(super) fn turn(&mut self, turn: &mut Turn<'_>, occasion: Occasion) -> Next {
        let next = self.try_turn(turn, occasion).and_then(|next| {
            if next != Next::Close {
                self.watch(turn.registry)?;
            }
            Ok(next)
        });
        // A connection that fails ends; there is nobody to tell.
        next.unwrap_or(Next::Close)
    }

    fn try_turn(&mut self, turn: &mut Turn<'_>, occasion: Occasion) -> io::Result<Next> {
        let expired = occasion == Occasion::Expired;
        if self.stream.is_blocked() {
            if !self.stream.flush()? {
                return Ok(if expired { Next::Close } else { Next::Event });
            }
            self.rest(turn);
        }
        match self.state {
            State::Lingering if expired => return Ok(Next::Close),
            State::Lingering => return self.linger(),
            State::Last { linger } => return self.end(turn, linger),
            State::Parked { .. } if occasion == Occasion::Ready => return Ok(Next::Event),
            State::Head | State::Body { .. } if expired => {
                if self.input.is_empty() {
                    return Ok(Next::Close);
                }
                self.refuse(turn, EXPIRED, false)?;
                return self.after_last(turn);
            }
            _ => {}
        }
        // The buffer is taken out, so that requests can borrow from it while the rest of `turn` is used.
        let scratch = mem::take(&mut turn.scratch);
        let mut used = 0;
        let next = self.requests(turn, scratch, &mut used, expired);
        scratch[..used].zeroize();
        turn.scratch = scratch;
        next
    }

    /// Deals with what is in the input and, as long as there is something, in the socket. `used` becomes
    /// how many bytes of the scratch buffer were written to.
    fn requests(
        &mut self,
        turn: &mut Turn<'_>,
        scratch: &mut [u8],
        used: &mut usize,
        mut expired: bool,
    ) -> io::Result<Next> {
        let input = mem::take(&mut self.input);
        let (mut start, mut end) = (0, input.len());
        scratch[..end].copy_from_slice(&input);
        *used = end;
        drop(input);
        let (mut requests, mut reads) = (0, 0);
        let next = loop {
            match self.step(turn, &scratch[start..end], expired)? {
                Step::Answered { len } => {
                    start += len;
                    requests += 1;
                    expired = false;
                    if let State::Last { linger } = &mut self.state {
                        *linger |= start < end || self.readable;
                        start = end;
                        break self.after_last(turn)?;
                    }
                    if self.stream.is_blocked() {
                        break Next::Event;
                    }
                    if requests == REQUESTS && (start < end || self.readable) {
                        break Next::Turn;
                    }
                }
                Step::Parked => break Next::Event,
                Step::More { keep } => {
                    scratch.copy_within(start..start + keep, 0);
                    (start, end) = (0, keep);
                    if self.stream.is_blocked() {
                        break Next::Event;
                    }
                    if !self.readable {
                        break self.awaiting(turn, end);
                    }
                    if reads == READS {
                        break Next::Turn;
                    }
                    reads += 1;
                    match self.stream.receive(&mut scratch[end..])? {
                        Received::Bytes(read, more) => {
                            end += read;
                            *used = end.max(*used);
                            self.readable = more || self.hung_up;
                        }
                        Received::Nothing => {
                            self.readable = false;
                            break self.awaiting(turn, end);
                        }
                        Received::End => break Next::Close,
                    }
                }
            }
        };
        if next != Next::Close && start < end {
            // No more room than it needs: many connections may be in the middle of a request.
            self.input = Zeroizing::new(scratch[start..end].to_vec());
        }
        Ok(next)
    }

    /// The peer is to send the next bytes. `here` are of a request that has begun.
    fn awaiting(&mut self, turn: &Turn<'_>, here: usize) -> Next {
        if here > 0 && !self.begun {
            self.begun = true;
            self.deadline = turn.now + turn.limits.request;
        }
        let is_idle = here == 0 && matches!(self.state, State::Head);
        match turn.draining {
            Some(_) if is_idle => {
                self.stream.finish();
                Next::Close
            }
            _ => Next::Event,
        }
    }

    /// Nothing is under way, from now on.
    fn rest(&mut self, turn: &Turn<'_>) {
        if !matches!(self.state, State::Body { .. }) {
            self.begun = false;
            self.since = turn.now;
            self.deadline = turn.now + turn.limits.idle;
        }
    }

    fn after_last(&mut self, turn: &mut Turn<'_>) -> io::Result<Next> {
        match self.state {
            State::Last { linger } if !self.stream.is_blocked() => self.end(turn, linger),
            _ => Ok(Next::Event),
        }
    }

    /// The last answer is sent. A socket that is closed with something unread in it sends a reset, which
    /// makes the peer's kernel forget that answer (RFC 9112 section 9.6).
    fn end(&mut self, turn: &mut Turn<'_>, linger: bool) -> io::Result<Next> {
        if !linger {
            self.stream.finish();
            return Ok(Next::Close);
        }
        self.stream.shut_down();
        self.state = State::Lingering;
        self.begun = false;
        self.since = turn.now;
        self.deadline = turn.now + turn.limits.linger;
        self.linger()
    }

    fn linger(&mut self) -> io::Result<Next> {
        let mut waste = [0; 1024];
        for _ in 0..READS {
            match self.stream.receive(&mut waste)? {
                Received::Bytes(..) => {}
                Received::Nothing => return Ok(Next::Event),
                Received::End => return Ok(Next::Close),
            }
        }
        Ok(Next::Turn)
    }

    /// Has the socket's readiness for writing reported as long as something waits for it. Always, it would
    /// wake the server once more for every connection.
    fn watch(&mut self, registry: &Registry) -> io::Result<()> {
        let writes = self.stream.is_blocked();
        if writes != self.watches_writes {
            self.watches_writes = writes;
            let interest = match writes {
                true => Interest::READABLE | Interest::WRITABLE,
                false => Interest::READABLE,
            };
            registry.reregister(self.stream.source(), self.token, interest)?;
        }
        Ok(())
    }
}

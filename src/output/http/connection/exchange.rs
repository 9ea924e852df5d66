//! From bytes to requests to answers.

use core::mem::MaybeUninit;
use std::io;

use super::{Connection, State, Turn};
use crate::output::http::Outcome;
use crate::output::http::body::RestOfBody;
use crate::output::http::limits::Limits;
use crate::output::http::parse::{self, Framing, Head};
use crate::output::http::request::Request;
use crate::output::http::response::{Persistence, Refusal, Response, write_head};

/// What came of looking at the input.
pub(super) enum Step {
    /// More bytes are needed; so many of those that are here have to be kept.
    More {
        keep: usize,
    },
    /// A request of so many bytes is answered.
    Answered {
        len: usize,
    },
    Parked,
}

const NO_ANSWER: Refusal = Refusal::new(503, "There is no answer yet; try again.\n");

impl Connection {
    /// Looks at `bytes`, which begin with a request.
    pub(super) fn step(
        &mut self,
        turn: &mut Turn<'_>,
        bytes: &[u8],
        expired: bool,
    ) -> io::Result<Step> {
        let result = match &mut self.state {
            State::Body { head, rest } => {
                let head = *head;
                match rest.skip(&bytes[head..]) {
                    Ok(None) => return Ok(Step::More { keep: head }),
                    Ok(Some(body)) => self.request(turn, bytes, Some(head + body), expired),
                    Err(refusal) => Err(refusal),
                }
            }
            &mut State::Parked { len } => self.request(turn, bytes, Some(len), expired),
            _ if bytes.is_empty() => return Ok(Step::More { keep: 0 }),
            _ => self.request(turn, bytes, None, expired),
        };
        match result {
            Ok(step) => step,
            Err(refusal) => {
                // Of a head that is malformed as well.
                self.refuse(turn, refusal, bytes.starts_with(b"HEAD "))?;
                Ok(Step::Answered { len: bytes.len() })
            }
        }
    }

    /// Looks at a request, whose length is known if all of it is here.
    fn request(
        &mut self,
        turn: &mut Turn<'_>,
        bytes: &[u8],
        len: Option<usize>,
        expired: bool,
    ) -> Result<io::Result<Step>, Refusal> {
        let mut room = [const { MaybeUninit::uninit() }; Limits::MAX_HEADERS];
        let Some(head) = parse::parse(bytes, &mut room, turn.limits)? else {
            return Ok(Ok(Step::More { keep: bytes.len() }));
        };
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let len = match (len, head.framing) {
            (Some(len), _) => len,
            (None, Framing::Length(0)) => head.len,
            (None, framing) => {
                let mut rest = RestOfBody::new(framing, turn.limits);
                match rest.skip(&bytes[head.len..])? {
                    Some(body) => head.len + body,
                    None => {
                        self.state = State::Body {
                            head: head.len,
                            rest,
                        };
                        let waits = head.expects_continue && bytes.len() == head.len;
                        let sent = if waits { self.go_on() } else { Ok(()) };
                        return Ok(sent.map(|()| Step::More { keep: head.len }));
                    }
                }
            }
        };
        Ok(self.handle(turn, &head, len, expired))
    }

    /// RFC 9110 section 15.2.1
    fn go_on(&mut self) -> io::Result<()> {
        self.stream.send(b"HTTP/1.1 100 Continue\r\n\r\n", None)?;
        Ok(())
    }

    fn handle(
        &mut self,
        turn: &mut Turn<'_>,
        head: &Head<'_>,
        len: usize,
        expired: bool,
    ) -> io::Result<Step> {
        let was_parked = self.is_parked();
        let is_last = expired || (!was_parked && !turn.may_park);
        let outcome = turn.handler.handle(&Request {
            method: head.method,
            path: head.path,
            query: head.query,
            headers: head.headers,
            listener: self.listener,
            is_last,
        });
        let response = match outcome {
            Outcome::Done(response) => response,
            Outcome::Wait if is_last => NO_ANSWER.response(),
            Outcome::Wait => {
                if !was_parked {
                    self.state = State::Parked { len };
                    let until = turn.now + turn.limits.park;
                    self.deadline = turn.draining.map_or(until, |end| end.min(until));
                }
                return Ok(Step::Parked);
            }
        };
        let persistence = match (head.keep_alive && turn.draining.is_none(), head.version) {
            (false, _) => Persistence::Close,
            (true, 0) => Persistence::KeepOld,
            (true, _) => Persistence::Keep,
        };
        self.answer(turn, response, persistence, head.method == "HEAD")?;
        Ok(Step::Answered { len })
    }

    /// Answers, and ends the connection.
    pub(super) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        refusal: Refusal,
        head_alone: bool,
    ) -> io::Result<()> {
        self.answer(turn, refusal.response(), Persistence::Close, head_alone)?;
        self.state = State::Last { linger: true };
        Ok(())
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_>,
        response: Response,
        persistence: Persistence,
        head_alone: bool,
    ) -> io::Result<()> {
        self.state = match persistence {
            Persistence::Close => State::Last { linger: false },
            _ => State::Head,
        };
        write_head(turn.head, &response, persistence);
        let body = Some(response.body).filter(|_| !head_alone);
        if self.stream.send(turn.head, body)? {
            self.rest(turn);
        } else {
            self.deadline = turn.now + turn.limits.write;
        }
        Ok(())
    }
}

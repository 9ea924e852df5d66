//! A command and its answer (TPM 2.0 Part 1, section 18).

use core::fmt;
use core::ops::Range;

use embedded_io::{Error as _, Read, ReadExactError, Write};
use tpm2_protocol::TpmWriter;
use tpm2_protocol::basic::{Tpm2b, TpmHandle};
use tpm2_protocol::data::{Tpm2bAuth, Tpm2bNonce, TpmRh, TpmSt, TpmaSession, TpmsAuthCommand};
use tpm2_protocol::frame::{TpmFrame, tpm_marshal_command};
use zeroize::Zeroize as _;

use super::error::{Error, Random};
use super::public::Name;
use super::session::{Auth, NONCE_LEN, SessionAnswer};

/// Tag, size, code.
const HEADER_LEN: usize = 10;
/// Where the size is in it.
const SIZE: Range<usize> = 2..6;
/// Where the code is.
const CODE: Range<usize> = 6..10;
/// The longest answer that there is (TPM2_MAX_RESPONSE_SIZE of libtss2's).
const MAX_LEN: usize = 4096;
/// The longest auth value: a SHA-512 hash (TPM 2.0 Part 2, section 10.4.5).
const MAX_AUTH_LEN: usize = 64;
/// The length of a session's HMAC.
const HMAC_LEN: usize = 32;

/// A TPM at the other end of a stream. Each command is one write to the stream and one flush; its answer is read
/// before the next.
///
/// `B` holds a command and then its answer: 1 KiB does for keys on curves, 4 KiB for all that there is.
pub struct Tpm<S, B, R> {
    stream: S,
    buffer: B,
    pub(super) random: R,
}

impl<S, B, R> Tpm<S, B, R> {
    /// Nothing is sent yet. `random` is what nonces and salts are made of.
    pub fn new(stream: S, buffer: B, random: R) -> Self {
        Self {
            stream,
            buffer,
            random,
        }
    }

    /// The stream.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl<S, B, R> fmt::Debug for Tpm<S, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tpm")
    }
}

/// Where a command's parts are in the buffer.
struct Sent {
    len: usize,
    parameters: usize,
}

/// Where an answer's parts are.
pub(super) struct Answer<'a> {
    /// The handle, of a command that gives one.
    pub handle: u32,
    /// The parameters.
    pub parameters: &'a [u8],
}

impl<S: Read + Write, B: AsMut<[u8]>, R: Random> Tpm<S, B, R> {
    /// Runs a command that nobody has to authorise.
    pub(super) fn plain<C: TpmFrame>(
        &mut self,
        command: &C,
        gives_handle: bool,
    ) -> Result<Answer<'_>, Error> {
        let sent = self.write(command, &[])?;
        let frame = self.send(&sent)?;
        self.read(frame, gives_handle, false, |_, _| Ok(()))
    }

    /// Runs a command that is authorised by the auth values of its first handles, which are all the empty one.
    pub(super) fn unprotected<C: TpmFrame>(
        &mut self,
        command: &C,
        handles: usize,
    ) -> Result<Answer<'_>, Error> {
        let auths = [password(0)?; 2];
        let sent = self.write(command, auths.get(..handles).ok_or(Error::Unfit)?)?;
        let frame = self.send(&sent)?;
        self.read(frame, false, true, |_, _| Ok(()))
    }

    /// Runs a command that its first handle authorises. `names` are those of its handles.
    pub(super) fn authorised<C: TpmFrame>(
        &mut self,
        command: &C,
        names: &[Name],
        auth: Auth<'_>,
        gives_handle: bool,
    ) -> Result<Answer<'_>, Error> {
        let (session, value, encrypts) = match auth {
            Auth::Password(value) => {
                let sent = self.write(command, &[password(value.len())?])?;
                // Nowhere else is a copy of it.
                let (head, _) = self.buffer.as_mut().split_at_mut(sent.parameters);
                let place = head.len() - value.len();
                head[place..].copy_from_slice(value);
                let frame = self.send(&sent)?;
                return self.read(frame, gives_handle, true, |_, _| Ok(()));
            }
            Auth::Session {
                session,
                value,
                encrypts,
            } => (session, value, encrypts),
        };
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        session.roll(nonce);
        let attributes = match encrypts {
            true => TpmaSession::CONTINUE_SESSION | TpmaSession::DECRYPT,
            false => TpmaSession::CONTINUE_SESSION,
        };
        let auths = [TpmsAuthCommand {
            session_handle: TpmHandle::new(session.handle),
            nonce: Tpm2bNonce::try_from(session.own_nonce())?,
            session_attributes: attributes,
            hmac: Tpm2bAuth::try_from(&[0; HMAC_LEN][..])?,
        }];
        let code = command.cc().value();
        let sent = self.write(command, &auths)?;
        let bytes = self.buffer.as_mut();
        let (head, parameters) = bytes[..sent.len].split_at_mut(sent.parameters);
        if encrypts {
            let (len, rest) = parameters.split_first_chunk_mut().ok_or(Error::Unfit)?;
            let len = u16::from_be_bytes(*len).into();
            session.encrypt(value, rest.get_mut(..len).ok_or(Error::Unfit)?)?;
        }
        let hmac = session.sign(value, code, names, parameters, attributes.bits())?;
        let place = head.len() - HMAC_LEN;
        head[place..].copy_from_slice(&hmac);
        let frame = self.send(&sent)?;
        self.read(frame, gives_handle, true, |parameters, answer| {
            session.verify(value, code, parameters, &answer)
        })
    }

    /// Marshals a command.
    fn write<C: TpmFrame>(
        &mut self,
        command: &C,
        auths: &[TpmsAuthCommand],
    ) -> Result<Sent, Error> {
        let buffer = self.buffer.as_mut();
        let mut writer = TpmWriter::new(buffer);
        let tag = match auths {
            [] => TpmSt::NoSessions,
            _ => TpmSt::Sessions,
        };
        tpm_marshal_command(command, tag, auths, &mut writer)?;
        let len = writer.len();
        let mut parameters = HEADER_LEN + 4 * command.handles();
        if !auths.is_empty() {
            let place = parameters..parameters + 4;
            let auths = number(buffer.get(place).unwrap_or_default())?;
            parameters += 4 + usize::try_from(auths).map_err(|_| Error::Unfit)?;
        }
        Ok(Sent { len, parameters })
    }

    /// Sends what was marshalled, and reads what comes back: the length of a successful answer.
    fn send(&mut self, sent: &Sent) -> Result<usize, Error> {
        let buffer = self.buffer.as_mut();
        let command = buffer.get_mut(..sent.len).ok_or(Error::BufferTooSmall)?;
        let written = self.stream.write_all(command);
        // There may be an auth value in it.
        command.zeroize();
        written
            .and_then(|()| self.stream.flush())
            .map_err(|error| Error::Stream(error.kind()))?;
        let head = buffer.get_mut(..HEADER_LEN).ok_or(Error::BufferTooSmall)?;
        self.stream.read_exact(head).map_err(ended)?;
        let len = usize::try_from(number(&head[SIZE])?).map_err(|_| Error::Malformed)?;
        let code = number(&head[CODE])?;
        let Some(rest) = len.checked_sub(HEADER_LEN) else {
            return Err(Error::Malformed);
        };
        if code != 0 {
            self.pass_over(rest)?;
            return match rest {
                0 => Err(Error::Code(code)),
                _ => Err(Error::Malformed),
            };
        }
        let Some(place) = buffer
            .get_mut(HEADER_LEN..)
            .and_then(|buffer| buffer.get_mut(..rest))
        else {
            self.pass_over(rest)?;
            return Err(Error::BufferTooSmall);
        };
        self.stream.read_exact(place).map_err(ended)?;
        Ok(len)
    }

    /// Reads what is left of an answer that is of no use, so that it is not taken for the next. What is longer than
    /// any answer is not waited for.
    fn pass_over(&mut self, mut rest: usize) -> Result<(), Error> {
        let buffer = self.buffer.as_mut();
        rest = rest.min(MAX_LEN);
        while rest > 0 {
            let len = rest.min(buffer.len());
            let place = buffer.get_mut(..len).filter(|place| !place.is_empty());
            let place = place.ok_or(Error::BufferTooSmall)?;
            self.stream.read_exact(place).map_err(ended)?;
            rest -= len;
        }
        Ok(())
    }

    /// Takes an answer apart; `verify` has the parameters and what the first session says. If it is none, but names
    /// what was loaded, that does not stay in the TPM.
    fn read(
        &mut self,
        len: usize,
        gives_handle: bool,
        has_sessions: bool,
        verify: impl FnOnce(&[u8], SessionAnswer<'_>) -> Result<(), Error>,
    ) -> Result<Answer<'_>, Error> {
        let frame = self.buffer.as_mut().get(..len).ok_or(Error::Malformed)?;
        let (handle, parts) = parts(frame, gives_handle, has_sessions, verify)?;
        match parts {
            Ok(parameters) => {
                let frame = self.buffer.as_mut();
                let parameters = frame.get(parameters).ok_or(Error::Malformed)?;
                Ok(Answer { handle, parameters })
            }
            Err(error) => {
                if is_loaded(handle) {
                    // What went wrong first is what is said.
                    let _ = self.flush_context(handle);
                }
                Err(error)
            }
        }
    }
}

/// The handle in an answer, 0 if there is none, and where the parameters are.
fn parts(
    frame: &[u8],
    gives_handle: bool,
    has_sessions: bool,
    verify: impl FnOnce(&[u8], SessionAnswer<'_>) -> Result<(), Error>,
) -> Result<(u32, Result<Range<usize>, Error>), Error> {
    let tag = match has_sessions {
        true => TpmSt::Sessions,
        false => TpmSt::NoSessions,
    };
    let (head, mut rest) = frame.split_at_checked(HEADER_LEN).ok_or(Error::Malformed)?;
    if head[..2] != tag.value().to_be_bytes() {
        return Err(Error::Malformed);
    }
    let mut handle = 0;
    if gives_handle {
        let (bytes, tail) = rest.split_at_checked(4).ok_or(Error::Malformed)?;
        (handle, rest) = (number(bytes)?, tail);
    }
    let from = frame.len() - rest.len();
    let parameters = match has_sessions {
        false => Ok(from..frame.len()),
        true => in_sessions(rest, verify).map(|len| from + 4..from + 4 + len),
    };
    Ok((handle, parameters))
}

/// The length of the parameters that sessions follow.
fn in_sessions(
    rest: &[u8],
    verify: impl FnOnce(&[u8], SessionAnswer<'_>) -> Result<(), Error>,
) -> Result<usize, Error> {
    let (len, rest) = rest.split_at_checked(4).ok_or(Error::Malformed)?;
    let len = usize::try_from(number(len)?).map_err(|_| Error::Malformed)?;
    let (parameters, sessions) = rest.split_at_checked(len).ok_or(Error::Malformed)?;
    let (nonce, rest) = Tpm2b::<64>::cast_prefix(sessions)?;
    let (&attributes, rest) = rest.split_first().ok_or(Error::Malformed)?;
    let (hmac, _) = Tpm2b::<64>::cast_prefix(rest)?;
    let answer = SessionAnswer {
        nonce: nonce.data(),
        attributes,
        hmac: hmac.data(),
    };
    verify(parameters, answer)?;
    Ok(len)
}

/// Whether a handle is of what commands load: an object, a session (TPM 2.0 Part 2, section 7.2).
fn is_loaded(handle: u32) -> bool {
    matches!(handle >> 24, 0x02 | 0x03 | 0x80)
}

/// The place of an auth value in clear that is so long (TPM 2.0 Part 1, section 19.4).
fn password(len: usize) -> Result<TpmsAuthCommand, Error> {
    let place = [0; MAX_AUTH_LEN];
    let place = place.get(..len).ok_or(Error::Unfit)?;
    Ok(TpmsAuthCommand {
        session_handle: TpmHandle::new(TpmRh::Pw.value()),
        nonce: Tpm2bNonce::default(),
        session_attributes: TpmaSession::CONTINUE_SESSION,
        hmac: Tpm2bAuth::try_from(place)?,
    })
}

fn number(bytes: &[u8]) -> Result<u32, Error> {
    Ok(u32::from_be_bytes(
        bytes.try_into().map_err(|_| Error::Malformed)?,
    ))
}

fn ended<E: embedded_io::Error>(error: ReadExactError<E>) -> Error {
    match error {
        ReadExactError::UnexpectedEof => Error::Closed,
        ReadExactError::Other(error) => Error::Stream(error.kind()),
    }
}

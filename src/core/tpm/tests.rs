//! Whatever a TPM answers: it is read, or refused.

use std::collections::VecDeque;
use std::vec::Vec;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use proptest::prelude::*;

use super::*;

/// Answers each command with the next bytes, and keeps what was sent.
#[derive(Default)]
struct Scripted {
    answers: VecDeque<Vec<u8>>,
    current: VecDeque<u8>,
    sent: Vec<u8>,
}

impl ErrorType for Scripted {
    type Error = ErrorKind;
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.sent.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.current = self.answers.pop_front().unwrap_or_default().into();
        Ok(())
    }
}

impl Read for Scripted {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, ErrorKind> {
        let len = out.len().min(self.current.len());
        for (place, byte) in out.iter_mut().zip(self.current.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }
}

struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoRandomness> {
        for byte in out {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

type Fake = Tpm<Scripted, [u8; 1024], Counting>;

fn tpm(answers: &[&[u8]]) -> Fake {
    let stream = Scripted {
        answers: answers.iter().map(|answer| answer.to_vec()).collect(),
        ..Scripted::default()
    };
    Tpm::new(stream, [0; 1024], Counting(0))
}

/// An answer with this tag and body, of the right length.
fn frame(tag: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(10 + body.len()).unwrap();
    [&tag.to_be_bytes()[..], &len.to_be_bytes(), &[0; 4], body].concat()
}

fn name() -> Name {
    PublicArea::storage(StorageKey::P256, STORAGE_ROOT, false)
        .name()
        .unwrap()
}

/// Each command, with one answer for all that it asks.
fn each(answer: &[u8]) -> usize {
    let again = [answer; 2];
    let area = PublicArea::storage(StorageKey::P256, STORAGE_ROOT, false);
    let signed = |auth: Auth<'_>| {
        let scheme = SignatureScheme::Ecdsa(Hash::Sha256);
        tpm(&again)
            .sign(0x8100_0001, &name(), auth, scheme, &[7; 32])
            .is_ok()
    };
    let mut session = session();
    let in_session = Auth::Session {
        session: &mut session,
        value: b"value",
        encrypts: true,
    };
    [
        tpm(&again).read_public(1).is_ok(),
        tpm(&again)
            .load(1, &name(), Auth::Password(b"x"), &[1; 64], &area)
            .is_ok(),
        tpm(&again)
            .create_primary(1, Auth::Password(&[]), &area)
            .is_ok(),
        tpm(&again).start_session(SessionKind::Hmac, None).is_ok(),
        signed(Auth::Password(b"x")),
        signed(in_session),
        tpm(&again).handles(1, |_| {}).is_ok(),
        tpm(&again).clock().is_ok(),
    ]
    .into_iter()
    .filter(|is_ok| *is_ok)
    .count()
}

fn session() -> Session {
    Session::started(0x0200_0000, [1; 32], &[2; 32], Some(&[3; 32]), false).unwrap()
}

#[test]
fn an_auth_value_in_a_session_is_not_sent() {
    let mut tpm = tpm(&[]);
    let mut session = session();
    let auth = Auth::Session {
        session: &mut session,
        value: b"the-auth-value",
        encrypts: true,
    };
    let digest = [0x77; 32];
    let scheme = SignatureScheme::Ecdsa(Hash::Sha256);
    let result = tpm.sign(1, &name(), auth, scheme, &digest);
    assert_eq!(result, Err(Error::Closed));
    let sent = &tpm.stream().sent;
    let has = |bytes: &[u8]| sent.windows(bytes.len()).any(|window| window == bytes);
    assert!(!has(b"the-auth-value"));
    assert!(!has(&digest));
}

#[test]
fn what_is_refused_is_told_by_its_code() {
    let refused = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x8b];
    assert_eq!(
        tpm(&[&refused]).read_public(1).err(),
        Some(Error::Code(0x18b))
    );
    let long = frame(0x8001, &[0; 2000]);
    assert_eq!(
        tpm(&[&long]).read_public(1).err(),
        Some(Error::BufferTooSmall)
    );
}

/// What is left of an answer is not taken for the next one, however small the buffer is.
#[test]
fn what_is_too_long_is_passed_over() {
    let refusal = [&frame(0x8001, &[7; 2000])[..6], &[0, 0, 1, 1], &[7; 2000]].concat();
    for (answer, error) in [
        (frame(0x8001, &[7; 2000]), Error::BufferTooSmall),
        (refusal, Error::Malformed),
    ] {
        // As a serial line has them: what is not read stays.
        let next = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x8b];
        let mut tpm = tpm(&[&[&answer[..], &next].concat()]);
        assert_eq!(tpm.read_public(1).err(), Some(error));
        assert_eq!(tpm.stream().current, next);
    }
}

/// What was loaded does not stay in the TPM if the answer is none.
#[test]
fn what_a_damaged_answer_names_is_flushed() {
    let area = PublicArea::storage(StorageKey::P256, STORAGE_ROOT, false);
    let flushed = |sent: &[u8], handle: u32| {
        let command = [
            &[0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x65],
            &handle.to_be_bytes()[..],
        ]
        .concat();
        sent.ends_with(&command)
    };
    // Parameters that are longer than the answer; a name that is; one without sessions behind it.
    for (handle, rest) in [
        (0x8000_0001_u32, &[0, 0, 0, 9][..]),
        (0x8000_0001, &[0, 0, 0, 2, 0, 9, 0, 0, 1, 0, 0]),
        (0x8000_0001, &[0, 0, 0, 2, 0, 0]),
        (0x8100_0001, &[0, 0, 0, 9]),
    ] {
        let answer = frame(0x8002, &[&handle.to_be_bytes()[..], rest].concat());
        let mut tpm = tpm(&[&answer, &frame(0x8001, &[])]);
        let loaded = tpm.load(1, &name(), Auth::Password(b"x"), &[1; 64], &area);
        assert_eq!(loaded.err(), Some(Error::Malformed));
        let is_transient = handle >> 24 == 0x80;
        assert_eq!(flushed(&tpm.stream().sent, handle), is_transient);
    }
    // Whose HMAC is wrong.
    let mut session = session();
    let auth = Auth::Session {
        session: &mut session,
        value: b"value",
        encrypts: false,
    };
    let body = [
        &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 32][..],
        &[7; 32],
        &[1, 0, 32],
        &[8; 32],
    ]
    .concat();
    let mut tpm = tpm(&[&frame(0x8002, &body), &frame(0x8001, &[])]);
    let loaded = tpm.load(1, &name(), auth, &[1; 64], &area);
    assert_eq!(loaded.err(), Some(Error::WrongHmac));
    assert!(flushed(&tpm.stream().sent, 0x8000_0001));
}

#[test]
fn an_auth_value_in_clear_is_where_it_belongs_and_not_for_long() {
    let mut tpm = tpm(&[]);
    let area = PublicArea::storage(StorageKey::P256, STORAGE_ROOT, false);
    let result = tpm.create_primary(1, Auth::Password(b"the-auth-value"), &area);
    assert_eq!(result.err(), Some(Error::Closed));
    // TPM_RS_PW, no nonce, continueSession, the value.
    let place = [
        &[0, 0, 0, 23, 0x40, 0, 0, 9, 0, 0, 1, 0, 14],
        &b"the-auth-value"[..],
    ]
    .concat();
    assert_eq!(tpm.stream().sent[14..14 + place.len()], place);
    let long = Auth::Password(&[1; 65]);
    assert_eq!(tpm.create_primary(1, long, &area).err(), Some(Error::Unfit));
}

#[test]
fn the_name_of_the_template_h_2_is_the_tcgs() {
    // As tpm2_readpublic shows the area without the key: the type, SHA-256, the attributes, no policy, AES-128 in CFB
    // mode, no scheme, P-256, no KDF.
    let area = PublicArea::storage(StorageKey::P256, STORAGE_ROOT, false);
    let bytes = area.write(&mut [0; MAX_PUBLIC_LEN]).unwrap().to_vec();
    assert_eq!(
        bytes,
        [
            0, 0x23, 0, 0x0b, 0, 3, 4, 0x72, 0, 0, 0, 6, 0, 128, 0, 0x43, 0, 0x10, 0, 3, 0, 0x10,
            0, 0, 0, 0
        ]
    );
    assert_eq!(PublicArea::read(&bytes), Ok(area));
    assert!(PublicArea::read(&bytes[..25]).is_err());
    assert!(PublicArea::read(&[&bytes[..], &[0]].concat()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        has_sessions in any::<bool>(),
    ) {
        each(&bytes);
        each(&frame(if has_sessions { 0x8002 } else { 0x8001 }, &bytes));
        if let Ok(area) = PublicArea::read(&bytes) {
            let mut buffer = [0; MAX_PUBLIC_LEN];
            prop_assert_eq!(area.write(&mut buffer).unwrap(), &bytes[..]);
        }
    }
}

//! What a TPM answers, or whoever is on the way to it.

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use keystead::core::tpm::{
    Auth, Error, Hash, MAX_PUBLIC_LEN, Name, NoRandomness, PublicArea, Random, STORAGE_ROOT,
    SaltTo, Session, SessionKind, SignatureScheme, StorageKey, Tpm,
};

/// A serial line: what was not read of an answer is there still when the next command is sent.
struct Line<'a> {
    answers: &'a [u8],
}

impl ErrorType for Line<'_> {
    type Error = ErrorKind;
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Read for Line<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, ErrorKind> {
        let len = out.len().min(self.answers.len());
        let (read, rest) = self.answers.split_at(len);
        out[..len].copy_from_slice(read);
        self.answers = rest;
        Ok(len)
    }
}

/// Numbers that everybody can foresee.
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

/// TPM2_StartAuthSession: a session, and the TPM's nonce.
const STARTED: &[u8] = &[
    0x80, 1, 0, 0, 0, 32, 0, 0, 0, 0, 2, 0, 0, 0, 0, 16, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7,
];

fn session() -> Session {
    let mut tpm = line(STARTED);
    tpm.start_session(SessionKind::Hmac, None)
        .expect("it was answered")
}

fn line(answers: &[u8]) -> Tpm<Line<'_>, [u8; 1024], Counting> {
    Tpm::new(Line { answers }, [0; 1024], Counting(0))
}

/// The first byte says to which command.
pub fn tpm_answer(data: &[u8]) {
    let Some((command, answers)) = data.split_first() else {
        return;
    };
    let template = PublicArea::storage(StorageKey::P256, STORAGE_ROOT, false);
    let name = template.name().expect("it is named by SHA-256");
    let mut tpm = line(answers);
    match command {
        0 => area(tpm.read_public(1)),
        1 => {
            let loaded = tpm.load(1, &name, Auth::Password(b"x"), &[1; 64], &template);
            assert!(loaded.is_err() || loaded.is_ok_and(|(_, loaded)| loaded == name));
        }
        2 => {
            let created = tpm.create_primary(1, Auth::Password(&[]), &template);
            area(created.map(|(_, area, name)| (area, name)));
        }
        3 => {
            let _ = tpm.start_session(SessionKind::Policy, None);
        }
        4 => {
            let salted = PublicArea::read(answers.get(..90).unwrap_or_default());
            let area = salted.as_ref().unwrap_or(&template);
            let salt = SaltTo { handle: 1, area };
            let _ = tpm.start_session(SessionKind::Hmac, Some(salt));
        }
        5 => {
            let scheme = SignatureScheme::Ecdsa(Hash::Sha256);
            let signed = tpm.sign(1, &name, Auth::Password(b"x"), scheme, &[7; 32]);
            let _ = signed.map(|signed| signed.numbers(|r, s| r.len() + s.len()));
        }
        6 => {
            let mut session = session();
            let auth = Auth::Session {
                session: &mut session,
                value: b"value",
                encrypts: true,
            };
            let scheme = SignatureScheme::RsaPss(Hash::Sha256);
            let _ = tpm.sign(1, &name, auth, scheme, &[7; 32]);
        }
        7 => {
            let mut last = 0;
            let _ = tpm.handles(1, |handle| last = handle);
        }
        8 => {
            let _ = tpm.clock();
        }
        9 => {
            let wrapped = tpm.import(
                1,
                &name,
                Auth::Password(&[]),
                &template,
                &[1],
                &[2],
                <[u8]>::len,
            );
            assert!(wrapped.is_err() || wrapped.is_ok_and(|len| len <= 1024));
        }
        10 => {
            let mut session = session();
            let _ = tpm.policy_auth_value(&mut session);
            let _ = tpm.policy_is(&session, &[7; 32]);
            let _ = tpm.policy_restart(&mut session);
        }
        _ => area(PublicArea::read(answers).and_then(|area| {
            let name = area.name()?;
            Ok((area, name))
        })),
    }
}

/// What was read is written as it was, and has the name that it was said to have.
fn area(read: Result<(PublicArea, Name), Error>) {
    let Ok((area, name)) = read else {
        return;
    };
    assert_eq!(area.name().as_deref(), Ok(&*name));
    let mut buffer = [0; MAX_PUBLIC_LEN];
    let bytes = area.write(&mut buffer).expect("it is none that is longer");
    assert_eq!(PublicArea::read(bytes), Ok(area));
}

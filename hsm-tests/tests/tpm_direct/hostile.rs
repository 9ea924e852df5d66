//! Answers that are none: cut, too long, with lengths that lie.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use hsm_tests::{Interposer, Swtpm};
use keystead::backend::tpm::{Access, TpmError};
use keystead::core::key::Scheme;

use crate::support::*;

const AUTH: &str = "the-auth-value";

fn tpm() -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", AUTH, HANDLE);
    tpm
}

/// Somebody who answers every command with these bytes, and says no more; to be waited for at most so long.
fn answers(bytes: Vec<u8>, timeout: Duration) -> Access {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let bytes = bytes.clone();
            thread::spawn(move || {
                let mut command = [0; 4096];
                let _ = client.read(&mut command);
                let _ = client.write_all(&bytes);
                // Until the client has gone.
                let _ = client.read_to_end(&mut Vec::new());
            });
        }
    });
    Access {
        tcti: format!("swtpm:host=127.0.0.1,port={port}"),
        state: None,
        plain_auth: false,
        timeout,
    }
}

#[test]
fn whoever_says_nothing_is_not_waited_for_for_ever() {
    let access = answers(Vec::new(), Duration::from_millis(300));
    let began = Instant::now();
    let error = open(&access, &request(), Some(AUTH)).err().unwrap();
    assert!(
        error.to_string().contains("does not answer in time"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_is_no_answer_is_an_error() {
    let wait = Duration::from_millis(300);
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        // As long as memory.
        &[0x80, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        // Shorter than its head.
        &[0x80, 1, 0, 0, 0, 9, 0, 0, 0, 0],
        // A success without anything.
        &[0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0],
        // A refusal with something behind it.
        &[0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x8b, 1, 2],
    ] {
        let access = answers(bytes.to_vec(), wait);
        let error = open(&access, &request(), Some(AUTH)).err().unwrap();
        assert!(
            matches!(error, TpmError::Call { .. } | TpmError::Unanswered { .. }),
            "{bytes:x?}: {error:?}"
        );
    }
}

/// Every answer of opening and of signing, damaged at one place: it is refused or it signs all the same, and what it
/// signs is right. Nothing panics, nothing is left in the TPM.
#[test]
fn damaged_answers_are_refused() {
    let tpm = tpm();
    for at in (0..12).chain((12..280).step_by(13)) {
        let interposer = Interposer::new(&tpm, move |_, answer| {
            // Its length is what the way to the TPM goes by.
            if !(2..6).contains(&at)
                && answer.len() > 10
                && let Some(byte) = answer.get_mut(at)
            {
                *byte ^= 0x55;
            }
        });
        let access = Access {
            timeout: Duration::from_secs(2),
            ..interposer.access(&tpm)
        };
        if let Ok(mut opened) = open(&access, &request(), Some(AUTH)) {
            let _ = sign(&mut opened.signer, Scheme::EcdsaSha256);
        }
        drop(interposer);
        tpm.tool("flushcontext -l");
    }
}

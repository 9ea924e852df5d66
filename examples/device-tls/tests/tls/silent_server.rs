//! A server that agrees on keys, as anybody can, and leaves out of the handshake what would prove who it is
//! (RFC 8446 section 4.4), which embedded-tls goes through with; and records that embedded-tls panics over.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use device_tls::signature::P256;
use device_tls::{ConnectError, Refused};
use embedded_io::ErrorKind;
use embedded_tls::TlsError;
use keystead::ca::Authority;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::digest::{Context, SHA256, digest};
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::SystemRandom;

use crate::client::{ask, ask_and, now, refusal};
use crate::servers::{Credential, HOST, Server, root};

/// Handshake messages, as their types are numbered (RFC 8446 appendix B.3).
const SERVER_HELLO: u8 = 2;
const ENCRYPTED_EXTENSIONS: u8 = 8;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_VERIFY: u8 = 15;
const FINISHED: u8 = 20;

/// The content type of records (RFC 8446 section 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// `secp256r1`, then the length of a point and its first byte: how the client's share begins.
const SHARE: [u8; 5] = [0, 0x17, 0, 65, 4];

#[test]
fn neither_a_certificate_nor_its_proof() {
    let root = root("CN=root");
    assert_eq!(refused_from(&root, &[]), Refused::NotProven);
}

#[test]
fn a_certificate_without_its_proof() {
    let mut root = root("CN=root");
    let certificate = certificate(&mut root);
    assert_eq!(refused_from(&root, &[certificate]), Refused::NotProven);
}

#[test]
fn a_proof_without_a_certificate() {
    let root = root("CN=root");
    // ecdsa_secp256r1_sha256, and 4 bytes that are no signature.
    let proof = message(CERTIFICATE_VERIFY, &[4, 3, 0, 4, 0x30, 2, 5, 0]);
    assert_eq!(refused_from(&root, &[proof]), Refused::NotProven);
}

#[test]
fn two_certificates() {
    let mut root = root("CN=root");
    let certificates = [certificate(&mut root), certificate(&mut root)];
    assert_eq!(refused_from(&root, &certificates), Refused::NotProven);
}

/// The message with a certificate for the server, which everybody can have.
fn certificate(root: &mut Authority) -> Vec<u8> {
    let der = Credential::of(root, HOST).chain.swap_remove(0);
    let mut list = length24(&der);
    list.extend_from_slice(&der);
    // No extensions.
    list.extend_from_slice(&[0, 0]);
    let mut body = vec![0];
    body.extend(length24(&list));
    body.extend(list);
    message(CERTIFICATE, &body)
}

/// An encrypted record in which nothing is, not even a type.
#[test]
fn an_empty_record() {
    let outcome = outcome_of(&root("CN=root"), &[], |secret, _| {
        sealed(secret, Vec::new())
    });
    assert!(matches!(outcome, Err(ConnectError::Tls(_))), "{outcome:?}");
}

#[test]
fn a_handshake_in_the_clear() {
    let outcome = outcome_of(&root("CN=root"), &[], |_, flight| {
        record(HANDSHAKE, &flight)
    });
    assert!(matches!(outcome, Err(ConnectError::Tls(_))), "{outcome:?}");
}

/// Into a connection to the right server, by somebody on the way.
#[test]
fn records_in_the_clear_behind_the_handshake() {
    let mut root = root("CN=root");
    let hello = message(ENCRYPTED_EXTENSIONS, &[0, 0]);
    for injected in [record(HANDSHAKE, &hello), record(ALERT, &[1, 0])] {
        let credential = Credential::of(&mut root, HOST);
        let server = Server::with(&credential, &rustls::version::TLS13, injected);
        let to = (server.address, HOST);
        ask_and(to, root.root(), now(), P256, |connection| {
            let next = connection.read(&mut [0]);
            assert!(
                matches!(next, Err(TlsError::Io(ErrorKind::InvalidData))),
                "{next:?}"
            );
        })
        .unwrap();
    }
}

/// How the last flight of the server's goes out, given the secret of its encryption.
type Send = fn(&[u8], Vec<u8>) -> Vec<u8>;

fn refused_from(root: &Authority, messages: &[Vec<u8>]) -> Refused {
    refusal(outcome_of(root, messages, encrypted))
}

/// What comes of a server that goes up to its `Finished`, with `messages` where certificate and proof belong.
fn outcome_of(root: &Authority, messages: &[Vec<u8>], send: Send) -> Result<(), ConnectError> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let messages = messages.concat();
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        serve(stream, &messages, send);
    });
    let outcome = ask(address, HOST, root.root(), now(), P256);
    server.join().unwrap();
    outcome
}

fn serve(mut stream: TcpStream, messages: &[u8], send: Send) {
    let hello = read_record(&mut stream);
    let at = hello.windows(SHARE.len()).position(|part| part == SHARE);
    let share = &hello[at.unwrap() + 4..][..65];
    let rng = SystemRandom::new();
    let own = EphemeralPrivateKey::generate(&ECDH_P256, &rng).unwrap();
    let answer = server_hello(own.compute_public_key().unwrap().as_ref());
    let theirs = UnparsedPublicKey::new(&ECDH_P256, share);
    let shared = agree_ephemeral(own, &theirs, <[u8]>::to_vec).unwrap();

    let mut transcript = Context::new(&SHA256);
    transcript.update(&hello);
    transcript.update(&answer);
    let secret = handshake_secret(&shared, transcript.clone().finish().as_ref());

    let mut flight = message(ENCRYPTED_EXTENSIONS, &[0, 0]);
    flight.extend_from_slice(messages);
    transcript.update(&flight);
    let finished = expand(&secret, b"finished", &[], 32);
    let proof = mac(&finished, transcript.finish().as_ref());
    flight.extend(message(FINISHED, &proof));

    let mut sent = record(HANDSHAKE, &answer);
    sent.extend(send(&secret, flight));
    stream.write_all(&sent).unwrap();
    // Until the client hangs up.
    let _ = stream.read_to_end(&mut Vec::new());
}

fn read_record(stream: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[0], HANDSHAKE);
    let mut body = vec![0; u16::from_be_bytes([header[3], header[4]]).into()];
    stream.read_exact(&mut body).unwrap();
    body
}

/// TLS_AES_128_GCM_SHA256 with that share (RFC 8446 section 4.1.3).
fn server_hello(share: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0x13, 0x01, 0]);
    let mut extensions = vec![0, 43, 0, 2, 3, 4];
    extensions.extend([0, 51, 0, 69, 0, 0x17, 0, 65]);
    extensions.extend_from_slice(share);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    message(SERVER_HELLO, &body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    message.extend(length24(body));
    message.extend_from_slice(body);
    message
}

fn length24(bytes: &[u8]) -> Vec<u8> {
    u32::try_from(bytes.len()).unwrap().to_be_bytes()[1..].to_vec()
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 3, 3];
    record.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    record.extend_from_slice(content);
    record
}

fn encrypted(secret: &[u8], mut content: Vec<u8>) -> Vec<u8> {
    content.push(HANDSHAKE);
    sealed(secret, content)
}

/// The first encrypted record: the counter in its nonce is zero (RFC 8446 section 5.2).
fn sealed(secret: &[u8], mut content: Vec<u8>) -> Vec<u8> {
    let length = content.len() + AES_128_GCM.tag_len();
    let header = record(APPLICATION_DATA, &vec![0; length]);
    let key = expand(secret, b"key", &[], 16);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
    let iv = expand(secret, b"iv", &[], 12).try_into().unwrap();
    let nonce = Nonce::assume_unique_for_key(iv);
    key.seal_in_place_append_tag(nonce, Aad::from(&header[..5]), &mut content)
        .unwrap();
    record(APPLICATION_DATA, &content)
}

/// `server_handshake_traffic_secret` (RFC 8446 section 7.1).
fn handshake_secret(shared: &[u8], transcript: &[u8]) -> Vec<u8> {
    let early = mac(&[0; 32], &[0; 32]);
    let derived = expand(&early, b"derived", digest(&SHA256, b"").as_ref(), 32);
    expand(&mac(&derived, shared), b"s hs traffic", transcript, 32)
}

/// `HKDF-Expand-Label` for at most the length of a hash (RFC 8446 section 7.1).
fn expand(secret: &[u8], label: &[u8], context: &[u8], length: u8) -> Vec<u8> {
    let byte = |length: usize| u8::try_from(length).unwrap();
    let mut info = vec![0, length, byte(6 + label.len())];
    info.extend_from_slice(b"tls13 ");
    info.extend_from_slice(label);
    info.push(byte(context.len()));
    info.extend_from_slice(context);
    info.push(1);
    let mut output = mac(secret, &info);
    output.truncate(length.into());
    output
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let tag = hmac::sign(&hmac::Key::new(HMAC_SHA256, key), message);
    tag.as_ref().to_vec()
}

//! keystead on a device without an operating system. This page is documentation: what it shows is in
//! [`core`](crate::core), `no_std` and without an allocator.
//!
//! ```toml
//! keystead = { version = "0.1", default-features = false }
//! ```
//!
//! A device brings four things: a key that signs, its certificates, a stream to AWS, and the time. It gets credentials
//! for the role of its profile, and sends what it has measured to S3. The examples below are compiled for a Cortex-M4
//! (`thumbv7em-none-eabihf`) by the project's checks, as they stand here.
//!
//! # The key
//!
//! [`Signer`] is the seam to it. A secure element signs a digest, and answers the two numbers of an ECDSA signature;
//! [`ecdsa::write`] makes DER of them:
//!
//! ```
//! use keystead::core::ecdsa;
//! use keystead::core::key::{KeyKind, Scheme, SignError, Signer};
//! use sha2::{Digest as _, Sha256};
//!
//! /// The driver of a secure element: an ATECC608, an SE050.
//! pub trait Driver {
//!     /// Signs with the key in `slot`: `r`, then `s`. An error is the element's code.
//!     fn sign(&mut self, slot: u8, digest: &[u8; 32]) -> Result<[u8; 64], u8>;
//! }
//!
//! /// A P-256 key in a secure element.
//! pub struct ElementKey<D> {
//!     pub driver: D,
//!     pub slot: u8,
//!     /// DER `SubjectPublicKeyInfo`, read when the device was made.
//!     pub public_key: [u8; 91],
//! }
//!
//! impl<D: Driver> Signer for ElementKey<D> {
//!     fn key(&self) -> KeyKind {
//!         KeyKind::P256
//!     }
//!
//!     fn public_key(&self) -> &[u8] {
//!         &self.public_key
//!     }
//!
//!     fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
//!         if scheme != Scheme::EcdsaSha256 {
//!             return Err(SignError::UnsupportedScheme);
//!         }
//!         let digest = Sha256::digest(message).into();
//!         let signature = self.driver.sign(self.slot, &digest);
//!         let signature = signature.map_err(|code| SignError::Device {
//!             call: "Sign",
//!             code: code.into(),
//!             name: "",
//!         })?;
//!         let (r, s) = signature.split_at(32);
//!         ecdsa::write(r, s, out)
//!     }
//! }
//! ```
//!
//! A TPM, on SPI or I²C, is spoken to by `core::tpm` (feature `tpm-protocol`).
//!
//! [`Identity::new`] joins the key with its certificates, and refuses a certificate of another key. The chain stays where
//! it is, in flash: each time it is needed it is read from there, and encoded piece by piece.
//!
//! # A session
//!
//! Any [`embedded_io`] stream carries the exchange: a modem's TLS, [embedded-tls over TCP][tls], a line to a gateway
//! ([which then sees the credentials](#without-tls)).
//!
//! ```
//! use embedded_io::{Read, Write};
//! use keystead::core::create_session::{
//!     Buffers, CreateSession, Credentials, Observed, SessionError,
//! };
//! use keystead::core::http::stream::{StreamError, StreamTransport};
//! use keystead::core::identity::Identity;
//! use keystead::core::key::Signer;
//! use keystead::core::time::UnixTime;
//!
//! pub const REGION: &str = "eu-west-1";
//! pub const USER_AGENT: &str = "sensor/1.0";
//! const HOST: &str = "rolesanywhere.eu-west-1.amazonaws.com";
//! const TRUST_ANCHOR: &str =
//!     "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/0f3b7d1c-5f5e-4a4e-9d0c-0d6a2b8c9e10";
//! const PROFILE: &str =
//!     "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/4f7a2f62-34b5-4a51-a5b1-0b5d5c9d7e21";
//! const ROLE: &str = "arn:aws:iam::111122223333:role/SensorWriter";
//!
//! /// What an exchange needs of memory. Afterwards `answer` and `scratch` hold the credentials.
//! pub struct Memory {
//!     /// For the head of an answer.
//!     pub head: [u8; 2048],
//!     /// As long as a signature of the key: 72 bytes for P-256.
//!     pub signature: [u8; 72],
//!     pub answer: [u8; 3072],
//!     pub scratch: [u8; 1024],
//! }
//!
//! /// Credentials from IAM Roles Anywhere, over a stream that is connected to [`HOST`].
//! pub fn session<'m>(
//!     stream: impl Read + Write,
//!     identity: &mut Identity<&[&[u8]], impl Signer>,
//!     now: UnixTime,
//!     memory: &'m mut Memory,
//! ) -> Result<Credentials<'m>, SessionError<'m, StreamError>> {
//!     let request = CreateSession {
//!         host: HOST,
//!         region: REGION,
//!         trust_anchor_arn: TRUST_ANCHOR,
//!         profile_arn: PROFILE,
//!         role_arn: ROLE,
//!         duration_seconds: None,
//!         role_session_name: None,
//!         user_agent: USER_AGENT,
//!     };
//!     let buffers = Buffers {
//!         signature: &mut memory.signature,
//!         answer: &mut memory.answer,
//!         scratch: &mut memory.scratch,
//!     };
//!     let mut transport = StreamTransport::new(stream, &mut memory.head);
//!     let mut observed = Observed::default();
//!     request.send(identity, &mut transport, now, buffers, &mut observed, &mut ())
//! }
//! ```
//!
//! An answer that is not whole, for another role, or expired gives no credentials but
//! [an error](crate::core::create_session::AnswerError). The [`Credentials`] borrow from the buffers, and say when they
//! expire; until then they serve any number of uploads.
//!
//! # An upload
//!
//! [`Put`] signs a request for S3 and sends it; S3 checks the content's SHA-256, and keeps it with the object. A role
//! that may `s3:PutObject` below one prefix is enough.
//!
//! ```
//! use embedded_io::{Read, Write};
//! use keystead::core::create_session::Credentials;
//! use keystead::core::http::Header;
//! use keystead::core::http::stream::StreamTransport;
//! use keystead::core::s3::{Buffers, ObjectPath, Put};
//! use keystead::core::time::UnixTime;
//!
//! /// Whether S3 has stored the reading; if not, whether it is worth another try later.
//! pub enum Stored {
//!     Yes,
//!     Later,
//!     Never,
//! }
//!
//! /// Sends a reading over a stream that is connected to the bucket's host.
//! pub fn store(
//!     stream: impl Read + Write,
//!     credentials: Credentials<'_>,
//!     key: &str,
//!     reading: &[u8],
//!     now: UnixTime,
//! ) -> Stored {
//!     let put = Put {
//!         host: "sensor-logs.s3.eu-west-1.amazonaws.com",
//!         region: "eu-west-1",
//!         // The bucket is in the host's name.
//!         path: ObjectPath { bucket: None, key },
//!         headers: &[Header { name: "content-type", value: &"application/json" }],
//!         content: reading,
//!         user_agent: "sensor/1.0",
//!     };
//!     let (mut head, mut target, mut answer) = ([0; 1024], [0; 256], [0; 512]);
//!     let mut transport = StreamTransport::new(stream, &mut head);
//!     let buffers = Buffers { target: &mut target, answer: &mut answer };
//!     match put.send(&credentials.into(), &mut transport, &now, buffers) {
//!         Ok(_) => Stored::Yes,
//!         Err(error) if error.is_retryable() => Stored::Later,
//!         Err(_) => Stored::Never,
//!     }
//! }
//! ```
//!
//! # The time
//!
//! Requests carry the time, and AWS refuses those that are more than five minutes off; TLS judges certificates by it.
//! A device has it from a clock with a battery, from its modem's network or from GNSS. [`Observed::date`] is
//! the service's own clock, out of the answer, refusals included: with it a device whose clock has run off asks again. It is
//! to be believed over verified TLS alone, and within bounds that the device knows (never before its firmware was built):
//! whoever answers could otherwise choose the date of signatures.
//!
//! # Errors
//!
//! Errors are small and `Copy`. [`SessionError::is_retryable`], `PutError::is_retryable` and [`SignError::is_retryable`]
//! say whether the same may succeed later without anybody changing anything. Nothing here waits or repeats: the pause
//! before the next try is the device's, and begins at a random time where many devices lose power together.
//!
//! # Without TLS
//!
//! A serial line to a gateway that carries the bytes on over TLS is a stream like any other. **Such a gateway sees the
//! credentials**, and can use them until they expire: requests are signed and cannot be changed, but the answer of
//! `CreateSession` is not encrypted. The private key it never sees. Where the gateway is not trusted with that much,
//! TLS ends on the device: see [`examples/device-tls`][tls]. [`examples/firmware`][firmware] uses a serial line.
//!
//! # What is secret
//!
//! The buffers for answers hold the credentials until they are overwritten; wipe them when a session has ended. What
//! passes through [`StreamTransport`]'s buffer is wiped by itself. No `Debug` shows a secret.
//!
//! [tls]: https://github.com/keystead/keystead/tree/main/examples/device-tls
//! [firmware]: https://github.com/keystead/keystead/tree/main/examples/firmware
//! [`Signer`]: crate::core::key::Signer
//! [`SignError::is_retryable`]: crate::core::key::SignError::is_retryable
//! [`ecdsa::write`]: crate::core::ecdsa::write
//! [`Identity::new`]: crate::core::identity::Identity::new
//! [`Credentials`]: crate::core::create_session::Credentials
//! [`Observed::date`]: crate::core::create_session::Observed::date
//! [`SessionError::is_retryable`]: crate::core::create_session::SessionError::is_retryable
//! [`StreamTransport`]: crate::core::http::stream::StreamTransport
//! [`Put`]: crate::core::s3::Put

//! What a device is given when it is made: `examples/firmware/src/sector.rs` reads it.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use keystead::core::time::UnixTime;
use keystead::host::clock::system_time;

/// Where a device belongs, and who it is.
pub struct Sector<'a> {
    /// The `Host` of IAM Roles Anywhere.
    pub host: &'a str,
    pub region: &'a str,
    pub trust_anchor_arn: &'a str,
    pub profile_arn: &'a str,
    pub role_arn: &'a str,
    /// The `Host` of S3, without the bucket.
    pub s3_host: &'a str,
    pub bucket: &'a str,
    /// What the keys of objects begin with.
    pub prefix: &'a str,
    /// The private key's 32 bytes; none if a secure element has it.
    pub private_key: &'a [u8],
    /// How long an answer may be silent, and how long it may take in all.
    pub patience: [Duration; 2],
    /// The pause after a first failure; the next ones are longer.
    pub pause: Duration,
    /// Certificates, leaf first, DER.
    pub chain: &'a [Vec<u8>],
    /// For the image `tls`.
    pub tls: Option<Tls<'a>>,
}

/// What a device has that speaks TLS itself.
pub struct Tls<'a> {
    /// The time.
    pub now: UnixTime,
    /// What it makes its random numbers of.
    pub seed: [u8; 32],
    /// The root that it trusts, DER.
    pub root: &'a [u8],
}

impl<'a> Tls<'a> {
    /// For a device that is made now.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(root: &'a [u8]) -> io::Result<Self> {
        let mut seed = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut seed)?;
        Ok(Self {
            now: system_time(),
            seed,
            root,
        })
    }
}

impl Sector<'_> {
    /// The sector as it lies in flash.
    ///
    /// # Panics
    /// If a field is longer than 65,535 bytes, or a time longer than 2^32 milliseconds, or after 2106.
    pub fn to_bytes(&self) -> Vec<u8> {
        let texts = [
            self.host,
            self.region,
            self.trust_anchor_arn,
            self.profile_arn,
            self.role_arn,
            self.s3_host,
            self.bucket,
            self.prefix,
        ];
        let texts = texts.iter().map(|text| text.as_bytes());
        let [silence, whole] = self.patience;
        let numbers = [silence, whole, self.pause].map(|time| {
            let ms = u32::try_from(time.as_millis()).expect("a time of a sector is short");
            ms.to_be_bytes()
        });
        let chain = self.chain.iter().map(Vec::as_slice);
        let fields = texts
            .chain([self.private_key])
            .chain(numbers.iter().map(|number| &number[..]))
            .chain(chain)
            .chain([&[][..]]);
        let now = self.tls.as_ref().map(|tls| {
            let secs = u32::try_from(tls.now.as_secs()).expect("it is before 2106");
            secs.to_be_bytes()
        });
        let tls = self.tls.iter().zip(&now);
        let tls = tls.flat_map(|(tls, now)| [&now[..], &tls.seed, tls.root]);
        let fields = fields.chain(tls);
        let mut bytes = b"KSFW".to_vec();
        for field in fields {
            let len = u16::try_from(field.len()).expect("a field of a sector is short");
            bytes.extend(len.to_be_bytes());
            bytes.extend(field);
        }
        bytes
    }
}

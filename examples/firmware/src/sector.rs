//! What a device is given when it is made, in a sector of flash of its own: where it belongs, its certificates,
//! and, where no secure element holds it, its private key.
//!
//! `KSFW`, then fields: two bytes of length, big-endian, and the bytes. Certificates come last, leaf first; a field
//! without bytes ends them; for `tls.rs` something follows. `bridge/src/sector.rs` writes it.

use core::ptr::addr_of;

use keystead::core::identity::CertificateChain;
#[cfg(feature = "tls")]
use keystead::core::time::UnixTime;

use crate::board::Patience;

unsafe extern "C" {
    static _sector_start: u8;
    static _sector_end: u8;
}

const MAGIC: &[u8] = b"KSFW";

/// The sector, read.
pub struct Sector {
    /// The `Host` of IAM Roles Anywhere.
    pub host: &'static str,
    pub region: &'static str,
    pub trust_anchor_arn: &'static str,
    pub profile_arn: &'static str,
    pub role_arn: &'static str,
    /// The `Host` of S3, without the bucket.
    #[cfg_attr(not(feature = "put"), expect(dead_code))]
    pub s3_host: &'static str,
    #[cfg_attr(not(feature = "put"), expect(dead_code))]
    pub bucket: &'static str,
    /// What the keys of objects begin with.
    #[cfg_attr(not(feature = "put"), expect(dead_code))]
    pub prefix: &'static str,
    /// The private key, 32 bytes; empty if a secure element has it.
    #[cfg_attr(not(feature = "software-key"), expect(dead_code))]
    pub private_key: &'static [u8],
    /// How long is waited for answers.
    pub patience: Patience,
    /// The pause after a first failure, in milliseconds; the next ones are longer.
    pub pause: u32,
    pub chain: Chain,
}

impl Sector {
    /// Reads the sector; `None` if nothing, or something else, was written there.
    pub fn read() -> Option<Self> {
        let start = addr_of!(_sector_start);
        let len = addr_of!(_sector_end) as usize - start as usize;
        // SAFETY: memory.ld sets this part of flash aside; nothing writes to it.
        let sector = unsafe { core::slice::from_raw_parts(start, len) };
        let mut rest = sector.strip_prefix(MAGIC)?;
        let mut text = || core::str::from_utf8(field(&mut rest)?).ok();
        Some(Self {
            host: text()?,
            region: text()?,
            trust_anchor_arn: text()?,
            profile_arn: text()?,
            role_arn: text()?,
            s3_host: text()?,
            bucket: text()?,
            prefix: text()?,
            private_key: field(&mut rest)?,
            patience: Patience {
                silence: number(&mut rest)?,
                whole: number(&mut rest)?,
            },
            pause: number(&mut rest)?,
            chain: Chain(rest),
        })
    }
}

/// What a device is given that speaks TLS, after its certificates.
#[cfg(feature = "tls")]
pub struct Tls {
    /// The time when it was made: a battery's clock would have it.
    pub now: UnixTime,
    /// 32 bytes that nobody else has: a generator of random numbers would have them.
    pub seed: &'static [u8],
    /// The root that it trusts, DER.
    pub root: &'static [u8],
}

#[cfg(feature = "tls")]
impl Tls {
    /// Reads it; `None` if it is not there.
    pub fn read(sector: &Sector) -> Option<Self> {
        let mut rest = sector.chain.0;
        while !field(&mut rest)?.is_empty() {}
        Some(Self {
            now: UnixTime::from_secs(number(&mut rest)?.into()),
            seed: field(&mut rest)?,
            root: field(&mut rest)?,
        })
    }
}

/// Takes the first field off.
fn field(rest: &mut &'static [u8]) -> Option<&'static [u8]> {
    let (len, tail) = rest.split_first_chunk()?;
    let (field, tail) = tail.split_at_checked(u16::from_be_bytes(*len).into())?;
    *rest = tail;
    Some(field)
}

/// Takes a number off, four bytes, big-endian.
fn number(rest: &mut &'static [u8]) -> Option<u32> {
    Some(u32::from_be_bytes(field(rest)?.try_into().ok()?))
}

/// The certificates, where they lie in flash.
pub struct Chain(&'static [u8]);

impl CertificateChain for Chain {
    fn certificate(&self, index: usize) -> Option<&[u8]> {
        let mut rest = self.0;
        let mut certificates =
            core::iter::from_fn(|| field(&mut rest).filter(|certificate| !certificate.is_empty()));
        certificates.nth(index)
    }
}

//! How often a key has signed, and how long that took.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::boxed::Box;
use std::sync::Arc;
use std::time::Instant;

use crate::backend::BoxedSigner;
use crate::core::key::{KeyKind, Scheme, SignError, Signer};

/// Counts the signatures of all signers that are put into it. Its clones are one.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    made: AtomicU64,
    failed: AtomicU64,
    nanoseconds: AtomicU64,
}

/// What a [`Meter`] has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signatures {
    /// Signatures that were made.
    pub made: u64,
    /// Those that failed.
    pub failed: u64,
    /// How long all of them took together, those that failed included.
    pub time: Duration,
}

impl Meter {
    /// The same signer, counted.
    pub fn count(&self, signer: BoxedSigner) -> BoxedSigner {
        Box::new(Counted {
            signer,
            meter: self.clone(),
        })
    }

    /// What was counted until now.
    pub fn read(&self) -> Signatures {
        let Counters {
            made,
            failed,
            nanoseconds,
        } = &*self.0;
        Signatures {
            made: made.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            time: Duration::from_nanos(nanoseconds.load(Ordering::Relaxed)),
        }
    }
}

struct Counted {
    signer: BoxedSigner,
    meter: Meter,
}

impl Signer for Counted {
    fn key(&self) -> KeyKind {
        self.signer.key()
    }

    fn public_key(&self) -> &[u8] {
        self.signer.public_key()
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        let began = Instant::now();
        let result = self.signer.sign(scheme, message, out);
        let nanoseconds = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let counters = &self.meter.0;
        counters
            .nanoseconds
            .fetch_add(nanoseconds, Ordering::Relaxed);
        let counter = match result {
            Ok(_) => &counters.made,
            Err(_) => &counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }
}

use super::*;
use core::cell::Cell;
use std::borrow::ToOwned as _;
use std::vec;

std::thread_local! {
    /// How often the TPM of this test was asked for a signature.
    static TRIES: Cell<usize> = const { Cell::new(0) };
}

/// A key in a TPM that answers from the second time on.
struct Lazy {
    access: Access,
    about: About,
}

impl Reached for Lazy {
    fn access(&self) -> &Access {
        &self.access
    }
}

impl TpmKey for Lazy {
    fn open(access: &Access, _: &OpenKey, _: &mut dyn Operator) -> Result<Self, TpmError> {
        Ok(Self {
            access: access.clone(),
            about: About {
                name: vec![0, 11],
                public_key: Vec::new(),
                kind: KeyKind::P256,
                allowed: Allowed::Any,
                counts: false,
                wants_auth: true,
            },
        })
    }

    fn about(&self) -> &About {
        &self.about
    }

    fn begin(&mut self, _: &Secret) -> Result<(), TpmError> {
        Ok(())
    }

    fn begin_again(&mut self) -> Result<(), TpmError> {
        Ok(())
    }

    fn end(&mut self) {}

    fn sign(&mut self, _: &KeyPlace, _: &Job) -> Result<Signature, TpmError> {
        TRIES.set(TRIES.get() + 1);
        match TRIES.get() {
            1 => Err(TpmError::Unanswered {
                tcti: self.access.tcti.clone(),
                call: "TPM2_Sign".into(),
                reason: "it does not answer in time".to_owned(),
            }),
            _ => Ok(Signature::Ecdsa {
                r: vec![1],
                s: vec![1],
            }),
        }
    }
}

/// Somebody who takes so long to answer.
struct Slow(Duration);

impl Operator for Slow {
    fn auth(&mut self, _: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        let until = Instant::now() + self.0;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
        Ok(Some(Secret::new(b"value".to_vec())))
    }

    fn is_person(&self) -> bool {
        true
    }
}

/// How often the TPM was asked, and whether that was enough.
fn tries(timeout: Duration, asking: Duration) -> (usize, bool) {
    TRIES.set(0);
    let access = Access {
        tcti: "swtpm".to_owned(),
        state: None,
        plain_auth: false,
        timeout,
    };
    let request = OpenKey {
        key: KeyPlace::Handle(0x8100_0011),
        certificates: Vec::new(),
        salt: None,
    };
    let opened = TpmSigner::<Lazy>::open(&access, request, Box::new(Slow(asking)));
    let mut signer = opened.map_err(|(error, _)| error).unwrap().signer;
    let signed = signer.sign(Scheme::EcdsaSha256, b"message", &mut [0; 80]);
    (TRIES.get(), signed.is_ok())
}

#[test]
fn recovery_ends_with_the_time_for_an_answer() {
    let long = Duration::from_secs(60);
    assert_eq!(tries(long, Duration::ZERO), (2, true));
    assert_eq!(tries(Duration::ZERO, Duration::ZERO), (1, false));
}

#[test]
fn the_time_in_which_a_person_is_asked_does_not_count() {
    let second = Duration::from_secs(1);
    assert_eq!(tries(second, second * 3 / 2), (2, true));
}

//! The commands that signing needs (TPM 2.0 Part 3).

use core::fmt;

use embedded_io::{Read, Write};
use tpm2_protocol::TpmUnmarshal as _;
use tpm2_protocol::basic::{Tpm2b, TpmHandle, TpmUint32};
use tpm2_protocol::data::{
    Tpm2bAttest, Tpm2bData, Tpm2bDigest, Tpm2bEncryptedSecret, Tpm2bNonce, Tpm2bPrivate,
    Tpm2bPublic, Tpm2bSensitiveCreate, TpmAlgId, TpmCap, TpmCc, TpmRh, TpmSe, TpmSt,
    TpmlPcrSelection, TpmsPcrSelect, TpmsPcrSelection, TpmsSchemeHash, TpmtSigScheme,
    TpmtSignature, TpmtSymDef, TpmtTkHashcheck, TpmuAttest, TpmuCapabilities, TpmuSigScheme,
    TpmuSignature,
};
use tpm2_protocol::frame::{
    TpmCreatePrimaryCommand, TpmFlushContextCommand, TpmGetCapabilityCommand,
    TpmGetCapabilityResponse, TpmGetTimeCommand, TpmImportCommand, TpmLoadCommand,
    TpmPolicyAuthValueCommand, TpmPolicyCommandCodeCommand, TpmPolicyGetDigestCommand,
    TpmPolicyPcrCommand, TpmPolicyRestartCommand, TpmReadPublicCommand, TpmSignCommand,
    TpmStartAuthSessionCommand, TpmUnmarshalBody as _,
};

use super::crypto::Salt;
use super::error::{Error, Random};
use super::exchange::Tpm;
use super::public::{Name, P256, PublicArea, PublicKey, SignatureScheme, aes_128_cfb};
use super::session::{Auth, NONCE_LEN, Session};

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKind {
    /// Proving that an auth value is known.
    Hmac,
    /// Fulfilling a policy.
    Policy,
}

/// A key that a session is salted to. It has to be known for sure that the TPM has it: who put another one in
/// its place learns the salt.
#[derive(Debug, Clone, Copy)]
pub struct SaltTo<'a> {
    /// Where the TPM has it.
    pub handle: u32,
    /// Its public area: a key on P-256, named by SHA-256.
    pub area: &'a PublicArea,
}

/// A signature, in the TPM's own form.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature(TpmuSignature);

impl Signature {
    /// The signature as one number (RSA), or two (ECDSA: r, s), big-endian. `two` is called with what there is;
    /// the second is empty for RSA.
    pub fn numbers<T>(&self, two: impl FnOnce(&[u8], &[u8]) -> T) -> T {
        match &self.0 {
            TpmuSignature::Rsassa(rsa) | TpmuSignature::Rsapss(rsa) => two(&rsa.sig, &[]),
            TpmuSignature::Ecdsa(ecc) => two(&ecc.signature_r, &ecc.signature_s),
            // `sign` gives no others.
            _ => two(&[], &[]),
        }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature")
    }
}

/// PCRs of a bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PcrSelection<'a> {
    /// The bank's hash algorithm (TPM_ALG_ID).
    pub hash: u16,
    /// A bit for each PCR, from the least significant bit of the first byte on; at most four bytes.
    pub select: &'a [u8],
}

/// What a TPM says of its time (TPMS_TIME_INFO).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// How long it has been running, in milliseconds.
    pub time: u64,
    /// How often it was reset.
    pub reset_count: u32,
    /// How often it was restarted or resumed since.
    pub restart_count: u32,
}

impl<S: Read + Write, B: AsMut<[u8]>, R: Random> Tpm<S, B, R> {
    /// TPM2_ReadPublic: the public area of an object, and its name, which is compared with it.
    ///
    /// # Errors
    /// [`Error::WrongName`] if they do not belong together; [`Error`].
    pub fn read_public(&mut self, handle: u32) -> Result<(PublicArea, Name), Error> {
        let command = TpmReadPublicCommand {
            handles: [TpmHandle::new(handle)],
        };
        let answer = self.plain(&command, false)?;
        let (area, rest) = sized(answer.parameters)?;
        let (said, _) = sized(rest)?;
        named(area, said)
    }

    /// TPM2_Load: a key that this TPM has wrapped, under its parent, with this name; where it is, and the name
    /// that the key has. `private` is what a TPM2B_PRIVATE has after its length.
    ///
    /// # Errors
    /// [`Error::WrongName`] if it is not the key of this public area; [`Error`].
    pub fn load(
        &mut self,
        parent: u32,
        parent_name: &Name,
        auth: Auth<'_>,
        private: &[u8],
        area: &PublicArea,
    ) -> Result<(u32, Name), Error> {
        let command = TpmLoadCommand {
            handles: [TpmHandle::new(parent)],
            in_private: Tpm2bPrivate::try_from(private).map_err(|_| Error::Unfit)?,
            in_public: Tpm2bPublic {
                inner: area.0.clone(),
            },
        };
        let name = area.name()?;
        let answer = self.authorised(&command, &[*parent_name], auth, true)?;
        let handle = answer.handle;
        let wrong = match sized(answer.parameters) {
            Ok((said, _)) if said == &*name => return Ok((handle, name)),
            Ok(_) => Error::WrongName,
            Err(error) => error,
        };
        self.flush_context(handle)?;
        Err(wrong)
    }

    /// TPM2_Import: makes a key that was wrapped for the parent elsewhere, without an inner wrapper, into one that
    /// [`load`](Self::load) takes: `take` is called with its private area. `wrapped` and `secret` are what a
    /// TPM2B_PRIVATE and a TPM2B_ENCRYPTED_SECRET have after their length.
    ///
    /// # Errors
    /// [`Error`].
    #[expect(clippy::too_many_arguments, reason = "they are the command's")]
    pub fn import<T>(
        &mut self,
        parent: u32,
        parent_name: &Name,
        auth: Auth<'_>,
        area: &PublicArea,
        wrapped: &[u8],
        secret: &[u8],
        take: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, Error> {
        let command = TpmImportCommand {
            handles: [TpmHandle::new(parent)],
            encryption_key: Tpm2bData::default(),
            object_public: Tpm2bPublic {
                inner: area.0.clone(),
            },
            duplicate: Tpm2bPrivate::try_from(wrapped).map_err(|_| Error::Unfit)?,
            in_sym_seed: Tpm2bEncryptedSecret::try_from(secret).map_err(|_| Error::Unfit)?,
            symmetric_alg: TpmtSymDef::default(),
        };
        let answer = self.authorised(&command, &[*parent_name], auth, false)?;
        let (private, _) = sized(answer.parameters)?;
        Ok(take(private))
    }

    /// TPM2_CreatePrimary: the key that a hierarchy's seed gives by a template, with an empty auth value.
    /// Where it is, its public area and its name, which are compared.
    ///
    /// # Errors
    /// [`Error::WrongName`] if they do not belong together; [`Error`].
    pub fn create_primary(
        &mut self,
        hierarchy: u32,
        auth: Auth<'_>,
        template: &PublicArea,
    ) -> Result<(u32, PublicArea, Name), Error> {
        let command = TpmCreatePrimaryCommand {
            handles: [TpmHandle::new(hierarchy)],
            in_sensitive: Tpm2bSensitiveCreate::default(),
            in_public: Tpm2bPublic {
                inner: template.0.clone(),
            },
            outside_info: Tpm2bData::default(),
            creation_pcr: TpmlPcrSelection::default(),
        };
        let answer = self.authorised(&command, &[Name::of_handle(hierarchy)], auth, true)?;
        let handle = answer.handle;
        match created(answer.parameters) {
            Ok((area, name)) => Ok((handle, area, name)),
            Err(error) => {
                self.flush_context(handle)?;
                Err(error)
            }
        }
    }

    /// TPM2_StartAuthSession, with a salt if there is a key for it.
    ///
    /// # Errors
    /// [`Error::UnfitSaltKey`]; [`Error`].
    pub fn start_session(
        &mut self,
        kind: SessionKind,
        salt: Option<SaltTo<'_>>,
    ) -> Result<Session, Error> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce)?;
        let (mut encrypted, mut secret, mut key) = (Tpm2bEncryptedSecret::default(), None, NULL);
        if let Some(to) = salt {
            let salt = match to.area.key() {
                PublicKey::Ec { curve: P256, x, y }
                    if to.area.name_hash() == Some(super::Hash::Sha256) =>
                {
                    Salt::new(x, y, &mut self.random)?
                }
                _ => return Err(Error::UnfitSaltKey),
            };
            for number in [&salt.point.0, &salt.point.1] {
                encrypted.try_extend_from_slice(&32_u16.to_be_bytes())?;
                encrypted.try_extend_from_slice(number)?;
            }
            secret = Some(salt);
            key = to.handle;
        }
        let command = TpmStartAuthSessionCommand {
            handles: [TpmHandle::new(key), TpmHandle::new(NULL)],
            nonce_caller: Tpm2bNonce::try_from(&nonce[..])?,
            encrypted_salt: encrypted,
            session_type: match kind {
                SessionKind::Hmac => TpmSe::Hmac,
                SessionKind::Policy => TpmSe::Policy,
            },
            symmetric: aes_128_cfb(),
            auth_hash: TpmAlgId::Sha256,
        };
        let answer = self.plain(&command, true)?;
        let handle = answer.handle;
        let session = sized(answer.parameters).and_then(|(theirs, _)| {
            let secret = secret.as_ref().map(|salt| &salt.secret);
            Session::started(handle, nonce, theirs, secret, kind == SessionKind::Policy)
        });
        if session.is_err() {
            self.flush_context(handle)?;
        }
        session
    }

    /// TPM2_Sign: of a digest that did not come from the TPM.
    ///
    /// # Errors
    /// [`Error`].
    pub fn sign(
        &mut self,
        key: u32,
        name: &Name,
        auth: Auth<'_>,
        scheme: SignatureScheme,
        digest: &[u8],
    ) -> Result<Signature, Error> {
        let (id, hash) = match scheme {
            SignatureScheme::RsaSsa(hash) => (TpmAlgId::Rsassa, hash),
            SignatureScheme::RsaPss(hash) => (TpmAlgId::Rsapss, hash),
            SignatureScheme::Ecdsa(hash) => (TpmAlgId::Ecdsa, hash),
        };
        let command = TpmSignCommand {
            handles: [TpmHandle::new(key)],
            digest: Tpm2bDigest::try_from(digest).map_err(|_| Error::Unfit)?,
            in_scheme: TpmtSigScheme {
                scheme: id,
                details: TpmuSigScheme::Hash(TpmsSchemeHash {
                    hash_alg: hash.id(),
                }),
            },
            // Of a digest of which the TPM has not seen the message (TPM 2.0 Part 2, section 10.6.6).
            validation: TpmtTkHashcheck {
                tag: TpmSt::HashCheck,
                hierarchy: TpmRh::Null,
                digest: Tpm2bDigest::default(),
            },
        };
        let answer = self.authorised(&command, &[*name], auth, false)?;
        match TpmtSignature::unmarshal(answer.parameters)? {
            (signature, []) if signature.sig_alg == id => Ok(Signature(signature.signature)),
            _ => Err(Error::Malformed),
        }
    }

    /// TPM2_FlushContext: removes an object or a session.
    ///
    /// # Errors
    /// [`Error`].
    pub fn flush_context(&mut self, handle: u32) -> Result<(), Error> {
        let command = TpmFlushContextCommand {
            flush_handle: TpmHandle::new(handle),
            handles: [],
        };
        self.plain(&command, false).map(|_| ())
    }

    /// TPM2_GetCapability: the handles from `first` on that something is at, as many as the TPM gives at
    /// once; whether there are more.
    ///
    /// # Errors
    /// [`Error`].
    pub fn handles(&mut self, first: u32, mut found: impl FnMut(u32)) -> Result<bool, Error> {
        /// A TPM may give fewer.
        const AT_ONCE: u32 = 64;
        let command = TpmGetCapabilityCommand {
            handles: [],
            cap: TpmCap::Handles,
            property: TpmUint32::new(first),
            property_count: TpmUint32::new(AT_ONCE),
        };
        let answer = self.plain(&command, false)?;
        let answer = TpmGetCapabilityResponse::unmarshal_body(&[], answer.parameters)?;
        let TpmuCapabilities::Handles(handles) = answer.capability_data.data else {
            return Err(Error::Malformed);
        };
        handles.iter().for_each(|handle| found(handle.value()));
        Ok(bool::from(answer.more_data))
    }

    /// TPM2_GetTime, unsigned: the endorsement hierarchy has to have no password.
    ///
    /// # Errors
    /// [`Error`].
    pub fn clock(&mut self) -> Result<Clock, Error> {
        let command = TpmGetTimeCommand {
            handles: [
                TpmHandle::new(TpmRh::Endorsement.value()),
                TpmHandle::new(NULL),
            ],
            qualifying_data: Tpm2bData::default(),
            in_scheme: TpmtSigScheme::default(),
        };
        let answer = self.unprotected(&command, 2)?;
        let (attest, _) = Tpm2bAttest::unmarshal(answer.parameters)?;
        let TpmuAttest::Time(time) = attest.inner.attested else {
            return Err(Error::Malformed);
        };
        let clock = time.time.clock_info;
        Ok(Clock {
            time: time.time.time.value(),
            reset_count: clock.reset_count.value(),
            restart_count: clock.restart_count.value(),
        })
    }

    /// TPM2_PolicyAuthValue: the policy wants the auth value, by HMAC.
    ///
    /// # Errors
    /// [`Error`].
    pub fn policy_auth_value(&mut self, session: &mut Session) -> Result<(), Error> {
        let command = TpmPolicyAuthValueCommand {
            handles: [TpmHandle::new(session.handle())],
        };
        self.plain(&command, false)?;
        session.takes_auth = true;
        Ok(())
    }

    /// TPM2_PolicyCommandCode: the policy is for this command alone.
    ///
    /// # Errors
    /// [`Error::Unfit`] for a code that is none; [`Error`].
    pub fn policy_command_code(&mut self, session: &Session, code: u32) -> Result<(), Error> {
        let command = TpmPolicyCommandCodeCommand {
            handles: [TpmHandle::new(session.handle())],
            code: TpmCc::try_from(code).map_err(|_| Error::Unfit)?,
        };
        self.plain(&command, false).map(|_| ())
    }

    /// TPM2_PolicyPCR: these PCRs have values with this hash.
    ///
    /// # Errors
    /// [`Error::Unfit`] for banks that no TPM has; [`Error`].
    pub fn policy_pcr(
        &mut self,
        session: &Session,
        digest: &[u8],
        banks: &[PcrSelection<'_>],
    ) -> Result<(), Error> {
        let mut pcrs = TpmlPcrSelection::default();
        for bank in banks {
            let selection = TpmsPcrSelection {
                hash: TpmAlgId::try_from(bank.hash).map_err(|_| Error::Unfit)?,
                pcr_select: TpmsPcrSelect::try_from(bank.select).map_err(|_| Error::Unfit)?,
            };
            pcrs.try_push(selection).map_err(|_| Error::Unfit)?;
        }
        let command = TpmPolicyPcrCommand {
            handles: [TpmHandle::new(session.handle())],
            pcr_digest: Tpm2bDigest::try_from(digest).map_err(|_| Error::Unfit)?,
            pcrs,
        };
        self.plain(&command, false).map(|_| ())
    }

    /// TPM2_PolicyGetDigest, compared with a policy.
    ///
    /// # Errors
    /// [`Error`].
    pub fn policy_is(&mut self, session: &Session, policy: &[u8]) -> Result<bool, Error> {
        let command = TpmPolicyGetDigestCommand {
            handles: [TpmHandle::new(session.handle())],
        };
        let answer = self.plain(&command, false)?;
        let (digest, _) = sized(answer.parameters)?;
        Ok(digest == policy)
    }

    /// TPM2_PolicyRestart: what was carried out of the policy is forgotten.
    ///
    /// # Errors
    /// [`Error`].
    pub fn policy_restart(&mut self, session: &mut Session) -> Result<(), Error> {
        let command = TpmPolicyRestartCommand {
            handles: [TpmHandle::new(session.handle())],
        };
        self.plain(&command, false)?;
        session.takes_auth = false;
        Ok(())
    }
}

/// TPM_RH_NULL.
const NULL: u32 = 0x4000_0007;

/// The contents of a TPM2B, and what follows.
fn sized(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (sized, rest) = Tpm2b::<4096>::cast_prefix(bytes)?;
    Ok((sized.data(), rest))
}

/// A public area that has the name which was said.
fn named(area: &[u8], said: &[u8]) -> Result<(PublicArea, Name), Error> {
    let area = PublicArea::read(area)?;
    let name = area.name()?;
    match &*name == said {
        true => Ok((area, name)),
        false => Err(Error::WrongName),
    }
}

/// What TPM2_CreatePrimary says of the key: after the public area come the creation data, their hash, a ticket,
/// and the name.
fn created(parameters: &[u8]) -> Result<(PublicArea, Name), Error> {
    /// Of a ticket: tag and hierarchy.
    const TICKET_HEAD: usize = 6;
    let (area, rest) = sized(parameters)?;
    let (_, rest) = sized(rest)?;
    let (_, rest) = sized(rest)?;
    let (_, rest) = sized(rest.get(TICKET_HEAD..).ok_or(Error::Malformed)?)?;
    let (said, _) = sized(rest)?;
    named(area, said)
}

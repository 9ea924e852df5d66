//! Makes keys.

use std::borrow::ToOwned as _;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::dynamic_handles;
use tss_esapi::interface_types::resource_handles::Provision;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, CreateKeyResult, Public, SymmetricDefinition};
use tss_esapi::traits::Marshall as _;
use tss_esapi::{Error, WrapperErrorKind};

use super::connection::Connection;
use super::hierarchy::Hierarchy;
use super::new_key;
use super::parent::Parent;
use super::persistent::Persistent;
use super::{capability, public, salt};
use crate::backend::algorithm::Hash;
use crate::backend::secret::{Secret, SecretError};
use crate::backend::tpm::auth::Reached as _;
use crate::backend::tpm::code;
use crate::backend::tpm::device::{
    AuthRequest, Destination, GenerateKey, GeneratedKey, Object, Operator, Parent as ParentPlace,
};
use crate::backend::tpm::error::{AuthProblem, TpmError};
use crate::backend::tpm::key_file::{self, KeyFile, Kind, ParentKey, PolicyCommand, Template};
use crate::backend::tpm::ledger::What;
use crate::backend::tpm::uri::SaltKey;

/// Where the storage root key is, if someone has put it somewhere (TCG TPM v2.0 Provisioning Guidance,
/// section 7.8).
const STORAGE_ROOT: u32 = 0x8100_0001;

/// From here on persistent handles are the platform's (TPM 2.0 Part 2, section 7.5).
const PLATFORM_PERSISTENT: u32 = 0x8180_0000;

/// The longest auth value of a key whose name is a SHA-256 hash (TPM 2.0 Part 1, section 19.6.4.2).
const LONGEST_AUTH: usize = 32;

/// Makes a key. On an error nothing is left of it.
///
/// An auth value for it is encrypted to the parent key, which is made anew to be sure that it is the TPM's.
/// Where it cannot be, since it is not a primary key by a known template or its hierarchy has a password, who
/// has put themselves between here and the TPM could learn the value.
///
/// # Errors
/// [`TpmError`].
pub fn generate(
    connection: &mut Connection,
    request: &GenerateKey,
    operator: &mut dyn Operator,
) -> Result<GeneratedKey, TpmError> {
    let called = match request.to {
        Destination::File => "the new key".to_owned(),
        Destination::Handle(handle) => {
            check_place(connection, handle, request)?;
            format!("tpm:handle={handle:#010x}")
        }
    };
    new_key::check(connection, request.algorithm)?;
    let parent = parent(connection, request.parent)?;
    let policy = new_key::policy(connection, request)?;
    let template = new_key::template(request, &policy);
    let auth = match request.with_auth {
        true => Some(auth(operator, &called)?),
        false => None,
    };
    let mut operator = Remembering {
        operator,
        owner: None,
    };
    let mut persisted = None;
    let generated = Parent::with(
        connection,
        parent,
        &called,
        &mut operator,
        |connection, parent_key, operator| {
            let salt = SaltKey {
                handle: parent.handle(),
                name: parent_key.name.clone(),
            };
            // Before anything is encrypted to the parent: somebody between here and the TPM may have put a key
            // of their own in its place.
            let salt = salt::serves(connection, &salt)?.then_some(salt);
            let made = create(connection, parent_key, operator, &template, auth.as_ref())?;
            let new = New {
                called: &called,
                parent,
                salt,
                made,
                empty_auth: auth.is_none(),
                policy,
            };
            match request.to {
                Destination::File => new.file(),
                Destination::Handle(handle) => {
                    new.persist(connection, parent_key, operator, handle, &mut persisted)
                }
            }
        },
    );
    // Once it is at its handle it is there, whatever else could not be cleared away.
    match persisted {
        Some(persisted) => Ok(persisted),
        None => generated,
    }
}

/// Whether a key can be put at a handle.
fn check_place(
    connection: &mut Connection,
    handle: u32,
    request: &GenerateKey,
) -> Result<(), TpmError> {
    if PersistentTpmHandle::new(handle).is_err() || handle >= PLATFORM_PERSISTENT {
        return Err(TpmError::Unsupported {
            what: format!("tpm:handle={handle:#010x}: the owner's keys cannot be put there"),
            remedy: "take a handle from 0x81000000 to 0x817FFFFF".to_owned(),
        });
    }
    if !request.policy_pcrs.is_empty() {
        return Err(TpmError::Unsupported {
            what: format!(
                "tpm:handle={handle:#010x}: a key at a handle has no place for its policy, without which nobody \
                 can use it"
            ),
            remedy: "make a key file, which has".to_owned(),
        });
    }
    match capability::handles(connection, handle..=handle)?.is_empty() {
        true => Ok(()),
        false => Err(TpmError::Exists { handle }),
    }
}

/// What the key is made under. What is at the storage root's place may be something else.
fn parent(connection: &mut Connection, place: ParentPlace) -> Result<ParentKey, TpmError> {
    let primary = ParentKey::Primary(key_file::Hierarchy::Owner, Template::Ecc);
    let (handle, otherwise) = match place {
        ParentPlace::StorageRoot => (STORAGE_ROOT, Some(primary)),
        ParentPlace::Handle(handle) => (handle, None),
    };
    let keeps_keys = match Persistent::open(connection, handle) {
        Ok(found) => {
            let attributes = found.public.object_attributes();
            let keeps_keys = attributes.restricted() && attributes.decrypt();
            found.close(connection)?;
            keeps_keys
        }
        Err(TpmError::NoKey { .. }) if otherwise.is_some() => false,
        Err(error) => return Err(error),
    };
    match otherwise {
        _ if keeps_keys => Ok(ParentKey::Handle(handle)),
        Some(primary) => Ok(primary),
        None => Err(TpmError::Key {
            key: format!("tpm:handle={handle:#010x}"),
            reason: "it is no storage key (restricted, decrypt), so that it keeps no other keys"
                .into(),
            remedy:
                "`keystead tpm status` shows which are; without a parent it is the storage root key"
                    .into(),
        }),
    }
}

/// The new key's auth value.
fn auth(operator: &mut dyn Operator, called: &str) -> Result<Secret, TpmError> {
    let wrong = |problem| TpmError::Auth {
        of: Object::Key,
        name: called.to_owned(),
        problem,
    };
    let request = AuthRequest {
        of: Object::Key,
        name: called.to_owned(),
        refused: false,
        may_be_empty: false,
    };
    match operator.auth(&request) {
        Ok(Some(value)) if value.expose().is_empty() => {
            Err(wrong(AuthProblem::Source("it is empty".to_owned())))
        }
        Ok(Some(value)) if value.expose().len() > LONGEST_AUTH => Err(wrong(AuthProblem::TooLong)),
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(wrong(AuthProblem::Needed)),
        Err(error) if error.is_cancelled() => Err(wrong(AuthProblem::Cancelled)),
        Err(error) => Err(wrong(AuthProblem::Source(error.in_brief().to_string()))),
    }
}

fn create(
    connection: &mut Connection,
    parent: &mut Parent,
    operator: &mut dyn Operator,
    template: &Public,
    auth: Option<&Secret>,
) -> Result<CreateKeyResult, TpmError> {
    // The value has been found short enough.
    let value = auth.and_then(|auth| Auth::try_from(auth.expose()).ok());
    let session = match &value {
        Some(_) if !connection.access().plain_auth => Some(encrypting(connection, parent.handle)?),
        _ => None,
    };
    let made = parent.run(connection, operator, "TPM2_Create", |context, parent| {
        let (authorising, ..) = context.sessions();
        context.execute_with_sessions((authorising, session, None), |context| {
            let (template, value) = (template.clone(), value.clone());
            context.create(parent, template, value, None, None, None)
        })
    });
    let ended = match session {
        Some(session) => connection.flush(SessionHandle::from(session)),
        None => Ok(()),
    };
    let made = made?;
    ended.map(|()| made)
}

/// A session that encrypts what is sent: it is salted to the parent key, so that nobody who only listens
/// learns the auth value.
fn encrypting(connection: &mut Connection, parent: KeyHandle) -> Result<AuthSession, TpmError> {
    connection.record(What::Session, |connection| {
        connection.run("a session", "TPM2_StartAuthSession", |context| {
            let session = context.execute_without_session(|context| {
                context.start_auth_session(
                    Some(parent),
                    None,
                    None,
                    SessionType::Hmac,
                    SymmetricDefinition::AES_128_CFB,
                    HashingAlgorithm::Sha256,
                )
            })?;
            let session =
                session.ok_or(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm))?;
            let (attributes, mask) = SessionAttributesBuilder::new()
                .with_continue_session(true)
                .with_decrypt(true)
                .build();
            context.tr_sess_set_attributes(session, attributes, mask)?;
            Ok(session)
        })
    })
}

/// A key that was made.
struct New<'a> {
    called: &'a str,
    parent: ParentKey,
    /// The same, if sessions can be salted to it.
    salt: Option<SaltKey>,
    made: CreateKeyResult,
    empty_auth: bool,
    policy: Vec<PolicyCommand>,
}

impl New<'_> {
    /// Writes it into a file.
    fn file(self) -> Result<GeneratedKey, TpmError> {
        let area = self.made.out_public.marshall();
        let file = KeyFile {
            kind: Kind::Loadable,
            empty_auth: self.empty_auth,
            policy: self.policy.clone(),
            signed_policies: Vec::new(),
            description: None,
            parent: self.parent,
            parent_name: self.salt.as_ref().map(|salt| salt.name.clone()),
            public: area.map_err(|error| self.strange(error.to_string()))?,
            private: self.made.out_private.value().to_vec(),
        };
        let text = file.write().map_err(|error| error.of(self.called))?;
        self.generated(Some(text.into_bytes()))
    }

    /// Puts it at a persistent handle.
    fn persist(
        self,
        connection: &mut Connection,
        parent: &mut Parent,
        operator: &mut dyn Operator,
        handle: u32,
        persisted: &mut Option<GeneratedKey>,
    ) -> Result<GeneratedKey, TpmError> {
        let generated = self.generated(None)?;
        let at = PersistentTpmHandle::new(handle).map_err(|_| TpmError::NoKey { handle })?;
        let (public, private) = (&self.made.out_public, &self.made.out_private);
        let loaded = connection.record(What::area(&public::bytes(public)), |connection| {
            parent.run(connection, operator, "TPM2_Load", |context, parent| {
                context.load(parent, private.clone(), public.clone())
            })
        })?;
        let put = connection.while_loaded(loaded, |connection| {
            let place = dynamic_handles::Persistent::Persistent(at);
            Hierarchy::owner()
                .run(
                    connection,
                    operator,
                    self.called,
                    "TPM2_EvictControl",
                    |context| {
                        context.evict_control(Provision::Owner, ObjectHandle::from(loaded), place)
                    },
                )
                .map(|_| *persisted = Some(generated.clone()))
        });
        match put {
            Ok(()) => Ok(generated),
            // Someone else was faster.
            Err(TpmError::Call { error, .. }) if error.code.bare() == code::NV_DEFINED => {
                Err(TpmError::Exists { handle })
            }
            Err(error) => Err(error),
        }
    }

    fn generated(&self, file: Option<Vec<u8>>) -> Result<GeneratedKey, TpmError> {
        let public = &self.made.out_public;
        let area = public.marshall();
        let area = area.map_err(|error| self.strange(error.to_string()))?;
        let mut name = Vec::from(new_key::SHA256.to_be_bytes());
        name.extend(&*Hash::Sha256.digest(&area));
        Ok(GeneratedKey {
            file,
            public_key: public::public_key(public).map_err(|reason| self.strange(reason))?,
            name,
            salt: self.salt.clone(),
        })
    }

    fn strange(&self, reason: String) -> TpmError {
        TpmError::Key {
            key: self.called.to_owned(),
            reason: format!("what the TPM made is no key that serves: {reason}"),
            remedy: String::new(),
        }
    }
}

/// Asks for the owner's password once: it is needed for the storage root key and for the handle.
struct Remembering<'a> {
    operator: &'a mut dyn Operator,
    owner: Option<Secret>,
}

impl Operator for Remembering<'_> {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        if request.of != Object::Owner {
            return self.operator.auth(request);
        }
        if request.refused || self.owner.is_none() {
            self.owner = self.operator.auth(request)?;
        }
        Ok(self.owner.clone())
    }

    fn is_person(&self) -> bool {
        self.operator.is_person()
    }
}

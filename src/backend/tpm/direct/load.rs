//! Loads the key of a `TSS2 PRIVATE KEY` file.

use std::borrow::ToOwned as _;
use std::format;
use std::vec::Vec;

use super::connection::{Connection, bytes};
use super::hierarchy::Hierarchy;
use super::parent::Parent;
use super::{policy, public, salt, session};
use crate::backend::tpm::auth::Reached as _;
use crate::backend::tpm::device::Operator;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::{KeyFile, Kind, ParentKey, PolicyStep};
use crate::backend::tpm::ledger::What;
use crate::backend::tpm::uri::SaltKey;
use crate::backend::tpm::{loading, policy::wants_auth as policy_wants_auth, primary};
use crate::core::tpm::{Auth, Name, PublicArea, SaltTo, Session, SessionKind, attributes};

/// A key from a file, in the TPM.
pub struct LoadedFile {
    /// Where the TPM has it.
    pub handle: u32,
    /// Its public area.
    pub area: PublicArea,
    /// Its name.
    pub name: Name,
    /// The policy by which it is used; empty, if it is used by its auth value.
    pub policy: Vec<PolicyStep>,
    /// What sessions can be salted to.
    pub salt: Option<SaltKey>,
    /// Whether the key is used by an auth value in sessions, as far as the file says.
    pub wants_session: bool,
    /// Whether sessions with it may have to be salted.
    pub wants_salt: bool,
    /// Such a session, salted to the parent while that was in the TPM.
    pub session: Option<Session>,
}

/// Loads the key of a file, which is called so. Its parent is not left in the TPM. A session for the key is
/// salted to the parent, unless there is another salt key `beside` the file, which goes before what is in it.
///
/// # Errors
/// [`TpmError::File`] or [`TpmError::Key`], which name it; [`TpmError`].
pub fn load(
    connection: &mut Connection,
    called: &str,
    contents: &[u8],
    beside: Option<&SaltKey>,
    operator: &mut dyn Operator,
) -> Result<LoadedFile, TpmError> {
    let file = KeyFile::read(contents).map_err(|error| error.of(called))?;
    let damaged = |field: &str| {
        let reason = format!("{field}: it is none that a TPM takes");
        loading::wrong(called, reason, "")
    };
    let area = PublicArea::read(&file.public).map_err(|_| damaged("pubkey"))?;
    if file.private.len() > MAX_PRIVATE_LEN {
        return Err(damaged("privkey"));
    }
    public::check(&area).map_err(|reason| TpmError::Key {
        key: called.to_owned(),
        reason,
        remedy: "`keystead key generate tpm:…` makes a key that signs".to_owned(),
    })?;
    let policy = loading::steps(&file, area.has(attributes::USER_WITH_AUTH), called)?;
    if !policy.is_empty() {
        policy::check(connection, called, &area, &policy)?;
    }
    let wants_session = !file.empty_auth && policy.is_empty() && !connection.access().plain_auth;
    let salt = file.salt();
    // Whether libtss2 has to encrypt the salt is found out before anybody is asked for the parent's auth value.
    // Who writes the parent's name into a file, says rightly whether the key has an auth value: not all do.
    let may_have_auth = policy.is_empty() || policy_wants_auth(&policy);
    let wants_salt =
        !connection.access().plain_auth && may_have_auth && (beside.is_some() || !file.empty_auth);
    if wants_salt
        && let Some(beside) = beside
        && file.parent != ParentKey::Handle(beside.handle)
    {
        salt::check(connection, beside)?;
    }
    let loaded = Parent::with(
        connection,
        file.parent,
        called,
        operator,
        |connection, parent, operator| {
            loading::check_name(&file, &parent.name, called)?;
            let salt = match beside {
                Some(beside) => {
                    let is_it = beside.handle == parent.handle && *beside.name == *parent.name;
                    is_it.then_some(beside)
                }
                None => salt.as_ref(),
            };
            if wants_salt && let Some(salt) = salt {
                salt::fits(salt, &parent.area)?;
            }
            let private = match &file.kind {
                Kind::Loadable => file.private.clone(),
                Kind::Importable { secret } => {
                    import(connection, parent, operator, &area, &file.private, secret)
                        .map_err(|error| too_long(error, called))?
                }
            };
            let (handle, name) = load_under(connection, parent, operator, &private, &area)?;
            // What it is has the name that was recorded.
            let session = match salt {
                Some(_) if wants_session => {
                    let to = SaltTo {
                        handle: parent.handle,
                        area: &parent.area,
                    };
                    Some(session::start_with(
                        connection,
                        SessionKind::Hmac,
                        Some(to),
                    )?)
                }
                _ => None,
            };
            Ok((handle, name, session))
        },
    );
    let (handle, name, session) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            let fitting = match loading::is_of_another_parent(&error) {
                true => fitting_parent(connection, operator, &file, called, &area),
                false => None,
            };
            return Err(loading::explained(error, file.parent, called, fitting));
        }
    };
    Ok(LoadedFile {
        handle,
        area,
        name,
        policy,
        salt,
        wants_session,
        wants_salt,
        session,
    })
}

/// The longest TPM2B_PRIVATE that the protocol's crate takes: that of RSA with 4096 bits is shorter.
const MAX_PRIVATE_LEN: usize = 1408;

fn load_under(
    connection: &mut Connection,
    parent: &mut Parent,
    operator: &mut dyn Operator,
    private: &[u8],
    area: &PublicArea,
) -> Result<(u32, Name), TpmError> {
    let (at, name) = (parent.handle, parent.name);
    connection.record(
        What::area(&bytes(area)),
        |connection| {
            parent.run(connection, operator, "TPM2_Load", |chip, auth| {
                chip.load(at, &name, auth, private, area)
            })
        },
        |(handle, _)| *handle,
    )
}

/// Makes what was wrapped for the parent key into what can be loaded under it. There is no inner wrapper
/// (draft-bottomley-tpm2-keys, section 3.1.4).
fn import(
    connection: &mut Connection,
    parent: &mut Parent,
    operator: &mut dyn Operator,
    area: &PublicArea,
    wrapped: &[u8],
    secret: &[u8],
) -> Result<Vec<u8>, TpmError> {
    let (at, name) = (parent.handle, parent.name);
    parent.run(connection, operator, "TPM2_Import", |chip, auth| {
        chip.import(at, &name, auth, area, wrapped, secret, <[u8]>::to_vec)
    })
}

fn too_long(error: TpmError, called: &str) -> TpmError {
    match &error {
        TpmError::Call { error: call, .. } if call.code == crate::backend::tpm::code::BAD_VALUE => {
            let reason = "secret: it is longer than any that a TPM takes".to_owned();
            loading::wrong(called, reason, "")
        }
        _ => error,
    }
}

/// What a primary key was made by that the key is loadable under: it is made by another template in other
/// programs. Looked for only to say so.
fn fitting_parent(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    file: &KeyFile,
    called: &str,
    area: &PublicArea,
) -> Option<&'static str> {
    let ParentKey::Primary(hierarchy, template) = file.parent else {
        return None;
    };
    let mut hierarchy = Hierarchy::new(hierarchy);
    let tried = primary::template(template).called;
    let others = primary::KNOWN.iter().filter(|other| other.called != tried);
    let mut fitting = others.filter(|other| {
        let template = other.area();
        let Ok((at, _, name)) = hierarchy.create_primary(connection, operator, called, &template)
        else {
            return false;
        };
        let loaded = connection.while_loaded(at, |connection| {
            let (key, _) = connection.record(
                What::area(&bytes(area)),
                |connection| {
                    connection.run(called, "TPM2_Load", |chip| {
                        chip.load(at, &name, Auth::Password(&[]), &file.private, area)
                    })
                },
                |(handle, _)| *handle,
            )?;
            connection.flush(key)
        });
        loaded.is_ok()
    });
    fitting.next().map(|template| template.called)
}

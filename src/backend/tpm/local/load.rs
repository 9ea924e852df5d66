//! Loads the key of a `TSS2 PRIVATE KEY` file.

use std::borrow::ToOwned as _;
use std::format;
use std::vec::Vec;

use tss_esapi::handles::KeyHandle;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Private, Public};
use tss_esapi::traits::UnMarshall as _;

use super::connection::Connection;
use super::hierarchy::Hierarchy;
use super::parent::Parent;
use super::session::Session;
use super::{import, policy, public};
use crate::backend::tpm::auth::Reached as _;
use crate::backend::tpm::device::Operator;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::{KeyFile, Kind, ParentKey, PolicyStep};
use crate::backend::tpm::ledger::What;
use crate::backend::tpm::loading;
use crate::backend::tpm::primary;
use crate::backend::tpm::uri::SaltKey;

/// A key from a file, in the TPM.
#[derive(Debug)]
pub struct LoadedFile {
    /// Where the TPM has it.
    pub handle: KeyHandle,
    /// Its public area.
    pub public: Public,
    /// Its name.
    pub name: Vec<u8>,
    /// The policy by which it is used; empty, if it is used by its auth value.
    pub policy: Vec<PolicyStep>,
    /// What sessions can be salted to.
    pub salt: Option<SaltKey>,
    /// Whether the key is used by an auth value in sessions, as far as the file says.
    pub wants_session: bool,
    /// Such a session, salted to the parent while that was in the TPM.
    pub session: Option<Session>,
}

/// Loads the key of a file, which is called so. Its parent is not left in the TPM. A session for the key is
/// salted to the parent if it `may_be_salt`.
///
/// # Errors
/// [`TpmError::File`] or [`TpmError::Key`], which name it; [`TpmError`].
pub fn load(
    connection: &mut Connection,
    called: &str,
    contents: &[u8],
    may_be_salt: bool,
    operator: &mut dyn Operator,
) -> Result<LoadedFile, TpmError> {
    let file = KeyFile::read(contents).map_err(|error| error.of(called))?;
    let damaged = |field: &str| {
        let reason = format!("{field}: it is none that a TPM takes");
        loading::wrong(called, reason, "")
    };
    let public = Public::unmarshall(&file.public).map_err(|_| damaged("pubkey"))?;
    let private = Private::try_from(&*file.private).map_err(|_| damaged("privkey"))?;
    public::check(&public).map_err(|reason| TpmError::Key {
        key: called.to_owned(),
        reason,
        remedy: "`keystead key generate tpm:…` makes a key that signs".to_owned(),
    })?;
    let policy = loading::steps(&file, public.object_attributes().user_with_auth(), called)?;
    if !policy.is_empty() {
        policy::check(connection, called, &public, &policy)?;
    }
    let wants_session = !file.empty_auth && policy.is_empty() && !connection.access().plain_auth;
    let loaded = Parent::with(
        connection,
        file.parent,
        called,
        operator,
        |connection, parent, operator| {
            loading::check_name(&file, &parent.name, called)?;
            let private = match &file.kind {
                Kind::Loadable => private.clone(),
                Kind::Importable { secret } => import::import(
                    connection, parent, operator, called, &public, &private, secret,
                )?,
            };
            let key = connection.record(What::area(&public::bytes(&public)), |connection| {
                parent.run(connection, operator, "TPM2_Load", |context, parent| {
                    context.load(parent, private.clone(), public.clone())
                })
            })?;
            // It was made just now, and has the name that was recorded.
            let is_known = parent.is_primary && file.parent_name.is_some();
            let session = match wants_session && may_be_salt && is_known {
                true => Some(Session::start_with(connection, parent.handle)?),
                false => None,
            };
            Ok((key, session))
        },
    );
    let (handle, session) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => {
            let fitting = match loading::is_of_another_parent(&error) {
                true => {
                    fitting_parent(connection, operator, file.parent, called, &private, &public)
                }
                false => None,
            };
            return Err(loading::explained(error, file.parent, called, fitting));
        }
    };
    let name = connection.run(called, "Esys_TR_GetName", |context| {
        context.tr_get_name(handle.into())
    })?;
    Ok(LoadedFile {
        handle,
        public,
        name: name.value().to_vec(),
        policy,
        salt: file.salt(),
        wants_session,
        session,
    })
}

/// What a primary key was made by that the key is loadable under: it is made by another template in other
/// programs. Looked for only to say so.
fn fitting_parent(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    parent: ParentKey,
    called: &str,
    private: &Private,
    public: &Public,
) -> Option<&'static str> {
    let ParentKey::Primary(hierarchy, template) = parent else {
        return None;
    };
    let mut hierarchy = Hierarchy::new(hierarchy);
    let tried = primary::template(template).called;
    let others = primary::KNOWN.iter().filter(|other| other.called != tried);
    let mut fitting = others.filter(|other| {
        let template = public::of_template(other);
        let Ok(parent) = hierarchy.create_primary(connection, operator, called, &template) else {
            return false;
        };
        let loaded = connection.while_loaded(parent, |connection| {
            let key = connection.record(What::area(&public::bytes(public)), |connection| {
                connection.run(called, "TPM2_Load", |context| {
                    context.execute_with_session(Some(AuthSession::Password), |context| {
                        context.load(parent, private.clone(), public.clone())
                    })
                })
            })?;
            connection.flush(key)
        });
        loaded.is_ok()
    });
    fitting.next().map(|template| template.called)
}

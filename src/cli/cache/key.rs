//! Everything that decides about the credentials, as it was configured.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::string::ToString as _;

#[cfg(feature = "tpm-direct")]
use crate::backend::tpm::KeyName;
use crate::cli::context::Context;
use crate::cli::identity_plan::IdentityPlan;
use crate::cli::place::Place;
use crate::cli::plan::Plan;
use crate::host::cache::{Key, KeyBuilder};
use crate::host::tls::Trust;

/// Variables by which modules and libtss2 find another device under the same name, if only because they
/// read another file of settings.
const DEVICE_VARIABLES: [&str; 9] = [
    "SOFTHSM2_CONF",
    "YUBIHSM_PKCS11_CONF",
    "P11_KIT_SERVER_ADDRESS",
    "TPM2_PKCS11_STORE",
    "TPM2_PKCS11_TCTI",
    "TPM2TOOLS_TCTI",
    "TCTI",
    "HOME",
    "XDG_CONFIG_HOME",
];

/// The key of what a plan asks for. Where PINs and passwords come from is no part of it. No device is
/// looked at.
///
/// # Errors
/// [`io::Error`] if a file is not there.
pub fn of(plan: &Plan, context: &Context<'_>) -> io::Result<Key> {
    let mut key = KeyBuilder::new();
    identity(&mut key, &plan.identity, context)?;
    let session = &plan.session;
    let arns = &session.arns;
    let name = session.role_session_name.as_deref();
    for (name, value) in [
        ("trust anchor", arns.trust_anchor().as_str()),
        ("profile", arns.profile().as_str()),
        ("role", arns.role().as_str()),
        ("session name", name.unwrap_or_default()),
        ("region", &session.region),
        ("endpoint", &session.endpoint.url("")),
        ("duration", &session.duration.to_string()),
    ] {
        key.value(name, value.as_bytes());
    }
    // What came from somebody who was not made to prove who he is is not for those who want proof.
    match &plan.network.transport.trust {
        Trust::System => key.value("trust", b"system"),
        Trust::Anyone => key.value("trust", b"anyone"),
        Trust::Bundle(path) => key.file("trust", path)?,
    }
    Ok(key.finish())
}

/// The key of how a plan reaches the service: what failed on one way may succeed on another.
pub fn of_way(plan: &Plan) -> Key {
    let mut key = KeyBuilder::new();
    let (transport, retry) = (&plan.network.transport, &plan.network.retry);
    let proxy = transport.proxy.as_deref().unwrap_or_default();
    key.value("proxy", proxy.as_bytes());
    for (name, duration) in [
        ("connect timeout", transport.connect_timeout),
        ("timeout", transport.timeout),
        ("within", retry.within),
    ] {
        key.value(name, &duration.as_nanos().to_be_bytes());
    }
    key.value("attempts", &retry.attempts.to_be_bytes());
    key.value("correct clock", &[plan.network.correct_clock.into()]);
    key.finish()
}

fn identity(key: &mut KeyBuilder, plan: &IdentityPlan, context: &Context<'_>) -> io::Result<()> {
    for (name, place) in [("certificate", &plan.certificate), ("key", &plan.key)] {
        match place {
            None => {}
            Some(Place::File(path)) => key.file(name, path)?,
            #[cfg(feature = "pkcs11")]
            Some(Place::Token(place)) => {
                key.value(name, place.uri.to_string().as_bytes());
                let module = plan.token.module_of(Some(place));
                key.value("module", module.as_os_str().as_bytes());
            }
            #[cfg(feature = "tpm-direct")]
            Some(Place::Tpm(place)) => {
                match &place.key {
                    KeyName::Handle(handle) => key.value(name, &handle.to_be_bytes()),
                    KeyName::File(path) => key.file(name, path)?,
                }
                let tcti = place.tcti.as_ref().or(plan.tpm.tcti.as_ref());
                key.value("tcti", tcti.map_or(&[][..], |tcti| tcti.as_bytes()));
            }
        }
    }
    for name in DEVICE_VARIABLES {
        let value = context.environment.var(name).unwrap_or_default();
        key.value(name, value.as_bytes());
    }
    if let Some(path) = &plan.intermediates {
        key.file("intermediates", path)?;
    }
    // What was let through once does not count for who is stricter.
    for (name, is_on) in [
        ("strict", plan.strict),
        ("hardware", plan.require_hardware),
        ("rules", plan.skip_rules || context.drop_in),
    ] {
        key.value(name, &[is_on.into()]);
    }
    Ok(())
}

//! What a TPM says of itself.

use core::ops::RangeInclusive;
use std::vec::Vec;

use tss_esapi::Error;
use tss_esapi::constants::{AlgorithmIdentifier, CapabilityType, EccCurveIdentifier, PropertyTag};
use tss_esapi::structures::{CapabilityData, PublicParameters};
use tss_esapi::tss2_esys::TPM2_HANDLE;

use super::connection::Connection;
use crate::backend::tpm::code::ResponseCode;
use crate::backend::tpm::error::TpmError;

/// How many handles are asked for at once. A TPM may give fewer, and says that there are more.
const AT_ONCE: u32 = 64;

/// The handles in a range that something is at, in ascending order.
///
/// # Errors
/// [`TpmError::Call`].
pub fn handles(
    connection: &mut Connection,
    range: RangeInclusive<u32>,
) -> Result<Vec<u32>, TpmError> {
    let mut found = Vec::new();
    let mut first = *range.start();
    loop {
        let (data, more) = ask(connection, CapabilityType::Handles, first, AT_ONCE)?;
        let CapabilityData::Handles(handles) = data else {
            return Ok(found);
        };
        let before = found.len();
        let handles = handles.into_inner().into_iter().map(TPM2_HANDLE::from);
        found.extend(handles.filter(|handle| range.contains(handle) && *handle >= first));
        // A TPM that says that there is more, and gives none, is not asked for ever.
        match found.last() {
            Some(last) if more && found.len() > before && last < range.end() => first = last + 1,
            _ => return Ok(found),
        }
    }
}

/// A property, if the TPM has it.
///
/// # Errors
/// [`TpmError::Call`].
pub fn property(connection: &mut Connection, tag: PropertyTag) -> Result<Option<u32>, TpmError> {
    match one(connection, CapabilityType::TpmProperties, tag.into())? {
        Some(CapabilityData::TpmProperties(properties)) => {
            Ok(properties.find(tag).map(|property| property.value()))
        }
        _ => Ok(None),
    }
}

/// Whether the TPM has an algorithm.
///
/// # Errors
/// [`TpmError::Call`].
pub fn has_algorithm(
    connection: &mut Connection,
    algorithm: AlgorithmIdentifier,
) -> Result<bool, TpmError> {
    let number = u16::from(algorithm).into();
    Ok(matches!(
        one(connection, CapabilityType::Algorithms, number)?,
        Some(CapabilityData::Algorithms(list)) if list.find(algorithm).is_some()
    ))
}

/// Whether the TPM has a curve.
///
/// # Errors
/// [`TpmError::Call`].
pub fn has_curve(connection: &mut Connection, curve: EccCurveIdentifier) -> Result<bool, TpmError> {
    let number = u16::from(curve).into();
    Ok(matches!(
        one(connection, CapabilityType::EccCurves, number)?,
        Some(CapabilityData::EccCurves(list)) if list.contains(&curve)
    ))
}

/// Whether the TPM has keys with these parameters.
///
/// # Errors
/// [`TpmError::Call`].
pub fn has_keys(
    connection: &mut Connection,
    parameters: PublicParameters,
) -> Result<bool, TpmError> {
    let tested = connection.run("the TPM", "TPM2_TestParms", |context| {
        context.execute_without_session(|context| context.test_parms(parameters))
    });
    match tested {
        Ok(()) => Ok(true),
        // It says which of them it does not know; above that are the layers on the way to it.
        Err(TpmError::Call { error, .. }) if error.code.0 <= 0xfff => Ok(false),
        Err(error) => Err(error),
    }
}

/// One property; `None` if it is one that a maker added of his own, of which tss-esapi knows nothing.
fn one(
    connection: &mut Connection,
    kind: CapabilityType,
    number: u32,
) -> Result<Option<CapabilityData>, TpmError> {
    match ask(connection, kind, number, 1) {
        Ok((data, _)) => Ok(Some(data)),
        Err(TpmError::Call { error, .. }) if is_of_esapi(error.code) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether it was not the TPM that had something against it.
fn is_of_esapi(code: ResponseCode) -> bool {
    matches!(code.0 >> 16, 7) || code.0 == 0
}

/// Asks for `count` properties from `first` on; whether there are more.
fn ask(
    connection: &mut Connection,
    kind: CapabilityType,
    first: u32,
    count: u32,
) -> Result<(CapabilityData, bool), TpmError> {
    connection.run("the TPM", "TPM2_GetCapability", |context| {
        context.execute_without_session(|context| -> Result<_, Error> {
            context.get_capability(kind, first, count)
        })
    })
}

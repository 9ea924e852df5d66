//! Removes what was left in a TPM without a resource manager by those of us who were killed.

use core::ops::RangeInclusive;
use std::vec::Vec;

use tss_esapi::handles::{KeyHandle, ObjectHandle, TpmHandle};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{AttestInfo, Data, Public, SignatureScheme};

use super::capability;
use super::connection::Connection;
use super::ledger::{self, Epoch, Ledger, Record, Thing, What};
use crate::backend::tpm::code;
use crate::backend::tpm::error::TpmError;

/// Transient objects, and sessions that are loaded: of HMAC, and of policy (TPM 2.0 Part 2, section 7.2).
const OBJECTS: RangeInclusive<u32> = 0x8000_0000..=0x80ff_ffff;
const LOADED_SESSIONS: RangeInclusive<u32> = 0x0200_0000..=0x03ff_ffff;

/// What a TPM says of its time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// How long it has been running, in milliseconds.
    time: u64,
    /// Since which start.
    pub epoch: Epoch,
}

/// Removes what is left of those who are not there any more. Whether that was anything.
///
/// An object is known by its public area. Where the TPM has more such objects than are written down, or one
/// of us who is there has one, nobody can tell which are left, and they stay. A session is known by its
/// handle; that of one who was killed while the TPM started it is not known, and it stays.
///
/// # Errors
/// [`TpmError`], if the TPM does not answer.
pub fn flush(connection: &mut Connection) -> Result<bool, TpmError> {
    if connection.has_resource_manager() {
        return Ok(false);
    }
    let (left, present) = ledger::others(connection.access(), connection.ledger());
    let has_things = left.iter().any(|left| !left.record.things.is_empty());
    let clock = match has_things {
        true => clock(connection),
        false => None,
    };
    let Some((clock, uptime)) = clock.zip(ledger::uptime()) else {
        // There is nothing to remove, or nobody can tell whether it is there still.
        left.into_iter()
            .filter(|left| left.record.things.is_empty())
            .for_each(ledger::Left::remove);
        return Ok(false);
    };
    let wanted = still_there(left.iter().map(|left| &left.record), &clock, uptime);
    let present = present.iter().flat_map(|record| &record.things);
    let mut taken: Vec<What> = present.map(|thing| thing.what).collect();
    taken.extend(
        connection
            .ledger()
            .into_iter()
            .flat_map(Ledger::loaded_things),
    );
    let mut has_flushed = false;
    let is_session = |what: &What| matches!(what, What::Session | What::SessionAt(_));
    if !wanted.iter().all(is_session) {
        has_flushed |= flush_objects(connection, &wanted, &taken)?;
    }
    if wanted.iter().any(is_session) {
        has_flushed |= flush_sessions(connection, &wanted, &taken)?;
    }
    left.into_iter().for_each(ledger::Left::remove);
    Ok(has_flushed)
}

/// What the TPM says of its time; `None` if it does not: only the endorsement hierarchy is told, and that
/// may have a password. Numbers may be changed by a constant, as long as nobody signs them: they are
/// compared, and nothing else.
pub fn clock(connection: &mut Connection) -> Option<Clock> {
    let none = Some(AuthSession::Password);
    let (attest, _) = connection
        .run("the TPM", "TPM2_GetTime", |context| {
            context.execute_with_sessions((none, none, None), |context| {
                context.get_time(KeyHandle::Null, Data::default(), SignatureScheme::Null)
            })
        })
        .ok()?;
    let AttestInfo::Time { info } = attest.attested() else {
        return None;
    };
    let time = info.time_info();
    let clock = time.clock_info();
    Some(Clock {
        time: time.time(),
        epoch: Epoch {
            reset: clock.reset_count(),
            restart: clock.restart_count(),
        },
    })
}

/// What can still be in the TPM: it has not been started since. Where nobody asked it which start it was,
/// its clock tells.
fn still_there<'a>(
    records: impl Iterator<Item = &'a Record>,
    clock: &Clock,
    uptime: u64,
) -> Vec<What> {
    let things = records.flat_map(|record| record.things.iter().map(|thing| (record.epoch, thing)));
    let there = things.filter(|(epoch, Thing { since, .. })| match epoch {
        Some(epoch) => *epoch == clock.epoch,
        None => clock.time >= uptime.saturating_sub(*since),
    });
    there.map(|(_, thing)| thing.what).collect()
}

fn flush_objects(
    connection: &mut Connection,
    wanted: &[What],
    taken: &[What],
) -> Result<bool, TpmError> {
    let mut objects = Vec::new();
    for handle in capability::handles(connection, OBJECTS)? {
        if let Some(public) = public(connection, handle)? {
            objects.push((handle, public));
        }
    }
    let mut has_flushed = false;
    for (handle, public) in &objects {
        let same = |other: &What| other.is(public);
        let recorded = wanted.iter().filter(|what| same(what)).count();
        let alike = objects
            .iter()
            .filter(|(_, other)| wanted.iter().any(|what| same(what) && what.is(other)))
            .count();
        if recorded > 0 && alike <= recorded && !taken.iter().any(same) {
            has_flushed |= flush_handle(connection, *handle)?;
        }
    }
    Ok(has_flushed)
}

fn flush_sessions(
    connection: &mut Connection,
    wanted: &[What],
    taken: &[What],
) -> Result<bool, TpmError> {
    let mut has_flushed = false;
    for handle in capability::handles(connection, LOADED_SESSIONS)? {
        let at = What::SessionAt(handle);
        if wanted.contains(&at) && !taken.contains(&at) {
            has_flushed |= flush_handle(connection, handle)?;
        }
    }
    Ok(has_flushed)
}

/// The public area of what is at a handle; `None` if it is gone, or of no kind that we load.
fn public(connection: &mut Connection, handle: u32) -> Result<Option<Public>, TpmError> {
    let Some(object) = find(connection, handle) else {
        return Ok(None);
    };
    let read = connection.run("what is loaded", "TPM2_ReadPublic", |context| {
        context.execute_without_session(|context| context.read_public(object.into()))
    });
    // It may be another's: ESYS has to forget it, or it would be flushed with the connection. tss-esapi
    // says that this should not be, and does so.
    let _ = connection.run("what is loaded", "Esys_TR_Close", |context| {
        context.tr_close(&mut { object })
    });
    Ok(read.ok().map(|(public, ..)| public))
}

fn flush_handle(connection: &mut Connection, handle: u32) -> Result<bool, TpmError> {
    let Some(object) = find(connection, handle) else {
        return Ok(false);
    };
    match connection.flush(object) {
        Ok(()) => Ok(true),
        // tss-esapi did not expect policy sessions to be flushed that it has not started, after it did so.
        Err(TpmError::Call { error, .. }) if error.code == code::BAD_VALUE => Ok(true),
        Err(error) => Err(error),
    }
}

fn find(connection: &mut Connection, handle: u32) -> Option<ObjectHandle> {
    let handle = TpmHandle::try_from(handle).ok()?;
    connection
        .run("what is loaded", "TPM2_ReadPublic", |context| {
            context.execute_without_session(|context| context.tr_from_tpm_public(handle))
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    fn record(epoch: Option<(u32, u32)>, since: u64) -> Record {
        let mut record = Record::new("boot".to_string());
        record.epoch = epoch.map(|(reset, restart)| Epoch { reset, restart });
        record.things.push(Thing {
            what: What::Session,
            since,
        });
        record
    }

    #[test]
    fn what_was_before_a_start_of_the_tpm_is_not_looked_for() {
        // It has been running for ten seconds, and the machine for a hundred.
        let clock = Clock {
            time: 10_000,
            epoch: Epoch {
                reset: 5,
                restart: 1,
            },
        };
        for (epoch, since, there) in [
            (None, 95_000, true),
            (None, 90_000, true),
            (None, 89_999, false),
            (None, 100_001, true),
            (Some((5, 1)), 1_000, true),
            (Some((5, 0)), 99_000, false),
            (Some((4, 1)), 99_000, false),
        ] {
            let record = record(epoch, since);
            let found = still_there([&record].into_iter(), &clock, 100_000);
            assert_eq!(!found.is_empty(), there, "{epoch:?} {since}");
        }
    }
}

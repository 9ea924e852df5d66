//! Removes what was left in a TPM without a resource manager by those of us who were killed.

use core::ops::RangeInclusive;
use std::vec::Vec;

use super::auth::Reached;
use super::error::TpmError;
use super::ledger::{self, Epoch, Ledger, Record, Thing, What};

/// Transient objects, and sessions that are loaded: of HMAC, and of policy (TPM 2.0 Part 2, section 7.2).
const OBJECTS: RangeInclusive<u32> = 0x8000_0000..=0x80ff_ffff;
const LOADED_SESSIONS: RangeInclusive<u32> = 0x0200_0000..=0x03ff_ffff;

/// What a TPM says of its time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// How long it has been running, in milliseconds.
    pub time: u64,
    /// Since which start.
    pub epoch: Epoch,
}

/// A connection to a TPM where things can be left.
pub trait Tidied: Reached {
    /// What it has in the TPM; `None` where a resource manager keeps account.
    fn ledger(&self) -> Option<&Ledger>;

    /// What the TPM says of its time; `None` if it does not: only the endorsement hierarchy is told, and that
    /// may have a password. Numbers may be changed by a constant, as long as nobody signs them: they are
    /// compared, and nothing else.
    fn clock(&mut self) -> Option<Clock>;

    /// The handles in a range that something is at.
    ///
    /// # Errors
    /// [`TpmError::Call`].
    fn handles(&mut self, range: RangeInclusive<u32>) -> Result<Vec<u32>, TpmError>;

    /// The public area (TPMT_PUBLIC) of what is at a handle; `None` if it is gone, or of no kind that we load.
    ///
    /// # Errors
    /// [`TpmError::Call`].
    fn area(&mut self, handle: u32) -> Result<Option<Vec<u8>>, TpmError>;

    /// Removes what is at a handle. Whether it was there.
    ///
    /// # Errors
    /// [`TpmError::Call`].
    fn remove(&mut self, handle: u32) -> Result<bool, TpmError>;
}

/// Removes what is left of those who are not there any more. Whether that was anything.
///
/// An object is known by its public area. Where the TPM has more such objects than are written down, or one
/// of us who is there has one, nobody can tell which are left, and they stay. A session is known by its
/// handle; that of one who was killed while the TPM started it is not known, and it stays.
///
/// # Errors
/// [`TpmError`], if the TPM does not answer.
pub fn flush(connection: &mut impl Tidied) -> Result<bool, TpmError> {
    if connection.access().has_resource_manager() {
        return Ok(false);
    }
    let (left, present) = ledger::others(connection.access(), connection.ledger());
    let has_things = left.iter().any(|left| !left.record.things.is_empty());
    let clock = match has_things {
        true => connection.clock(),
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
    connection: &mut impl Tidied,
    wanted: &[What],
    taken: &[What],
) -> Result<bool, TpmError> {
    let mut objects = Vec::new();
    for handle in connection.handles(OBJECTS)? {
        if let Some(area) = connection.area(handle)? {
            objects.push((handle, area));
        }
    }
    let mut has_flushed = false;
    for (handle, area) in &objects {
        let same = |other: &What| other.is(area);
        let recorded = wanted.iter().filter(|what| same(what)).count();
        let alike = objects
            .iter()
            .filter(|(_, other)| wanted.iter().any(|what| same(what) && what.is(other)))
            .count();
        if recorded > 0 && alike <= recorded && !taken.iter().any(same) {
            has_flushed |= connection.remove(*handle)?;
        }
    }
    Ok(has_flushed)
}

fn flush_sessions(
    connection: &mut impl Tidied,
    wanted: &[What],
    taken: &[What],
) -> Result<bool, TpmError> {
    let mut has_flushed = false;
    for handle in connection.handles(LOADED_SESSIONS)? {
        let at = What::SessionAt(handle);
        if wanted.contains(&at) && !taken.contains(&at) {
            has_flushed |= connection.remove(handle)?;
        }
    }
    Ok(has_flushed)
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

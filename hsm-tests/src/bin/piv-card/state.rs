//! What the card remembers: a JSON file, replaced as a whole at each change.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::attestation;
use crate::key::SlotKey;

/// The PIN and PUK of a new card, padded.
pub const FACTORY_PIN: [u8; 8] = *b"123456\xff\xff";
pub const FACTORY_PUK: [u8; 8] = *b"12345678";

/// Everything that a card remembers.
#[derive(Serialize, Deserialize)]
pub struct State {
    pub serial: u32,
    pub pin: Reference,
    pub puk: Reference,
    pub management: ManagementKey,
    /// By slot: `0x9a`, …, and `0xf9`, which attests the others.
    pub keys: BTreeMap<u8, SlotKey>,
    /// By tag: `0x5fc105`, …; without the outer tag `0x53`.
    pub objects: BTreeMap<u32, Vec<u8>>,
}

/// A PIN or PUK.
#[derive(Serialize, Deserialize)]
pub struct Reference {
    pub value: [u8; 8],
    pub left: u8,
    pub limit: u8,
    pub default: bool,
}

/// The key of who administers the card.
#[derive(Serialize, Deserialize)]
pub struct ManagementKey {
    /// As in SP 800-78-4 table 6-2.
    pub algorithm: u8,
    pub value: Vec<u8>,
    pub touch: bool,
    pub default: bool,
}

impl Reference {
    /// With all its tries.
    pub fn new(value: [u8; 8], limit: u8) -> Self {
        Self {
            value,
            left: limit,
            limit,
            default: true,
        }
    }
}

impl State {
    /// A card as a YubiKey comes from the factory.
    pub fn new(serial: u32) -> io::Result<Self> {
        let mut state = Self {
            serial,
            pin: Reference::new(FACTORY_PIN, 3),
            puk: Reference::new(FACTORY_PUK, 3),
            management: ManagementKey {
                algorithm: 0x03,
                value: [1, 2, 3, 4, 5, 6, 7, 8].repeat(3),
                touch: false,
                default: true,
            },
            keys: BTreeMap::new(),
            objects: BTreeMap::new(),
        };
        attestation::provision(&mut state).ok_or_else(|| io::Error::other("no attestation key"))?;
        Ok(state)
    }
}

/// The state and its file.
pub struct Store {
    state: State,
    file: PathBuf,
}

impl Store {
    /// The card of a folder: the one that was there, else a new one.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        let file = folder.join("card.json");
        let known = fs::exists(&file)?;
        let state = if known {
            serde_json::from_slice(&fs::read(&file)?)?
        } else {
            let mut serial = [0; 4];
            getrandom::fill(&mut serial)?;
            State::new(u32::from_be_bytes(serial) % 100_000_000)?
        };
        let store = Self { state, file };
        if !known {
            store.save()?;
        }
        Ok(store)
    }

    /// Keeps the state as it is now.
    pub fn save(&self) -> io::Result<()> {
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec(&self.state)?)?;
        fs::rename(&new, &self.file)
    }
}

impl Deref for Store {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Store {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

//! Files and folders in memory, and what changes them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// What a file or folder is known by, whatever its name.
pub type Number = u64;

/// The folder in which all others are.
pub const ROOT: Number = 1;

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub folder: Number,
    pub name: OsString,
}

/// One system call's effect, or its promise.
#[derive(Debug, Clone)]
pub enum Change {
    /// A name for a file or folder, which is new or has another name.
    Link(Place, Number),
    /// The name is gone.
    Unlink(Place),
    /// The one takes the place of the other.
    Rename(Place, Place, Number),
    /// Bytes at a place of a file.
    Write(Number, u64, Arc<[u8]>),
    /// The file's new length.
    Resize(Number, u64),
    /// Mode, owner and group.
    Attributes(Number, u32, u32, u32),
    /// fsync or fdatasync: what was changed in this file or folder survives a power loss from here on.
    Sync(Number),
    /// What the test has learned at this point.
    Note(Note),
}

/// What a test learns while a program works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Somebody was told that the entry of this key is safe.
    Accepted(String),
    /// The bucket has it.
    Delivered(String),
}

/// A file or a folder.
#[derive(Debug, Clone)]
pub struct Node {
    pub content: Content,
    pub mode: u32,
    pub owner: u32,
    pub group: u32,
}

#[derive(Debug, Clone)]
pub enum Content {
    File(Vec<u8>),
    Folder(BTreeMap<OsString, Number>),
}

/// All of them. A file without a name stays: somebody may have it open.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: BTreeMap<Number, Node>,
    next: Number,
}

impl Tree {
    /// An empty folder.
    pub fn new(owner: u32, group: u32) -> Self {
        let root = Node {
            content: Content::Folder(BTreeMap::new()),
            mode: 0o755,
            owner,
            group,
        };
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            next: ROOT + 1,
        }
    }

    /// Something new, that has no name yet.
    pub fn add(&mut self, node: Node) -> Number {
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        number
    }

    /// All that ever was, as it was when it was new: without names and bytes.
    pub fn blank(&self) -> Self {
        let mut blank = self.clone();
        for node in blank.nodes.values_mut() {
            match &mut node.content {
                Content::File(bytes) => bytes.clear(),
                Content::Folder(names) => names.clear(),
            }
        }
        blank
    }

    pub fn node(&self, number: Number) -> Option<&Node> {
        self.nodes.get(&number)
    }

    pub fn names(&self, folder: Number) -> Option<&BTreeMap<OsString, Number>> {
        match &self.nodes.get(&folder)?.content {
            Content::Folder(names) => Some(names),
            Content::File(_) => None,
        }
    }

    pub fn bytes(&self, file: Number) -> Option<&[u8]> {
        match &self.nodes.get(&file)?.content {
            Content::File(bytes) => Some(bytes),
            Content::Folder(_) => None,
        }
    }

    pub fn find(&self, folder: Number, name: &OsStr) -> Option<Number> {
        self.names(folder)?.get(name).copied()
    }

    /// In how many folders it has a name, and how often.
    pub fn links(&self, number: Number) -> usize {
        let all = self.nodes.values();
        let names = all.filter_map(|node| match &node.content {
            Content::Folder(names) => Some(names.values().filter(|&&it| it == number).count()),
            Content::File(_) => None,
        });
        names.sum()
    }

    /// Makes a change. What it needs and is not there, since another change was lost, is passed over.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Link(place, number) => self.put(place, *number),
            Change::Unlink(place) => {
                if let Some(names) = self.names_mut(place.folder) {
                    names.remove(&place.name);
                }
            }
            Change::Rename(from, to, number) => {
                if let Some(names) = self.names_mut(from.folder)
                    && names.get(&from.name) == Some(number)
                {
                    names.remove(&from.name);
                }
                self.put(to, *number);
            }
            Change::Write(file, offset, written) => {
                if let Some(bytes) = self.bytes_mut(*file) {
                    let start = *offset as usize;
                    let end = start + written.len();
                    if bytes.len() < end {
                        bytes.resize(end, 0);
                    }
                    bytes[start..end].copy_from_slice(written);
                }
            }
            Change::Resize(file, length) => {
                if let Some(bytes) = self.bytes_mut(*file) {
                    bytes.resize(*length as usize, 0);
                }
            }
            Change::Attributes(number, mode, owner, group) => {
                if let Some(node) = self.nodes.get_mut(number) {
                    (node.mode, node.owner, node.group) = (*mode, *owner, *group);
                }
            }
            Change::Sync(_) | Change::Note(_) => {}
        }
    }

    fn put(&mut self, place: &Place, number: Number) {
        if let Some(names) = self.names_mut(place.folder) {
            names.insert(place.name.clone(), number);
        }
    }

    fn names_mut(&mut self, folder: Number) -> Option<&mut BTreeMap<OsString, Number>> {
        match &mut self.nodes.get_mut(&folder)?.content {
            Content::Folder(names) => Some(names),
            Content::File(_) => None,
        }
    }

    fn bytes_mut(&mut self, file: Number) -> Option<&mut Vec<u8>> {
        match &mut self.nodes.get_mut(&file)?.content {
            Content::File(bytes) => Some(bytes),
            Content::Folder(_) => None,
        }
    }

    /// Equal trees have equal fingerprints.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_below(ROOT, &mut hasher);
        hasher.finish()
    }

    fn hash_below(&self, number: Number, hasher: &mut DefaultHasher) {
        let Some(node) = self.nodes.get(&number) else {
            return;
        };
        node.mode.hash(hasher);
        match &node.content {
            Content::File(bytes) => bytes.hash(hasher),
            Content::Folder(names) => {
                for (name, number) in names {
                    name.hash(hasher);
                    self.hash_below(*number, hasher);
                }
                0xffu8.hash(hasher);
            }
        }
    }

    /// Writes all of it below a folder that is there.
    pub fn write_to(&self, folder: &Path) {
        self.write_below(ROOT, folder);
    }

    fn write_below(&self, number: Number, folder: &Path) {
        for (name, &number) in self.names(number).into_iter().flatten() {
            let path = folder.join(name);
            let node = &self.nodes[&number];
            match &node.content {
                Content::File(bytes) => fs::write(&path, bytes).expect("a file can be written"),
                Content::Folder(_) => {
                    fs::create_dir(&path).expect("a folder can be made");
                    self.write_below(number, &path);
                }
            }
            fs::set_permissions(&path, Permissions::from_mode(node.mode & 0o7777))
                .expect("its mode can be set");
        }
    }
}

//! A disk that can lose its power: a file system in this process, mounted for the programs under test, that
//! records every change and every sync. From the record follow the states that a real disk may be in after
//! a power loss at each moment. It can also fail, or end the program that calls, at each of its calls.
//!
//! It is mounted through /dev/fuse, which takes root or a user namespace of one's own.

mod calls;
mod disk;
mod states;
mod tree;

pub use disk::{Disk, Fault, Trouble};
pub use states::{State, States};
pub use tree::{Change, Note, Number, Place, ROOT, Tree};

//! Small records, collected into objects: newline-delimited JSON out of streams becomes batches, each of them an
//! entry of the spool.
//!
//! A record is accepted when it is on disk, and only then is its writer told. The open batch is a file in the spool.
//! Who is killed leaves it there, and the next one makes an entry of it.

mod compress;
mod error;
mod intake;
mod journal;
mod limits;
mod lines;
mod recorder;
mod recovery;
mod socket;
#[cfg(test)]
mod tests;

pub use compress::Compression;
pub use error::RecordError;
pub use intake::{Intake, Settled};
pub use limits::Limits;
pub use lines::{LARGEST_RECORD, USUAL_RECORD};
pub use recorder::{CONTENT_TYPE, Names, Observer, Options, Recorder};
pub use socket::{RecordSocket, SocketObserver};

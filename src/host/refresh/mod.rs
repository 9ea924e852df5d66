//! Fresh credentials for as long as a program runs: one thread for each identity asks for sessions ahead
//! of the end of the last one, and everybody else takes what there is.

mod refresher;
mod source;

pub use refresher::{Options, Refresher, Status};
pub use source::{Event, Failure, FailureKind, Fresh, Observer, Opened, Source};

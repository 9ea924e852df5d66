//! What is taken into the spool without being named: batches of records.

mod naming;
mod plan;

pub use naming::Namer;
pub use plan::RecordsPlan;

//! What users run, with credentials from every way out of keystead: each client uploads to the sandbox's
//! S3 and lists what is there, across new sessions, and through an outage of `CreateSession`.

mod client;
mod endurance;
mod output;
mod rig;
mod table;

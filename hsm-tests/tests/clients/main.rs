//! What users run, with credentials from every way out of keystead: each client uploads to the sandbox's
//! S3 and lists what is there, across new sessions, and through an outage of `CreateSession`.

mod client;
mod daemon;
mod endurance;
mod library;
mod output;
mod party;
mod rig;
mod table;

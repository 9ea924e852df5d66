//! Everything goes wrong, in turn and at once, while somebody looks on all the time: whatever is handed out is
//! whole and alive, sessions are asked for one at a time, and in the end all is well again by itself.
//!
//! The script of what happens is made by chance. Its seed is said when a test fails, and
//! `KEYSTEAD_FAULTS_SEED` repeats it; `KEYSTEAD_FAULTS_SECONDS` makes it longer.

mod cache;
mod client;
mod daemon;
mod ledger;
mod scene;
mod script;
mod serve;
mod update;

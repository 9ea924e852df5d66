//! Uploads to S3 servers that were not written here.

mod network;
mod objects;
mod offline;
mod rig;
mod servers;
mod spool;
mod weather;

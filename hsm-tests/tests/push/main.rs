//! Uploads to S3 servers that were not written here.

mod servers;

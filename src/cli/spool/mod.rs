//! `keystead spool`: data on disk that is on its way to S3.

pub mod place;

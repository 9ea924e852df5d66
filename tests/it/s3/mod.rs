//! Uploads to S3: the operations against the sandbox, which checks signatures, and against servers that
//! misbehave.

mod core_put;
mod hostile;
mod operations;
mod server;
mod support;
mod tls;
mod uploads;
mod vectors;
mod wire;

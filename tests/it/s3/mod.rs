//! Uploads to S3: the operations against the sandbox, which checks signatures, and against servers that
//! misbehave.

mod operations;

//! Tests of keystead against programs that were not written here: AWS's clients in Python, OpenSSL.
//!
//! `scripts/test` installs those programs, into `target/venv`. A test whose program is missing fails.

pub mod lab;
pub mod program;

pub use lab::{Device, Lab};
pub use program::{Finished, keystead, python, run};

//! Integration tests: one program, one module for each area.

mod ca;
mod cli_settings;
mod http_stream;
mod keys;
mod session;
mod sigv4_vectors;
mod support;

//! Integration tests: one program, one module for each area.

mod http_stream;
mod keys;
mod session;
mod sigv4_vectors;
mod support;

//! Integration tests: one program, one module for each area.

mod sigv4_vectors;
mod support;

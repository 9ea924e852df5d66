//! Integration tests: one program, one module for each area.

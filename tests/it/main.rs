//! Integration tests: one program, one module for each area.

mod ca;
mod certificate_requests;
mod cli_cache;
mod cli_credential_process;
mod cli_diagnostics;
mod cli_env;
mod cli_exec;
mod cli_https;
mod cli_keys;
mod cli_serve;
mod cli_settings;
mod cli_tokens;
mod cli_tpm;
mod cli_vectors;
mod core_properties;
mod create_session_vectors;
mod fuzz_seeds;
mod http_server_tls;
mod http_stream;
mod keys;
mod ml_dsa_chain;
mod sandbox;
mod session;
mod sigv4_vectors;
mod support;
mod tls;

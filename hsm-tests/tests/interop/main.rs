//! keystead with AWS's own clients, and its signatures judged by others.

mod authority;
mod aws_cli;
mod boto;
mod credentials_file;
mod docs;
mod session_package;
mod signatures;
mod sigv4;
mod tls;

//! The development CA, and what OpenSSL's program says of what it made.

mod certificates;
mod command;
mod paths;

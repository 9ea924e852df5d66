//! The server over real sockets. TLS is in `tests/it`: it needs the development CA.

mod basics;
mod limits;
mod properties;
mod refusals;
mod sockets;
mod support;
mod waiting;

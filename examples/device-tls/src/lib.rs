//! TLS for a device without an operating system.

//! A development certificate authority.

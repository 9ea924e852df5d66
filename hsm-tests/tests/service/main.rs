//! keystead as a service: systemd's judgement of the units, and the units under systemd itself.

mod packaging;
mod spool;
mod unit;

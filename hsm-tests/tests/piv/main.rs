//! Keys in the PIV application of a YubiKey: a virtual one, through Yubico's module and OpenSC's.

mod commands;
mod contract;
mod filled;
mod harness;
mod local;
mod provision;

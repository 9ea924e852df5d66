//! A PKCS#11 module that forwards to another one, writes down each call, and fails as it is told.
//!
//! It is told by a file beside it ([`Plan`]), which it reads again at each call: a test copies the
//! library into its own folder, and changes the plan while the module runs, in whichever process.
#![allow(
    non_snake_case,
    reason = "the functions are called as PKCS#11 calls them"
)]

mod forward;
mod journal;
mod object;
mod plan;
mod session;
mod slot;
mod state;

pub use cryptoki_sys as sys;
pub use journal::{Call, calls};
pub use plan::{Attribute, Effect, Fault, Mishap, Plan, Renewal, Stage, When};

//! The ports of a TPM.

use crate::port;

/// Two ports in a row, as swtpm's clients expect them.
pub struct Ports(port::Ports);

impl Ports {
    /// Two that nobody listens at.
    pub fn claim() -> Self {
        Self(port::Ports::claim(2))
    }

    /// That of the channel for commands.
    pub fn commands(&self) -> u16 {
        self.0.at(0)
    }

    /// That of the control channel.
    pub fn control(&self) -> u16 {
        self.0.at(1)
    }
}

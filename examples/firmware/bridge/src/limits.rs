//! What an image takes of flash and RAM, beside what it may take.

use std::fmt;
use std::io;
use std::path::Path;

use crate::board::Outcome;
use crate::image;

/// All that the core may take of flash for `CreateSession`, without cryptography.
pub const MAX_CORE: usize = 24 << 10;

/// RAM that `CreateSession` may take, stack and buffers, beside the certificate chain. A secure element signs.
pub const MAX_EXCHANGE: usize = 6 << 10;

/// All RAM, with P-256 in software.
pub const MAX_RAM: usize = 16 << 10;

/// A number of bytes.
#[derive(Debug)]
pub struct Figure {
    /// What they are for; indented if it is a part of the one before.
    pub name: &'static str,
    pub bytes: usize,
    /// What they may be.
    pub limit: Option<usize>,
}

impl Figure {
    fn new(name: &'static str, bytes: usize, limit: Option<usize>) -> Self {
        Self { name, bytes, limit }
    }

    /// Whether it is within its limit.
    pub fn is_within(&self) -> bool {
        self.limit.is_none_or(|limit| self.bytes <= limit)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<30} {:>6}", self.name, self.bytes)?;
        match self.limit {
            None => Ok(()),
            Some(limit) => write!(f, "  of {limit}"),
        }
    }
}

/// The figures of `image`, which has run to this `outcome`.
///
/// # Errors
/// If the image cannot be read, or did not tell one of its figures: what is missing is within no limit.
pub fn figures(image: &Path, outcome: &Outcome) -> io::Result<Vec<Figure>> {
    let flash = image::flash(image)?;
    let name = image.file_stem().unwrap_or_default();
    let is_session_alone = name == "create-session";
    let has_software_key = name == "software-key";
    // A record alone is longer than the limits.
    let has_tls = name == "tls";
    let missing = |name: &str| io::Error::other(format!("the firmware did not tell its {name}"));
    let told = |name: &str| {
        let bytes = outcome.figures.get(name).copied();
        bytes.ok_or_else(|| missing(name))
    };
    let stacks = outcome.figures.iter();
    let stacks = stacks.filter(|(name, _)| name.starts_with("stack: "));
    let stack = stacks.map(|(_, bytes)| *bytes).max();
    let stack = stack.ok_or_else(|| missing("stack"))?;
    let core = is_session_alone.then_some(MAX_CORE);
    let exchange = (!has_software_key && !has_tls).then_some(MAX_EXCHANGE);
    let statics = told("static RAM")?;
    Ok(vec![
        Figure::new("flash", flash.total(), None),
        Figure::new("  keystead's core, with texts", flash.core, core),
        Figure::new("  TLS", flash.tls, None),
        Figure::new("  cryptography", flash.cryptography, None),
        Figure::new("  this example", flash.program, None),
        Figure::new("  Rust's library", flash.language, None),
        Figure::new("  vectors", flash.vectors, None),
        Figure::new("RAM", statics + stack, (!has_tls).then_some(MAX_RAM)),
        Figure::new("  static", statics, None),
        Figure::new("  stack", stack, None),
        Figure::new("  of both, CreateSession", told("exchange")?, exchange),
    ])
}

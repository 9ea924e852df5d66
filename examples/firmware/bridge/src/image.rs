//! What an image takes of flash, by its ELF file (32 bits, little-endian).

use std::fs;
use std::io;
use std::path::Path;

/// Bytes of flash, by what they are for.
#[derive(Debug, Default)]
pub struct Flash {
    /// keystead, the crates that it reads and writes with, and all texts and tables.
    pub core: usize,
    /// embedded-tls, and what judges the server.
    pub tls: usize,
    /// SHA-256, HMAC, P-256, AES.
    pub cryptography: usize,
    /// The example itself: its board, its console.
    pub program: usize,
    /// Rust's own library: formatting, text, memory, division.
    pub language: usize,
    /// The vectors of the processor and the board, which every image has.
    pub vectors: usize,
}

impl Flash {
    /// All of it.
    pub fn total(&self) -> usize {
        self.core + self.tls + self.cryptography + self.program + self.language + self.vectors
    }

    /// Where a function belongs, by its mangled name, in which names follow upon their length.
    fn part(&mut self, name: &str) -> &mut usize {
        let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        // The crate that has it comes before those of its types and traits. What is neither's was made for keystead.
        let is_first = |crates: &[&str]| {
            let first =
                |crates: &[&str]| crates.iter().filter_map(|name_of| name.find(name_of)).min();
            match (first(crates), first(&OWNERS)) {
                (Some(this), Some(other)) => this <= other,
                _ => false,
            }
        };
        let is_program = is_first(&PROGRAMS);
        // The last one is embedded-tls's handshake for the most part.
        if is_first(&["12embedded_tls", "10device_tls"]) || has(&["_3tls4dial"]) {
            return &mut self.tls;
        }
        // These two are the core's functions for the most part, put into their only caller.
        if has(&["12open_session", "13store_reading"]) || !is_program && name.contains("8keystead")
        {
            &mut self.core
        } else if has(&CRYPTOGRAPHY) {
            &mut self.cryptography
        } else if is_program {
            &mut self.program
        } else if has(&[
            "3der",
            "9const_oid",
            "8httparse",
            "7zeroize",
            "11embedded_io",
            "OUTLINED",
        ]) {
            &mut self.core
        } else {
            &mut self.language
        }
    }
}

/// The programs' own crates.
const PROGRAMS: [&str; 2] = ["8firmware", "_3tls"];

/// Crates whose functions are told apart from those that were made for them.
const OWNERS: [&str; 5] = [
    "8firmware",
    "_3tls",
    "8keystead",
    "12embedded_tls",
    "10device_tls",
];

/// Crates that do nothing else.
const CRYPTOGRAPHY: [&str; 27] = [
    "3aes",
    "7aes_gcm",
    "4aead",
    "6cipher",
    "3ctr",
    "5ghash",
    "7polyval",
    "4hkdf",
    "14universal_hash",
    "13generic_array",
    "12block_buffer",
    "13crypto_bigint",
    "13crypto_common",
    "6ctutils",
    "6digest",
    "5ecdsa",
    "14elliptic_curve",
    "5group",
    "4hmac",
    "12hybrid_array",
    "4p256",
    "10primefield",
    "10primeorder",
    "7rfc6979",
    "4sec1",
    "4sha2",
    "6subtle",
];

/// An ELF file.
struct Image(Vec<u8>);

/// A section's header.
struct Section {
    kind: u32,
    flags: u32,
    address: u32,
    offset: usize,
    size: usize,
    /// The section that goes with it: of symbols, their names.
    link: usize,
}

// The ELF specification, figures 1-9 to 1-11 and 1-16 to 1-18.
const SHT_SYMTAB: u32 = 2;
const SHT_NOBITS: u32 = 8;
const SHF_ALLOC: u32 = 2;
const SHF_EXECINSTR: u32 = 4;
const SYMBOL: usize = 16;
const STT_FUNC: u8 = 2;

/// What the image in a file takes.
///
/// # Errors
/// Those of reading; [`io::ErrorKind::InvalidData`] if it is no such file.
pub fn flash(path: &Path) -> io::Result<Flash> {
    let image = Image(fs::read(path)?);
    if !image.0.starts_with(b"\x7fELF\x01\x01") {
        let what = format!("{} is no ELF file of 32 bits", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let sections = image.sections()?;
    let mut flash = Flash::default();
    let mut code = 0;
    for section in &sections {
        if section.flags & SHF_ALLOC == 0 || section.kind == SHT_NOBITS {
            continue;
        }
        // The vectors lie where flash begins.
        if section.address == 0 {
            flash.vectors += section.size;
        } else if section.flags & SHF_EXECINSTR != 0 {
            code += section.size;
        } else {
            flash.core += section.size;
        }
    }
    let mut functions = image.functions(&sections)?;
    functions.sort();
    // Functions that are the same share an address.
    functions.dedup_by_key(|(address, ..)| *address);
    let mut named = 0;
    for (_, size, name) in &functions {
        *flash.part(name) += size;
        named += size;
    }
    // What lies between functions: padding, constants.
    flash.core += code.saturating_sub(named);
    Ok(flash)
}

impl Image {
    fn sections(&self) -> io::Result<Vec<Section>> {
        let table = self.number(0x20)?;
        let entry = usize::from(self.half(0x2e)?);
        (0..usize::from(self.half(0x30)?))
            .map(|index| {
                let at = table + entry * index;
                Ok(Section {
                    kind: self.word(at + 4)?,
                    flags: self.word(at + 8)?,
                    address: self.word(at + 12)?,
                    offset: self.number(at + 16)?,
                    size: self.number(at + 20)?,
                    link: self.number(at + 24)?,
                })
            })
            .collect()
    }

    /// Address, size and name of each function.
    fn functions(&self, sections: &[Section]) -> io::Result<Vec<(u32, usize, &str)>> {
        let mut functions = Vec::new();
        for table in sections.iter().filter(|section| section.kind == SHT_SYMTAB) {
            let names = sections.get(table.link).ok_or(io::ErrorKind::InvalidData)?;
            for at in (table.offset..table.offset + table.size).step_by(SYMBOL) {
                let [info] = self.bytes(at + 12)?;
                if info & 0xf != STT_FUNC {
                    continue;
                }
                let name = names.offset + self.number(at)?;
                let rest = self.0.get(name..).ok_or(io::ErrorKind::InvalidData)?;
                let name = rest.split(|&byte| byte == 0).next().unwrap_or_default();
                let name = str::from_utf8(name).unwrap_or_default();
                functions.push((self.word(at + 4)?, self.number(at + 8)?, name));
            }
        }
        Ok(functions)
    }

    fn number(&self, at: usize) -> io::Result<usize> {
        self.word(at).map(|word| word as usize)
    }

    fn word(&self, at: usize) -> io::Result<u32> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    fn half(&self, at: usize) -> io::Result<u16> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn bytes<const N: usize>(&self, at: usize) -> io::Result<[u8; N]> {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes
            .copied()
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

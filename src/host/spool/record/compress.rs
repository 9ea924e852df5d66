//! Compression of batches, in constant memory.

use core::str::FromStr;
use std::io::{self, Read, Write};
use std::string::String;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, FrameCompressor};
use serde::{Deserialize, Serialize};

/// How batches are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// `gzip` (RFC 1952).
    Gzip,
    /// `zstd` (RFC 8878).
    Zstd,
}

impl Compression {
    /// `Content-Encoding`.
    pub fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// What the names of files end in.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// Writes all of `content` to `to`. The same content always becomes the same bytes.
    ///
    /// # Errors
    /// [`io::Error`] of either.
    pub fn copy(self, content: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::None => io::copy(content, to).map(drop),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(to, Level::default());
                io::copy(content, &mut encoder)?;
                encoder.finish().map(drop)
            }
            Self::Zstd => zstd(content, to),
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err("a compression is none, gzip or zstd".into()),
        }
    }
}

/// The encoder panics when it cannot read or write: it is told of nothing, and what failed is kept here.
fn zstd(content: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut source = Fused::new(content);
    let mut drain = Fused::new(to);
    let mut encoder = FrameCompressor::new(CompressionLevel::Fastest);
    encoder.set_source(&mut source);
    encoder.set_drain(&mut drain);
    encoder.compress();
    drop(encoder);
    match source.failed.or(drain.failed) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Fused<T> {
    stream: T,
    failed: Option<io::Error>,
}

impl<T> Fused<T> {
    fn new(stream: T) -> Self {
        Self {
            stream,
            failed: None,
        }
    }
}

impl<T: Read> Read for Fused<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.failed.is_some() {
            return Ok(0);
        }
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = Some(error);
                    return Ok(0);
                }
                Ok(read) => return Ok(read),
            }
        }
    }
}

impl<T: Write> Write for Fused<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed.is_none()
            && let Err(error) = self.stream.write_all(bytes)
        {
            self.failed = Some(error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

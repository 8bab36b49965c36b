//! How much an archive may unfold to.

use std::io::{self, Read};

/// Bounds on what one archive unpacks to. Far above every real package and far below a disk.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many entries.
    pub entries: usize,
    /// How many bytes of content.
    pub bytes: u64,
    /// How many bytes each packed byte may become, over all…
    pub expansion: u64,
    /// …beyond this many, so that small archives of zeros pass.
    pub allowance: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            bytes: 64 << 30,
            expansion: 500,
            allowance: 256 << 20,
        }
    }
}

impl Limits {
    /// Returns how many bytes may come out of `packed` bytes.
    pub fn unpacked(&self, packed: u64) -> u64 {
        let expanded = packed.saturating_mul(self.expansion);
        expanded.saturating_add(self.allowance).min(self.bytes)
    }
}

/// An archive unfolds to more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it unpacks to more than {limit} bytes")]
pub struct Exceeded {
    /// How many bytes are allowed.
    pub limit: u64,
}

/// Reads no more than a limit; more is an error, unlike [`Read::take`].
pub(super) struct Bounded<R> {
    inner: R,
    limit: u64,
    read: u64,
}

impl<R> Bounded<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self {
            inner,
            limit,
            read: 0,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        if self.read > self.limit {
            return Err(io::Error::other(Exceeded { limit: self.limit }));
        }
        Ok(read)
    }
}

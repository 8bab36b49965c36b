//! Bytes that are read piece by piece: a file, a part of one, or what was unpacked.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::base::Fault;

/// Bytes read at a time.
const BLOCK: usize = 128 << 10;

/// Bytes that are read piece by piece.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    base: Base,
    from: u64,
    length: u64,
}

#[derive(Debug, Clone)]
enum Base {
    File(Arc<File>),
    Memory(Arc<Vec<u8>>),
}

impl Source {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::file(File::open(path)?)
    }

    /// Takes a file that is open.
    pub(crate) fn file(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self {
            base: Base::File(Arc::new(file)),
            from: 0,
            length,
        })
    }

    /// Takes bytes.
    pub(crate) fn memory(bytes: Vec<u8>) -> Self {
        Self {
            from: 0,
            length: bytes.len() as u64,
            base: Base::Memory(Arc::new(bytes)),
        }
    }

    /// Returns how many bytes there are.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Returns a part.
    pub(crate) fn slice(&self, from: u64, length: u64) -> Result<Self, Fault> {
        match from.checked_add(length) {
            Some(end) if end <= self.length => Ok(Self {
                base: self.base.clone(),
                from: self.from + from,
                length,
            }),
            _ => Err(Fault::malformed(format!(
                "{length} bytes are expected at {from}, of {} in all",
                self.length
            ))),
        }
    }

    /// Reads at a place; fewer bytes than asked for at the end.
    pub(crate) fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(into.len());
        let into = &mut into[..wanted];
        match &self.base {
            Base::File(file) => {
                let mut done = 0;
                while done < wanted {
                    match file.read_at(&mut into[done..], self.from + offset + done as u64) {
                        Ok(0) => break,
                        Ok(read) => done += read,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(done)
            }
            Base::Memory(bytes) => {
                let start = usize::try_from(self.from + offset).unwrap_or(usize::MAX);
                match bytes.get(start..start.saturating_add(wanted)) {
                    Some(found) => into.copy_from_slice(found),
                    None => return Ok(0),
                }
                Ok(wanted)
            }
        }
    }

    /// Reads exactly so many bytes at a place.
    pub(crate) fn read_exact_at(&self, offset: u64, into: &mut [u8]) -> Result<(), Fault> {
        if self.read_at(offset, into)? == into.len() {
            return Ok(());
        }
        Err(Fault::malformed(format!(
            "it ends within {} bytes at {offset}",
            into.len()
        )))
    }

    /// Returns the first bytes, at most so many.
    pub(crate) fn head(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most.min(usize::try_from(self.length).unwrap_or(most))];
        let read = self.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Returns all bytes.
    pub(crate) fn whole(&self, limit: u64) -> Result<Vec<u8>, Fault> {
        if self.length > limit {
            return Err(Fault::TooMuch {
                what: format!("a document of {} bytes", self.length),
                limit,
            });
        }
        let mut bytes = vec![0; usize::try_from(self.length).map_err(Fault::of)?];
        self.read_exact_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Returns a reader from the start.
    pub(crate) fn reader(&self) -> Cursor {
        Cursor {
            source: self.clone(),
            at: 0,
            block: Vec::new(),
            block_at: 0,
        }
    }
}

/// A reader of a [`Source`] that keeps a block.
#[derive(Debug)]
pub(crate) struct Cursor {
    source: Source,
    at: u64,
    block: Vec<u8>,
    block_at: u64,
}

impl Cursor {
    /// Returns where the next byte is read.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Returns the next byte.
    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    /// Returns the next few bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)
            .map_err(|_| Fault::malformed(format!("it ends within {N} bytes at {}", self.at)))?;
        Ok(bytes)
    }

    /// Returns the next bytes as a part of the source, without reading them.
    pub(crate) fn take_source(&mut self, length: u64) -> Result<Source, Fault> {
        let part = self.source.slice(self.at, length)?;
        self.at += length;
        Ok(part)
    }
}

impl BufRead for Cursor {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let end = self.block_at + self.block.len() as u64;
        if self.at < self.block_at || self.at >= end {
            self.block.resize(BLOCK, 0);
            let read = self.source.read_at(self.at, &mut self.block)?;
            self.block.truncate(read);
            self.block_at = self.at;
        }
        let from = usize::try_from(self.at - self.block_at).unwrap_or(usize::MAX);
        Ok(self.block.get(from..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount as u64;
    }
}

impl Read for Cursor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let found = self.fill_buf()?;
        let read = found.len().min(into.len());
        into[..read].copy_from_slice(&found[..read]);
        self.consume(read);
        Ok(read)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

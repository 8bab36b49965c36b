//! What a comparison has found so far, and what it may still take.

use std::io::Read;

use crate::base::{Difference, Explanation, Fault, Limits, Source};

/// Bytes of a member that are unpacked to memory; what is larger goes to a file.
const SMALL: u64 = 64 << 20;

/// What a comparison has found so far, and what it may still take.
pub(crate) struct Walk<'a> {
    pub(crate) limits: &'a Limits,
    differences: Vec<Difference>,
    /// Differences found, told or not.
    found: u64,
    /// Those that readers of the values see.
    seen: u64,
    unpacked: u64,
    /// Archives that are open around what is compared.
    pub(crate) depth: usize,
}

/// A point to come back to, when what was begun turns out to be unreadable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    told: usize,
    found: u64,
    seen: u64,
}

impl Mark {
    /// Returns whether nothing was found between the two points.
    pub(crate) fn is_same(self, other: Self) -> bool {
        self.found == other.found
    }
}

impl<'a> Walk<'a> {
    /// Returns one that has found nothing.
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            differences: Vec::new(),
            found: 0,
            seen: 0,
            unpacked: 0,
            depth: 0,
        }
    }

    /// Tells a difference.
    pub(crate) fn push(&mut self, difference: Difference) {
        self.found += 1;
        self.seen += u64::from(!difference.metadata);
        if self.differences.len() < self.limits.differences {
            self.differences.push(difference);
        }
    }

    /// Returns how many differences were found.
    pub(crate) fn found(&self) -> u64 {
        self.found
    }

    /// Returns this point.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            told: self.differences.len(),
            found: self.found,
            seen: self.seen,
        }
    }

    /// Forgets what was found since.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.differences.truncate(mark.told);
        self.found = mark.found;
        self.seen = mark.seen;
    }

    /// Says something more about the first difference since.
    pub(crate) fn annotate(&mut self, since: Mark, note: &str) {
        if let Some(difference) = self.differences.get_mut(since.told) {
            difference.note = Some(match difference.note.take() {
                Some(before) => format!("{before}; {note}"),
                None => note.to_owned(),
            });
        }
    }

    /// Unpacks what a reader gives.
    pub(crate) fn unpack(&mut self, reader: impl Read) -> Result<Source, Fault> {
        let left = self.limits.unpacked.saturating_sub(self.unpacked);
        let mut reader = reader.take(left.saturating_add(1));
        let mut bytes = Vec::new();
        let small = SMALL.min(self.limits.in_memory);
        (&mut reader).take(small).read_to_end(&mut bytes)?;
        let mut length = bytes.len() as u64;
        let source = if length < small {
            Source::memory(bytes)
        } else {
            let Some(scratch) = &self.limits.scratch else {
                // One byte more decides whether it is too large.
                if reader.read(&mut [0])? == 0 {
                    return self.counted(length, Source::memory(bytes));
                }
                let what = "a compressed member without a place to unpack it".to_owned();
                return Err(Fault::TooMuch { what, limit: small });
            };
            let mut file = tempfile::tempfile_in(scratch)?;
            length += std::io::copy(&mut std::io::Cursor::new(bytes).chain(reader), &mut file)?
                .saturating_sub(length);
            Source::file(file)?
        };
        self.counted(length, source)
    }

    fn counted(&mut self, length: u64, source: Source) -> Result<Source, Fault> {
        self.unpacked = self.unpacked.saturating_add(length);
        if self.unpacked > self.limits.unpacked {
            return Err(Fault::TooMuch {
                what: "what the archive unpacks to".to_owned(),
                limit: self.limits.unpacked,
            });
        }
        Ok(source)
    }

    /// Returns what was found.
    pub(crate) fn finish(self, kind: &'static str, same: bool) -> Explanation {
        Explanation {
            kind,
            same,
            metadata_only: !same && self.seen == 0,
            more: self.found - self.differences.len() as u64,
            differences: self.differences,
        }
    }
}

//! A dataset too large for memory, some rows at a time.

use std::io::{self, Read};
use std::marker::PhantomData;

use hdf5_reader::{Dataset, Datatype, H5Type, SliceInfo, SliceInfoElem};

use crate::base::{Fault, Source, Walk};

/// Bytes of the rows that are read at a time.
const BLOCK: u64 = 16 << 20;

/// Returns the elements of a dataset, little-endian, one row after another; unpacked to a file.
pub(super) fn unpack(walk: &mut Walk, set: &Dataset) -> Result<Source, Fault> {
    let limit = walk.limits.in_memory;
    match set.dtype() {
        Datatype::FloatingPoint { size: 4, .. } => walk.unpack(Rows::<f32>::new(set, limit)?),
        Datatype::FloatingPoint { size: 8, .. } => walk.unpack(Rows::<f64>::new(set, limit)?),
        Datatype::FixedPoint { size, signed, .. } => match (size, signed) {
            (1, true) => walk.unpack(Rows::<i8>::new(set, limit)?),
            (1, false) => walk.unpack(Rows::<u8>::new(set, limit)?),
            (2, true) => walk.unpack(Rows::<i16>::new(set, limit)?),
            (2, false) => walk.unpack(Rows::<u16>::new(set, limit)?),
            (4, true) => walk.unpack(Rows::<i32>::new(set, limit)?),
            (4, false) => walk.unpack(Rows::<u32>::new(set, limit)?),
            (8, true) => walk.unpack(Rows::<i64>::new(set, limit)?),
            (8, false) => walk.unpack(Rows::<u64>::new(set, limit)?),
            _ => Err(refused()),
        },
        _ => Err(refused()),
    }
}

fn refused() -> Fault {
    Fault::Unsupported("a dataset too large for memory, of this type,".to_owned())
}

/// A number whose bytes are written.
trait Number: H5Type {
    fn write(&self, into: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($kind:ty),*) => {
        $(impl Number for $kind {
            fn write(&self, into: &mut Vec<u8>) {
                into.extend(self.to_le_bytes());
            }
        })*
    };
}

numbers!(i8, u8, i16, u16, i32, u32, i64, u64, f32, f64);

struct Rows<'a, T> {
    set: &'a Dataset,
    row: u64,
    /// Rows that are read at a time.
    step: u64,
    bytes: Vec<u8>,
    at: usize,
    kind: PhantomData<T>,
}

impl<'a, T: Number> Rows<'a, T> {
    fn new(set: &'a Dataset, limit: u64) -> Result<Self, Fault> {
        let rows = set.shape().first().copied().unwrap_or(0);
        let bytes = set.raw_byte_len().map_err(Fault::of)? as u64;
        // A row may be larger; the reader refuses it then.
        let step = rows
            .saturating_mul(BLOCK.min(limit))
            .checked_div(bytes)
            .unwrap_or(0);
        Ok(Self {
            set,
            row: 0,
            step: step.max(1),
            bytes: Vec::new(),
            at: 0,
            kind: PhantomData,
        })
    }

    fn fill(&mut self) -> io::Result<()> {
        let rows = self.set.shape().first().copied().unwrap_or(0);
        self.bytes.clear();
        self.at = 0;
        if self.row >= rows {
            return Ok(());
        }
        let mut selection = SliceInfo::all(self.set.ndim());
        let (start, end) = (self.row, rows.min(self.row.saturating_add(self.step)));
        selection.selections[0] = SliceInfoElem::Slice {
            start,
            end,
            step: 1,
        };
        let read = self
            .set
            .read_slice::<T>(&selection)
            .map_err(io::Error::other)?;
        for number in &read {
            number.write(&mut self.bytes);
        }
        self.row = end;
        Ok(())
    }
}

impl<T: Number> Read for Rows<'_, T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.bytes.len() {
            self.fill()?;
        }
        let left = &self.bytes[self.at..];
        let length = left.len().min(into.len());
        into[..length].copy_from_slice(&left[..length]);
        self.at += length;
        Ok(length)
    }
}

//! The elements of an array one after another, however they lie.

use crate::base::{Fault, Source};

/// How elements lie in memory; steps are in elements.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Layout {
    /// The last index runs fastest.
    C,
    /// The first index runs fastest.
    Fortran,
    Strided {
        offset: u64,
        strides: Vec<i64>,
    },
}

/// Returns how many elements a shape has.
pub(crate) fn count(shape: &[u64]) -> Result<u64, Fault> {
    let mut count = 1_u64;
    for length in shape {
        count = count
            .checked_mul(*length)
            .ok_or_else(|| Fault::malformed("the shape has more elements than can be counted"))?;
    }
    Ok(count)
}

/// Returns the index of the element that is reached after `at` others, the last running fastest.
pub(crate) fn index(shape: &[u64], mut at: u64) -> Vec<u64> {
    let mut index = vec![0; shape.len()];
    for (place, length) in index.iter_mut().zip(shape).rev() {
        *place = at % (*length).max(1);
        at /= (*length).max(1);
    }
    index
}

/// Returns the steps of a layout.
pub(crate) fn strides(layout: &Layout, shape: &[u64]) -> Vec<i64> {
    match layout {
        Layout::Strided { strides, .. } => strides.clone(),
        Layout::C => contiguous(shape.iter().rev()).into_iter().rev().collect(),
        Layout::Fortran => contiguous(shape.iter()),
    }
}

fn contiguous<'a>(fastest_first: impl Iterator<Item = &'a u64>) -> Vec<i64> {
    let mut step = 1_i64;
    fastest_first
        .map(|length| {
            let this = step;
            step = step.saturating_mul(i64::try_from(*length).unwrap_or(i64::MAX));
            this
        })
        .collect()
}

/// Reads elements in the order of their index, the last running fastest.
pub(crate) enum Elements {
    InOrder { source: Source, at: u64 },
    Gathered(Gathered),
}

/// Elements picked one by one from bytes in memory.
pub(crate) struct Gathered {
    bytes: Vec<u8>,
    size: usize,
    shape: Vec<u64>,
    strides: Vec<i64>,
    offset: i128,
    index: Vec<u64>,
}

impl Elements {
    /// Returns a reader of elements that lie in order.
    pub(crate) fn in_order(source: &Source, from: u64) -> Self {
        Self::InOrder {
            source: source.clone(),
            at: from,
        }
    }

    /// Returns a reader of elements that are picked; all bytes are held in memory.
    pub(crate) fn gathered(
        source: &Source,
        size: usize,
        shape: &[u64],
        layout: &Layout,
        limit: u64,
    ) -> Result<Self, Fault> {
        let offset = match layout {
            Layout::Strided { offset, .. } => *offset,
            _ => 0,
        };
        let strides = strides(layout, shape);
        if strides.len() != shape.len() {
            return Err(Fault::malformed("as many steps as dimensions are expected"));
        }
        Ok(Self::Gathered(Gathered {
            bytes: source.whole(limit)?,
            size,
            shape: shape.to_vec(),
            strides,
            offset: i128::from(offset),
            index: vec![0; shape.len()],
        }))
    }

    /// Fills the buffer with the next elements.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        match self {
            Self::InOrder { source, at } => {
                source.read_exact_at(*at, buffer)?;
                *at += buffer.len() as u64;
                Ok(())
            }
            Self::Gathered(gathered) => gathered.fill(buffer),
        }
    }
}

impl Gathered {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        for element in buffer.chunks_exact_mut(self.size.max(1)) {
            let steps = self.index.iter().zip(&self.strides);
            let at: i128 = steps
                .map(|(index, step)| i128::from(*index) * i128::from(*step))
                .sum();
            let start = usize::try_from((self.offset + at).saturating_mul(self.size as i128));
            let found = start
                .ok()
                .and_then(|start| self.bytes.get(start..start.checked_add(self.size)?));
            element.copy_from_slice(
                found.ok_or_else(|| Fault::malformed("an element lies outside of the array"))?,
            );
            for (index, length) in self.index.iter_mut().zip(&self.shape).rev() {
                *index += 1;
                if *index < *length {
                    break;
                }
                *index = 0;
            }
        }
        Ok(())
    }
}

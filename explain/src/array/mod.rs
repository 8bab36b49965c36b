//! Arrays: what their elements are, and how far apart two of them lie.
//!
//! Comes in: an element type, a shape and bytes, whatever file they lie in. Goes out: one
//! difference for each array or field, with its [`Numbers`](crate::Numbers). Both are read in
//! step, a block at a time.
//!
//! **Invariant:** an element that has the same bits is the same, NaN too
//! (`elements_are_the_same_when_their_bits_are`).

mod compare;
mod dtype;
mod element_type;
mod elements;
mod literal;
mod scalar;
mod tally;
#[cfg(test)]
mod tests;

pub(crate) use compare::{Array, compare};
pub(crate) use dtype::{descr, type_code};
pub(crate) use element_type::{ElementType, Field, Kind};
pub(crate) use elements::{Layout, count};
pub(crate) use literal::Literal;
pub(crate) use scalar::{Float, Scalar};
pub(crate) use tally::Tally;

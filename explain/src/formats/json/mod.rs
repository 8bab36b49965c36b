//! JSON, one document or one on each line.
//!
//! Read by a parser of its own: what Python writes has NaN and Infinity in it, numbers are set
//! against each other as they are spelt, and the order of keys counts.

mod compare;
mod parse;

pub(crate) use compare::compare;

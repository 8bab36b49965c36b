//! Arrow's own files and streams (Feather version 2 is such a file).
//!
//! The reader believes the lengths that a file gives for its messages and for what compressed
//! buffers unpack to, and asks for that much memory; `check.rs` looks at all of them before.

mod check;
mod compare;

pub(crate) use compare::{compare_files, compare_streams};

//! The formats: what a file is, and in what two of a kind differ.
//!
//! Comes in: two [`Source`](crate::base::Source)s and a name. Goes out: differences. What a file
//! is, its first bytes say, and its name only where they do not. What cannot be read as what it
//! seems to be is compared as text or as bytes, and the difference says why.
//!
//! | looking for | start at |
//! |---|---|
//! | which format a file is | `detect.rs` |
//! | what happens when it cannot be read | `any.rs` |
//! | archives and directories | `members.rs` |
//!
//! **Invariant:** broken files make no panic and lose no difference
//! (`broken_files_are_still_compared`).

mod any;
mod arrow;
mod bytes;
mod compressed;
mod csv;
mod detect;
mod diffoscope;
mod directory;
mod hdf5;
mod json;
mod members;
mod npy;
mod parquet;
mod pickled;
mod png;
mod safetensors;
mod tar;
mod text;
mod torch;
mod zip;

pub(crate) use any::{Pair, compare};
pub(crate) use directory::compare as compare_directories;

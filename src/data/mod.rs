//! Data that a manifest declares: found, and verified to the byte.
//!
//! Comes in: `[data]` of a manifest and the project. Goes out: an [`Input`] each: the path that the
//! step sees it at, and where it is on the host.
//!
//! Where the bytes are: with a URL, in the store, downloaded where they are not. Else in the project;
//! where a pointer of Git LFS or DVC stands there instead, in the cache of that tool. Whoever has
//! them, the manifest's digest decides. A file that was read is not read again while it is as it was
//! ([`Digests`](crate::snapshot::Digests)).
//!
//! **Invariant:** bytes that are not the manifest's are never an input
//! (`tests::a_changed_byte_is_named`).

mod directory;
mod error;
mod input;
mod pointer;
#[cfg(test)]
mod tests;

pub use directory::directory_digest;
pub use error::DataError;
pub use input::{Found, Input, find, inputs};

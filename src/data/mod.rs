//! Data that a manifest declares: found, and verified to the byte.
//!
//! Comes in: `[data]` of a manifest and the project. Goes out: an [`Input`] each: the path that the
//! step sees it at, and where it is on the host.
//!
//! Where the bytes are: with a URL, in the store, downloaded where they are not. Else in the project;
//! where a pointer of Git LFS or DVC stands there instead, in the cache of that tool, or in DVC's
//! remote where that is a directory. A directory of DVC's is laid out in the store. Whoever has them,
//! the manifest's digest decides. A file that was read is not read again while it is as it was
//! ([`Digests`](crate::snapshot::Digests)).
//!
//! **Invariant:** bytes that are not the manifest's are never an input
//! (`tests::a_changed_byte_is_named`).
//! **Invariant:** no list of files leads out of its directory
//! (`tests::a_list_that_leads_elsewhere_is_refused`).

mod directory;
mod dvc;
mod error;
mod input;
mod listing;
mod pointer;
#[cfg(test)]
mod tests;

pub use directory::directory_digest;
pub use error::{DataError, MemberState};
pub use input::{Found, Input, find, inputs};

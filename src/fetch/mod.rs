//! A lockfile to a closure: every artifact of one platform, in the store and verified.
//!
//! Comes in: a [`Lockfile`](envbox_lockfiles::lock::Lockfile). Goes out: a [`Closure`], which is
//! proof that all is there.
//!
//! The lock names no host. Where an artifact is looked for: a wheel where the registry of that
//! name lists it; a conda package below its channel; a Debian package below the registry's root and, when the archive has moved on,
//! below the state that the snapshot archive kept; an interpreter below its registry's root; a
//! direct URL as it is. Before all of them the user's mirror is asked, if there is one: it is at hand,
//! and a busy registry need not be asked for what it gives. Where it does not answer, or has not that
//! artifact, the rest are. A mirror that is a repository of images is not asked here, but before
//! (`ops::mirror`). Whoever gives the bytes, the lock's size and digest decide.
//!
//! **Invariant:** bytes that are not the lock's never reach the store's blobs
//! (`tests::wrong_bytes_are_refused`).
//! **Invariant:** nothing is downloaded twice (`tests::two_stores_download_once`), nor when it is
//! there (`tests::what_is_there_is_not_asked_for`).

mod closure;
mod download;
mod error;
#[cfg(test)]
mod tests;
mod wanted;

pub use closure::{Closure, fetch, fetch_mirrored, fetch_source, fetch_url};
pub use error::{FetchError, MissingArtifact};
pub use wanted::artifacts;

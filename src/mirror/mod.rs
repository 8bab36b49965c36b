//! Mirrors: every artifact of a lock in a place of the user's, where it can be had when its registry
//! no longer gives it.
//!
//! Comes in: a lock whose artifacts are in the store. Goes out: a directory ([`MirrorDirectory`]) or a
//! repository of images ([`lock_artifact`]) that has each of them by its digest; `Context::mirror` makes
//! envbox ask it.
//!
//! A directory, for programs on this machine or behind any server of files:
//!
//! ```text
//! $mirror/
//! ├── version                     the layout's version, `1`; who writes the mirror has it locked
//! ├── blobs/sha256/<hex>          every file, once
//! ├── locks/<hex>.lock            the locks whose artifacts are all here, by their digest
//! ├── registries/<name>/          the registry that locks call so, as it lies elsewhere
//! │   ├── pool/…, RELEASE/…       of Debian packages, of interpreters: links to blobs
//! │   ├── linux-64/…, noarch/…    of conda packages: links to blobs, and `repodata.json`, which lists them
//! │   ├── oci-layout, index.json, blobs/sha256/<hex>
//! │   │                           of images that environments stand on: the documents and the layers
//! │   ├── dists/SUITE             → the newest state below `debian-snapshot`
//! │   ├── index.html              of wheels: the projects (PEP 503),
//! │   └── PROJECT/
//! │       ├── index.html          their files, with digests and the Python that they are for,
//! │       ├── FILE.whl, FILE.tar.gz
//! │       │                       links to blobs
//! │       ├── FILE.whl.metadata   what they say about themselves (PEP 658)
//! │       └── FILE.whl.uploaded   when they came to their registry, if that says
//! ├── registries/debian-snapshot/ARCHIVE/TIME/
//! │   ├── dists/SUITE/…           what was signed at that time: links to blobs
//! │   └── pool                    → the registry's
//! └── tmp/                        a copy under way
//! ```
//!
//! Links are symbolic and relative, so the whole can be moved, and be copied with or without them. By
//! digest alone whole locks are fetched (`--mirror`); below `registries` other programs install, and
//! `envbox lock` resolves (`--registry pypi=$mirror/registries/pypi`). A registry of find-links has its
//! files beside its `index.html`. Direct URLs are among the blobs alone.
//!
//! In a repository of images each artifact is a blob, which needs no manifest to be asked for; a
//! manifest for each lock, tagged [`tag_of_lock`], keeps them from being collected.
//!
//! **Invariant:** a name leads to the bytes of its digest or to nothing, however a run ends
//! (`tests::what_is_interrupted_goes_on`, `tests::the_wrong_bytes_are_not_taken`).
//! **Invariant:** a mirror only grows: what a lock put there stays (`tests::locks_share_a_mirror`).
//! **Invariant:** a second run changes nothing (`tests::a_second_run_changes_nothing`).

mod directory;
mod error;
mod page;
mod placing;
mod repodata;
mod repository;
mod suites;
#[cfg(test)]
mod tests;

pub use directory::{Added, MirrorDirectory};
pub use error::MirrorError;
pub use placing::ProjectFile;
pub use repository::{ARTIFACT, lock_artifact, tag_of_lock};

//! The base: packages of a Debian suite and what they need.
//!
//! Comes in: a [`DebianRequest`]. Goes out: a [`LockedDebian`](crate::lock::LockedDebian), each package
//! with pool path, size and digest.
//!
//! | module | what it does |
//! |---|---|
//! | `keyring`, `signature` | which keys are believed, and what they signed |
//! | `release`, `archive` | from a suite's name to its `InRelease` |
//! | `packages`, `index`, `cache` | from there to an index that answers questions |
//! | `package`, `relation`, `universe` | what the index says |
//! | `provider`, `solve`, `assumed` | from names to a closure |
//! | `resolve` | from a request to a lock |
//! | `state` | from a lock back to the files it was made from |
//!
//! The chain of trust: a shipped key signed `InRelease`, that has the digest of `Packages`, and that has
//! the digest of each `.deb`.
//!
//! **Invariant:** nothing is used that a trusted key did not sign (`tests::signature`,
//! `tests::archive`).
//! **Invariant:** a lock is a function of the signed indices and the request, not of mirror, cache or
//! host (`tests::lock::a_lock_depends_on_the_archive_alone`).
//! **Invariant:** no index makes this process hold more than its signed size
//! (`tests::archive::nothing_grows_beyond_what_was_promised`).

mod archive;
mod assumed;
mod cache;
mod error;
mod index;
mod keyring;
mod package;
mod packages;
mod provider;
mod relation;
mod release;
mod resolve;
mod signature;
mod solve;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod universe;

pub use error::DebianError;
pub use keyring::{KeyProblem, Keyring};
pub use release::MalformedRelease;
pub use resolve::{DebianRequest, Root, resolve_debian, resolve_debian_with};
pub use state::{SuiteIndex, SuiteState, suite_state};

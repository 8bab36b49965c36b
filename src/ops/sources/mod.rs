//! Wheels of sources, built in the sandbox: without a network, at a fixed time, of a locked
//! environment.
//!
//! Comes in: a source and the lock of what it is built with. Goes out: a wheel in the store, by its
//! digest. Nothing of a source runs outside of the sandbox; `git` runs on the host to get commits.
//!
//! **Invariant:** a wheel built again has the digest that is locked, or is not used
//! (`tests/net/sources.rs`).

mod archive;
mod bring;
mod builder;
mod git;
mod step;

pub(in crate::ops) use bring::{bring, keep};
pub(in crate::ops) use builder::SandboxBuilder;

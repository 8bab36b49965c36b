//! A manifest and the registries to a lockfile.
//!
//! Comes in: a [`Manifest`](crate::manifest::Manifest), perhaps the lockfile it had before.
//! Goes out: a [`Lockfile`](crate::lock::Lockfile) that answers the manifest.

pub mod debian;
pub mod interpreter;
pub mod python;
#[cfg(test)]
pub(crate) mod tests;
mod upgrade;

pub use upgrade::Upgrade;

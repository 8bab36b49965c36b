//! A manifest and the registries to a lockfile.
//!
//! Comes in: a [`Manifest`](crate::manifest::Manifest), perhaps the lockfile it had before.
//! Goes out: a [`Lockfile`](crate::lock::Lockfile) that answers the manifest.
//!
//! The order is: plan the suite and the interpreter, lock the base with it, read from the base
//! the version of Python and of the C library, and lock the wheels for those.
//!
//! **Invariant:** what did not change asks no registry (`tests::what_did_not_change_asks_no_registry`).

pub mod debian;
mod error;
pub mod interpreter;
mod join;
mod pins;
pub mod python;
mod roots;
#[cfg(test)]
pub(crate) mod tests;
mod upgrade;

pub use error::ResolveError;
pub use join::{ResolveOptions, resolve, resolve_with};
pub use pins::{CondaPin, PinSource, PinnedFile, Pins, PythonPin, Unkept};
pub use roots::BASE;
pub use upgrade::Upgrade;

//! A manifest and the registries to a lockfile.
//!
//! Comes in: a [`Manifest`](crate::manifest::Manifest), perhaps the lockfile it had before.
//! Goes out: a [`Lockfile`](crate::lock::Lockfile) that answers the manifest.
//!
//! The order is: plan the suite and the interpreter, lock the base with it, read from the base
//! the version of the C library, lock the conda packages for it, and for the interpreter and the
//! distributions that there are then, the wheels.
//!
//! **Invariant:** what did not change asks no registry (`tests::what_did_not_change_asks_no_registry`).

pub mod conda;
pub mod debian;
mod error;
pub mod interpreter;
mod join;
mod mixed;
mod pins;
pub mod python;
mod roots;
mod target;
#[cfg(test)]
pub(crate) mod tests;
mod upgrade;

pub use error::{Conflict, ResolveError};
pub use join::{ResolveOptions, resolve, resolve_with};
pub use pins::{CondaPin, OtherPackage, PinSource, PinnedFile, Pins, PythonPin, Unkept};
pub use roots::BASE;
pub use upgrade::Upgrade;

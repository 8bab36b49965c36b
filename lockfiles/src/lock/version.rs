//! Format versions.
//!
//! A reader takes every version from [`OLDEST`] up to [`CURRENT`] and refuses newer ones: also a
//! field that it could ignore may change what an environment is. So a new field raises the version.
//! A lock is written in the oldest version that can say what is in it, so that a newer program
//! leaves the bytes of locks alone and older ones read what they can hold. What old versions
//! looked like is in `lockfiles/compat`.

use crate::lock::schema::{LockedConda, Lockfile};
use crate::manifest::InterpreterSource;

/// The newest version this program reads and writes.
pub const CURRENT: u64 = GPU;

/// The version that has drivers and GPUs.
const GPU: u64 = 4;

/// The version that has conda packages, groups, and wheels that are built.
const MIXED: u64 = 3;

/// The version that has images: to stand on, and built.
const IMAGES: u64 = 2;

/// The oldest version that was ever released.
pub const OLDEST: u64 = 1;

impl Lockfile {
    /// Returns the version that this lock is written in.
    pub(super) fn version(&self) -> u64 {
        let from_conda = Some(InterpreterSource::Conda);
        let interpreter = self
            .interpreter
            .as_ref()
            .map(|interpreter| interpreter.from);
        if self.request.gpu.is_some() || self.gpu.is_some() {
            GPU
        } else if self.request.conda.is_some()
            || !self.request.groups.is_empty()
            || self.sources().next().is_some()
            || self.conda != LockedConda::default()
            || self.request.python_from == from_conda
            || interpreter == from_conda
        {
            MIXED
        } else if self.base.is_some() || !self.built.is_empty() {
            IMAGES
        } else {
            OLDEST
        }
    }
}

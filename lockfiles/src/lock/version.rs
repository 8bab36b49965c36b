//! Format versions.
//!
//! A reader takes every version from [`OLDEST`] up to [`CURRENT`] and refuses newer ones: also a
//! field that it could ignore may change what an environment is. So a new field raises the version
//! when it is added, not when it is first used. What old versions looked like is in
//! `lockfiles/compat`.

/// The version this program writes.
pub const CURRENT: u64 = 1;

/// The oldest version that was ever released.
pub const OLDEST: u64 = 1;

//! Format versions.
//!
//! A reader takes every version up to [`CURRENT`] and refuses newer ones. A field that an older
//! reader could not ignore bumps the version when the field is added, not when it is first used.

/// The version this program writes.
pub const CURRENT: u32 = 1;

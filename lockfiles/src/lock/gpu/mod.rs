//! `[gpu]`: which drivers run what is locked, and on which driver and GPU it was run.
//!
//! Comes in: the locked packages, the manifest's `[gpu]`, and what a host has. Goes out:
//! [`LockedGpu`], and [`GpuRequirements`] of any lock, also one that has no `[gpu]`.
//!
//! The code that a wheel brings for a GPU says for which it is only in the wheel itself, so a lock
//! does not name GPUs that packages run on. A run looks at what is installed, and refuses a GPU that
//! nothing has code for.
//!
//! **Invariant:** what is required is what the packages tell, and no name without content tells
//! anything (`tests::gpu::placeholders_tell_nothing`).

mod cuda;
mod derive;
mod pin;
mod schema;
mod wire;

pub use derive::gpu_requirements;
pub use pin::GpuPinError;
pub use schema::{
    DriverMatch, GpuReason, GpuRequirements, GpuRule, GpuSource, HostGpu, LockedDevice,
    LockedDriver, LockedGpu,
};
pub(super) use wire::{GpuRequestWire, GpuWire, disorder, gpu_tables, request_table};

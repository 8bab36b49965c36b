//! `envbox.lock`: every artifact with digest and size, in one canonical text.
//!
//! Goals, in this order: the same value gives the same bytes on any machine; a reader can check
//! offline that nothing was changed and that the lock answers the manifest; a changed requirement
//! changes only its own lines; no host, path or time of the machine that made it is in it.
//!
//! Comes in: bytes, or what `resolve` found. Goes out: [`Lockfile`].
//!
//! **Invariant:** bytes and value are a bijection (`tests::writing::bytes_and_value_are_a_bijection`,
//! `tests::reading::no_changed_byte_goes_unseen`).
//! **Invariant:** every old format stays readable
//! (`tests::writing::locks_of_every_version_are_readable`).
//! **Invariant:** each change of what is asked for has its own reason
//! (`tests::stale::each_change_of_the_request_is_a_reason_of_its_own`).

mod base;
mod conda;
mod diff;
mod error;
mod gpu;
mod graph;
mod groups;
mod order;
mod read;
mod reason;
mod request;
mod schema;
mod select;
mod stale;
mod version;
mod wheel;
mod wire;
mod write;

#[cfg(test)]
mod tests;

pub use diff::{Change, ChangeKind, diff};
pub use error::LockError;
pub use gpu::{
    DriverMatch, GpuPinError, GpuReason, GpuRequirements, GpuRule, GpuSource, HostGpu,
    LockedDevice, LockedDriver, LockedGpu, gpu_requirements,
};
pub use graph::{Asker, Ecosystem, Graph, Node, Way};
pub use order::Disorder;
pub use reason::{Affected, StaleReason};
pub use schema::{
    Activation, Artifact, BuiltFrom, BuiltImage, CONDA_PREFIX, CondaRequest, GroupRequest,
    LockedArchive, LockedBase, LockedConda, LockedCondaPackage, LockedDebian, LockedImage,
    LockedInterpreter, LockedLayer, LockedPackage, LockedSuite, LockedVirtualPackage, LockedWheel,
    Lockfile, Origin, Request,
};
pub use select::{Groups, UnknownGroup};
pub use stale::{Stale, satisfies};
pub use wire::InvalidEntry;

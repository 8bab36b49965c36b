//! `envbox.lock`: every artifact with digest and size, in one canonical text.
//!
//! Goals, in this order: the same value gives the same bytes on any machine; a reader can check
//! offline that nothing was changed and that the lock answers the manifest; a changed requirement
//! changes only its own lines; no host, path or time of the machine that made it is in it.
//!
//! Comes in: bytes, or what `resolve` found. Goes out: [`Lockfile`].
//!
//! **Invariant:** bytes and value are a bijection (`tests::what_is_written_is_read_back`,
//! `tests::any_text_survives_the_round_trip`).
//! **Invariant:** what was edited by hand is refused (`tests::every_tampering_has_its_own_error`).

mod diff;
mod read;
mod request;
mod schema;
mod version;
mod wire;
mod write;

#[cfg(test)]
mod tests;

pub use diff::{Change, diff};
pub use read::LockError;
pub use request::{Affected, Stale, StaleReason, satisfies};
pub use schema::{
    Artifact, LockedArchive, LockedDebian, LockedInterpreter, LockedPackage, LockedSuite,
    LockedWheel, Lockfile, Origin, Request,
};
pub use wire::InvalidEntry;

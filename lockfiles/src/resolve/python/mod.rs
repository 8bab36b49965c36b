//! Python requirements to wheels, by uv's resolver.
//!
//! Comes in: `[python]` of the manifest, the whole Python version, the platform and its C library.
//! Goes out: one [`LockedWheel`](crate::lock::LockedWheel) for each distribution. No Python is run
//! and none needs to be installed: the marker environment and the wheel tags are made by hand for
//! the target.
//!
//! Kept in the store below `index/`: `uv/`, uv's cache of index pages and wheel metadata, and
//! `urls/`, where wheels were seen last (a hint that spares an index query, never trusted).
//!
//! **Invariant:** unless a [`SourceBuilder`] is given, nothing is built and no Python is run
//! (`tests::missing`).
//! **Invariant:** the same index contents give the same wheels, wherever the index lies
//! (`tests::indexes::two_mirrors_give_the_same_wheels`).
//! **Invariant:** what conda packages bring is never brought by a wheel as well
//! (`tests::provided::what_is_there_is_never_shadowed`).
//! **Invariant:** a wheel is locked by size and SHA-256 also when its index gives neither
//! (`tests::indexes::what_an_index_leaves_out_is_computed`).

mod builds;
mod error;
mod failure;
mod indexes;
mod locate;
mod missing;
mod pinned;
mod provided;
mod requirements;
mod session;
mod solve;
mod sources;
mod spelling;
mod target;
mod text;
mod wheels;

#[cfg(test)]
pub(crate) mod tests;

pub use error::{
    Explanation, MissingWheel, PythonError, RegistryFailure, UnkeptPackage, Unsupported,
};
pub use locate::WheelLocator;
pub use provided::{Demand, Provided, ProvidedDistribution};
pub use solve::{PythonRequest, Resolved, demands, resolve_python};
pub use sources::{
    Backend, BuildFailure, BuildTask, Building, BuiltWheel, Checkout, SourceBuilder,
    SourceDocuments, SourceFile,
};
pub use target::WheelTarget;

//! Conda dependencies to packages, by rattler's gateway and solver.
//!
//! Comes in: `[conda]` of the manifest, the platforms with the C library of each, the packages of
//! the old lock. Goes out: one [`LockedCondaPackage`](crate::lock::LockedCondaPackage) for each
//! package, with the Python distributions that it brings where those are needed. What the system
//! offers is declared, never looked for on the host.
//!
//! Kept in the store below `index/conda/`: `repodata/`, the gateway's cache of what channels list,
//! and `python/`, by the packages' digests what the lists of their files say: the distributions, and
//! what takes part in activation.
//!
//! **Invariant:** the host's C library, kernel, processor and GPU do not decide what is locked
//! (`tests::variants::only_what_is_declared_decides`).
//! **Invariant:** a package is locked by size and SHA-256 also when its channel gives neither
//! (`tests::locking::what_a_channel_leaves_out_is_computed`).
//! **Invariant:** what the old lock has stays where it fits
//! (`tests::keeping::what_fits_stays`).

mod activation;
mod channels;
mod distributions;
mod error;
mod failure;
mod md5;
mod packages;
mod session;
mod solve;
#[cfg(test)]
pub(crate) mod tests;
mod virtual_packages;

pub use activation::activation_files;
pub use distributions::{Brought, distributions, metadata};
pub use error::{CondaError, Unfulfilled};
pub use packages::merged;
pub use session::CondaSession;
pub use solve::{Borne, CondaTask};
pub use virtual_packages::{VirtualPackage, declared};

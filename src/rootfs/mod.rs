//! A closure to a root filesystem.
//!
//! Comes in: a [`Closure`](crate::fetch::Closure). Goes out: a [`Rootfs`], a directory that a step
//! sees as `/`. Each package is unpacked once for all environments (see [`crate::layers`]); here
//! their trees are merged into one tree of hard links, together with what installing would have
//! written and compiled.
//!
//! Files are shared: a file of a rootfs, of a package's tree and of every other rootfs with that
//! package is one inode. Nothing may write to it; the sandbox mounts it read-only.
//!
//! **What is merged how.** Directories are joined; their modes too. The same file or link in
//! several packages is one. Two Debian packages, or packages of different kinds, may not disagree
//! about a path. Two wheels may: there the one that comes later by name is taken, with a warning,
//! because some popular wheels do disagree, and installers let the last one win, whichever that is.
//! Two conda packages may, for the same reason: there the one that comes later is taken, in an order in
//! which packages follow those that they need. Where a wheel disagrees with a conda package, that one's
//! file stays.
//!
//! **Conda's scripts.** A package with a `post-link` script is refused unless the manifest allows it.
//! Then the script runs in a sandbox whose clock, random bytes and machine are fixed, and what it
//! changes below the prefix is part of the rootfs.
//!
//! **On an image.** The tree of an image takes the place of the Debian packages' trees. Interpreter
//! and wheels lie on it: what they bring replaces what it has at the same path, unless one of the
//! two is a directory. The interpreter is a standalone one; a Python that the image has is not used.
//! What every sandbox needs is added as always, but the image's own users, groups and certificates
//! stay.
//!
//! **Invariant:** a rootfs depends on its packages, the rules and the platform alone
//! (`tests/it/rootfs.rs`: `a_rootfs_is_equal_everywhere`).
//! **Invariant:** packages that disagree are named (`tests::disagreements_name_both`).
//! **Invariant:** on a host that cannot run the environment's interpreter, bytecode is what that
//! would write (`tests/images/platforms.rs`:
//! `images_bytecode_is_what_the_platforms_own_interpreter_writes`).

mod activation;
mod bytecode;
mod c_library;
mod compiler;
mod conda;
mod error;
mod fixups;
mod inside;
mod link_scripts;
mod merge;
mod package_trees;
mod packages;
mod parallel;
mod parts;
mod prepare;
mod said;
#[cfg(test)]
mod tests;
mod write;

pub use activation::activation;
pub use compiler::Compiler;
pub use error::RootfsError;
pub use package_trees::{Ecosystem, PackageTree, package_trees, unpacked_trees};
pub(crate) use parallel::{Task, in_parallel};
pub use prepare::{Rootfs, find, from_layers, image, image_library, prepare};
pub(crate) use said::{output_file, printed, said_by, script_policy, why};

/// The version of the rules by which trees are merged and completed. Raise it whenever a rootfs of
/// the same packages changes: it is part of the key by which the store finds it.
pub const RULES: u32 = 2;

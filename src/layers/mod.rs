//! Unpacking: one package becomes one tree.
//!
//! Comes in: the verified file of a `.deb`, a wheel, a conda package or a standalone interpreter, or
//! the layers of an image ([`oci`]). Goes out: a tree of directories, files and links that depends on that file and on [`RULES`] alone, and its list,
//! a [`TreeManifest`](crate::store::TreeManifest), whose digest is the tree's identity.
//!
//! Archives are not trusted: they are unpacked by name and type into an empty directory, and no
//! member is written through a link, whoever made it.
//!
//! **Invariant:** a tree does not depend on umask, clock, locale, place or user
//! (`tests::trees_are_equal_everywhere`).
//! **Invariant:** no member leaves the tree (`tests::hostile_archives_are_refused`).

mod builder;
mod bytecode;
mod codec;
pub mod conda;
pub mod deb;
mod entry_points;
mod error;
mod limits;
pub mod oci;
mod path;
mod standalone;
mod tar;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod wheel;
mod zip;

pub use builder::{MODIFIED, TreeBuilder, modified};
pub use bytecode::{bytecode_of, module_of};
pub use conda::{CondaPackage, LinkScript, conda_index, link_scripts, unpack_conda};
pub use deb::unpack_deb;
pub use error::LayerError;
pub use limits::{Exceeded, Limits};
pub use oci::{ImageLayer, Notes, unpack_layers};
pub use path::{EntryPath, PathFault, components, merged_directories, parent, stays_inside};
pub use standalone::unpack_standalone;
pub use wheel::{PythonTarget, unpack_wheel, wheel_metadata};

/// The version of the rules by which packages become trees. Raise it whenever a package's tree
/// changes: it is part of the keys by which the store finds trees.
pub const RULES: u32 = 1;

//! The store: everything that was downloaded or unpacked, once for all projects of a user.
//!
//! Comes in: bytes with the digest they must have, and functions that build a tree. Goes out: paths
//! of files and trees that nobody changes any more.
//!
//! ```text
//! $store/
//! ├── CACHEDIR.TAG            backup programs pass this directory by
//! ├── version                 the layout's version, `1`
//! ├── blobs/sha256/ab/<hex>   downloads, mode 0444, named by their SHA-256
//! ├── trees/<hex>/            one unpacked package
//! │   trees/<hex>.manifest    what is in it, when its builder said so (see [`TreeManifest`])
//! │   trees/<hex>.done        says that the tree is whole; without it the tree does not count
//! ├── rootfs/<hex>/           one merged root filesystem; `.manifest` and `.done` as above
//! ├── snapshots/<hex>         the list of a project's files as a run saw them; keeps their blobs
//! ├── layers/<hex>            notes: of which blob the layer made of `<hex>` is (see [`StoredLayer`])
//! ├── index/                  caches of the resolvers, theirs alone; locks of scripts that cannot be beside them
//! ├── tmp/
//! │   ├── partial/<hex>       a download under way or broken off; who writes it has it locked
//! │   ├── partial/new-<random>  a blob under way whose digest is not known yet
//! │   ├── build/<name>/       a tree under way; who builds it has `locks/<name>`
//! │   └── trash/<n>/          on its way out
//! ├── locks/
//! │   ├── store               held shared to note a use, exclusively to collect garbage
//! │   └── trees-<hex>         held by who builds the tree
//! ├── answers/<hex>           the rootfs of a lockfile that was read and checked; `<hex>` is the
//! │                           digest of lockfile, manifest's request and program
//! ├── leases/<random>         what a living process uses, one path a line; it has the file locked
//! └── roots/
//!     ├── <hex>.link          a symbolic link to a lockfile or a directory of run records, `<hex>` is
//!     │                       the digest of its path
//!     └── <hex>               what that lockfile needed when it was last used
//! ```
//!
//! All locks are `flock`s: they end with the process, however it ends, so there is nothing to
//! clean up by process number.
//!
//! A blob is written to `tmp/partial`, synced, then renamed. A tree is built in `tmp/build` and
//! renamed; its `.done` file comes last and names the boot it was written in, because until the
//! kernel has written the tree out only this boot can vouch for it. [`Store::settle`] syncs once
//! for all trees and makes them count for later boots too. Waiting for the disk after each of a
//! hundred packages would take longer than unpacking them.
//!
//! **Invariant:** a blob or tree exists whole or not at all (`tests::a_blob_is_whole_or_absent`,
//! `tests::an_unfinished_tree_is_built_again`).
//! **Invariant:** processes on one store build a tree once (`tests::a_tree_is_built_once`).
//! **Invariant:** what a living process or a lockfile in use needs is kept
//! (`tests::gc_keeps_leases_and_roots`).
//! **Invariant:** reading needs no permission to write (`tests::a_read_only_store_can_be_read`).

mod answers;
mod blob;
mod deposit;
mod directory;
mod error;
mod filelock;
mod gc;
mod layer;
mod lease;
mod manifest;
mod object;
mod remove;
mod roots;
mod scratch;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod usage;
mod verify;

pub use answers::Question;
pub use blob::{BlobSlot, BlobWriter};
pub use deposit::Deposit;
pub use directory::Store;
pub use error::StoreError;
pub use gc::{GcMode, GcReport};
pub use layer::{NewBlob, StoredLayer};
pub use manifest::{EntryKind, InvalidManifest, TreeEntry, TreeManifest};
pub(crate) use manifest::{escape, unescape};
pub use object::{Object, TreeKey};
pub use remove::remove_tree;
pub use scratch::Scratch;
pub use tree::Tree;
pub use usage::{Share, Usage};
pub use verify::{Damage, DamageReason, VerifyReport};

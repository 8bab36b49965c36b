//! Unpacking the layers of an OCI image, whoever made it.
//!
//! Comes in: the blobs of the layers, lowest first, with the digests that the image's manifest and
//! config give them. Goes out: the tree that a container of the image would begin with, and what
//! of the image a tree cannot hold ([`Notes`]).
//!
//! **What is taken how** (image-spec, `layer.md`). A later layer replaces files, links and
//! directories by whatever it has; two directories are one. `.wh.NAME` hides what lower layers have
//! under the name, `.wh..wh..opq` all that they have in its directory; neither touches what its own
//! layer has, in whatever order that comes. A name that comes twice in a layer is the last one's.
//! Links in the directories of a name are followed inside the tree, as usr-merged images need
//! (`bin -> usr/bin`, then `bin/sh`); `..` in a name is refused, a `/` in front of it is not.
//!
//! **What a tree cannot hold.** All belongs to the user; set-id bits and extended attributes
//! (capabilities with them) are dropped, times are [`MODIFIED`](crate::layers::MODIFIED). Devices
//! and pipes below `/dev` are passed over, for every sandbox has its own; elsewhere they are
//! refused, and so are sparse files, which no tool writes into layers. A character device 0:0 is a
//! whiteout, as overlayfs has it.
//!
//! **Invariant:** bytes that are not those the image names are an error
//! (`tests::layers_are_what_the_image_says`).
//! **Invariant:** whatever the layers are, nothing outside of the directory changes
//! (`tests::no_stream_leaves_the_tree`).

mod apply;
mod names;
mod notes;
mod reader;
mod spool;
#[cfg(test)]
mod tests;
mod walk;

use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Compression, Digest};

use crate::layers::LayerError;
use crate::layers::builder::TreeBuilder;
use crate::layers::limits::Limits;
use crate::layers::oci::apply::Apply;
use crate::layers::oci::spool::Spool;
use crate::store::TreeManifest;

pub use notes::Notes;

/// The version of the rules by which layers become a tree. Raise it whenever the tree of an image
/// changes: it is part of the key by which the store finds it.
pub const RULES: u32 = 1;

/// How many layers an image may have: more than any runtime takes.
const LAYER_LIMIT: usize = 500;

/// A layer's blob, and what the image says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// The blob.
    pub path: PathBuf,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How it is compressed.
    pub compression: Compression,
    /// The digest of the tar stream.
    pub diff_id: Digest,
}

/// Applies `layers`, lowest first, in the empty directory `tree`; `threads` of them are read side by
/// side. The limits hold for all of them together; of the expansion, for each.
///
/// Beside the tree, on the same file system, is a directory for their content while this runs.
///
/// # Errors
/// Returns [`LayerError::Layer`] with the layer and, in it, the member and what is wrong with it.
pub fn unpack_layers(
    layers: &[ImageLayer],
    tree: &Path,
    limits: Limits,
    threads: usize,
) -> Result<(TreeManifest, Notes), LayerError> {
    if layers.len() > LAYER_LIMIT {
        return Err(LayerError::TooManyLayers {
            found: layers.len(),
            limit: LAYER_LIMIT,
        });
    }
    let mut builder = TreeBuilder::new(tree, limits)?;
    let mut apply = Apply::new(&mut builder, limits);
    let spool = Spool::beside(tree, limits)?;
    spool.read(layers, threads, |members| apply.layer(members))?;
    let notes = apply.finish();
    Ok((builder.finish()?, notes))
}

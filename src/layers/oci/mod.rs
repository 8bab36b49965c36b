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
mod notes;
mod reader;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Compression, Digest, FsError, Hasher};

use crate::layers::LayerError;
use crate::layers::builder::TreeBuilder;
use crate::layers::codec::Codec;
use crate::layers::limits::{Bounded, Limits};
use crate::layers::oci::apply::Apply;
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

/// Applies `layers`, lowest first, in the empty directory `tree`. The limits hold for all of them
/// together; of the expansion, for each.
///
/// # Errors
/// Returns [`LayerError::Layer`] with the layer and, in it, the member and what is wrong with it.
pub fn unpack_layers(
    layers: &[ImageLayer],
    tree: &Path,
    limits: Limits,
) -> Result<(TreeManifest, Notes), LayerError> {
    if layers.len() > LAYER_LIMIT {
        return Err(LayerError::TooManyLayers {
            found: layers.len(),
            limit: LAYER_LIMIT,
        });
    }
    let mut builder = TreeBuilder::new(tree, limits)?;
    let mut apply = Apply::new(&mut builder, limits);
    for (index, layer) in layers.iter().enumerate() {
        unpack_layer(layer, &mut apply, limits).map_err(|source| LayerError::Layer {
            number: index + 1,
            digest: layer.digest,
            source: Box::new(source),
        })?;
    }
    let notes = apply.finish();
    Ok((builder.finish()?, notes))
}

fn unpack_layer(
    layer: &ImageLayer,
    apply: &mut Apply<'_>,
    limits: Limits,
) -> Result<(), LayerError> {
    let file = File::open(&layer.path).map_err(FsError::at("read", &layer.path))?;
    let size = file
        .metadata()
        .map_err(FsError::at("read", &layer.path))?
        .len();
    let mut packed = BufReader::with_capacity(256 * 1024, Hashing::new(file));
    let stream = codec(layer.compression).decode(&mut packed)?;
    let mut stream = Hashing::new(Bounded::new(stream, limits.unpacked(size)));
    let applied = apply.layer(&mut stream);
    let diff_id = applied.is_ok().then(|| stream.digest());
    drop(stream);
    if let Some(diff_id) = diff_id {
        let diff_id = diff_id?;
        drain(&mut packed)?;
        let digest = packed.into_inner().digest()?;
        expect("its digest", layer.digest, digest)?;
        return expect("the digest of its tar stream", layer.diff_id, diff_id);
    }
    // Bytes that are not the image's may be wrong in any way: say that first.
    drain(&mut packed)?;
    expect("its digest", layer.digest, packed.into_inner().digest()?)?;
    applied
}

fn codec(compression: Compression) -> Codec {
    match compression {
        Compression::None => Codec::Plain,
        Compression::Gzip => Codec::Gzip,
        Compression::Zstd => Codec::Zstd,
    }
}

fn expect(what: &'static str, expected: Digest, found: Digest) -> Result<(), LayerError> {
    match expected == found {
        true => Ok(()),
        false => Err(LayerError::LayerDigest {
            what,
            expected,
            found,
        }),
    }
}

fn drain(reader: &mut impl BufRead) -> io::Result<()> {
    io::copy(reader, &mut io::sink()).map(drop)
}

/// Takes the digest of what is read.
struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Hasher::new(),
        }
    }

    /// Returns the digest of everything, with what was not read yet.
    fn digest(&mut self) -> io::Result<Digest> {
        io::copy(self, &mut io::sink())?;
        Ok(std::mem::take(&mut self.hasher).finish().0)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

//! Unpacking standalone interpreters.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use envbox_lockfiles::base::FsError;

use crate::layers::LayerError;
use crate::layers::builder::TreeBuilder;
use crate::layers::codec::Codec;
use crate::layers::limits::{Bounded, Limits};
use crate::layers::path::EntryPath;
use crate::layers::tar::{self, Placement};
use crate::store::TreeManifest;

/// Where a standalone interpreter lies in the tree.
const PREFIX: &str = "opt/python";

/// Unpacks a python-build-standalone archive (`install_only`, all of it below `python/`) to
/// `/opt/python` in `tree`. `name` is its file name, whose end says how it is compressed.
///
/// # Errors
/// Returns [`LayerError`] when the archive is damaged or hostile, or the tree cannot be written.
pub fn unpack_standalone(
    archive: &Path,
    name: &str,
    tree: &Path,
    limits: Limits,
) -> Result<TreeManifest, LayerError> {
    let codec = Codec::of_name(name).ok_or_else(|| LayerError::Compression {
        member: name.to_owned(),
    })?;
    let file = File::open(archive).map_err(FsError::at("read", archive))?;
    let packed = file.metadata().map_err(FsError::at("read", archive))?.len();
    let stream = codec.decode(BufReader::with_capacity(256 * 1024, file))?;
    let mut builder = TreeBuilder::new(tree, limits)?;
    let stream = Bounded::new(stream, limits.unpacked(packed));
    tar::unpack(stream, &Interpreter, &mut builder)?;
    let prefix = builder.manifest().entries.get(PREFIX.as_bytes());
    if prefix.is_none() {
        return Err(LayerError::Missing {
            member: "python/".to_owned(),
        });
    }
    builder.finish()
}

struct Interpreter;

impl Placement for Interpreter {
    fn place(&self, member: EntryPath, _: bool) -> Result<EntryPath, LayerError> {
        if member.as_bytes() == b"python" {
            return Ok(EntryPath::known(PREFIX));
        }
        match member.below("python") {
            Some(path) => Ok(path.under(PREFIX)),
            None => Err(LayerError::Malformed {
                reason: "a member lies outside of `python/`",
            }),
        }
    }

    fn mode(&self, mode: u32, directory: bool) -> u32 {
        plain_mode(mode, directory)
    }
}

/// Returns one of the two modes that files have when their archive's modes mean nothing but
/// "may be run". Writable for their owner: a tree is mounted read-only, but a step that copies a
/// template out of a package must be able to change its copy.
pub(super) fn plain_mode(mode: u32, directory: bool) -> u32 {
    if directory || mode & 0o111 != 0 {
        0o755
    } else {
        0o644
    }
}

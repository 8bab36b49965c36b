//! Writing the merged tree.

use std::path::Path;

use crate::layers::{EntryPath, Limits, TreeBuilder};
use crate::rootfs::RootfsError;
use crate::rootfs::merge::{Merged, Source, as_path};
use crate::rootfs::packages::Package;
use crate::store::EntryKind;

/// Makes the tree in the empty `directory`: directories and links anew, files as further names of
/// the packages' files. It may be added to.
pub(super) fn write(
    merged: &Merged,
    packages: &[Package],
    directory: &Path,
) -> Result<TreeBuilder, RootfsError> {
    let limits = Limits {
        entries: usize::MAX,
        bytes: u64::MAX,
        ..Limits::default()
    };
    let mut tree = TreeBuilder::new(directory, limits).map_err(RootfsError::Merge)?;
    for (path, node) in &merged.nodes {
        let Ok(Some(path)) = EntryPath::parse(path) else {
            // The tree's own directory; other paths come from lists of trees, which have none else.
            continue;
        };
        let mode = node.entry.mode;
        let written = match (&node.entry.kind, &node.source) {
            (EntryKind::Directory, _) => tree.directory(&path, mode),
            (EntryKind::Symlink { target }, _) => tree.symlink(
                &path,
                std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str()),
            ),
            (_, Source::Generated(bytes)) => tree.file(&path, mode, bytes.as_slice()).map(drop),
            (_, Source::Package(index)) => {
                let source = packages[*index].path.join(as_path(path.as_bytes()));
                tree.share(&path, &source, &node.entry)
            }
        };
        written.map_err(RootfsError::Merge)?;
    }
    Ok(tree)
}

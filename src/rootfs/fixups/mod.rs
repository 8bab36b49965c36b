//! What installing the packages would have written, written by us: the last layer of a rootfs.
//!
//! Comes in: the merged packages. Goes out: the same with more entries. Nothing comes from the
//! host: every byte is a constant, or made from what is in the packages.
//!
//! What each package's scripts would do, and why this is enough, is in
//! [`deb`](crate::layers::deb).

mod accounts;
mod alternatives;
mod base;
mod certificates;
mod elf;
mod linker;
mod python;
mod random_device;

use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, FsError};

use crate::layers::parent;
use crate::rootfs::RootfsError;
use crate::rootfs::merge::{Merged, Node, Source};
use crate::rootfs::packages::Package;
use crate::rootfs::parts::Parts;
use crate::store::{EntryKind, TreeEntry};

/// Completes the merged packages.
pub(super) fn apply(
    merged: &mut Merged,
    packages: &[Package],
    parts: &Parts<'_>,
) -> Result<(), RootfsError> {
    let mut fixups = Fixups { merged, packages };
    base::directories(&mut fixups, parts.platform);
    accounts::write(&mut fixups)?;
    base::files(&mut fixups)?;
    certificates::write(&mut fixups)?;
    alternatives::write(&mut fixups)?;
    python::write(&mut fixups, parts)?;
    // It lists what all others have made, and reads the packages' own files.
    linker::write(&mut fixups, parts.platform)?;
    random_device::write(&mut fixups, parts.platform)
}

/// The merged packages while they are completed.
struct Fixups<'a> {
    merged: &'a mut Merged,
    packages: &'a [Package],
}

impl Fixups<'_> {
    /// Makes a directory and those it lies in, where there is nothing.
    fn directory(&mut self, path: &str, mode: u32) {
        let place = self.place(path.as_bytes());
        let kind = EntryKind::Directory;
        self.provide(
            place,
            TreeEntry { mode, kind },
            Source::Generated(Vec::new()),
        );
    }

    /// Writes a file, also over one that a package brought.
    fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        let place = self.place(path.as_bytes());
        self.merged.nodes.remove(&place);
        self.default_file(path, bytes);
    }

    /// Writes a file where there is nothing.
    fn default_file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        let place = self.place(path.as_bytes());
        let bytes = bytes.into();
        let kind = EntryKind::File {
            size: bytes.len() as u64,
            digest: Digest::of(&bytes),
        };
        self.provide(
            place,
            TreeEntry { mode: 0o644, kind },
            Source::Generated(bytes),
        );
    }

    /// Makes a symbolic link where there is nothing.
    fn link(&mut self, path: &str, target: &str) {
        let place = self.place(path.as_bytes());
        let kind = EntryKind::Symlink {
            target: PathBuf::from(target),
        };
        self.provide(
            place,
            TreeEntry { mode: 0, kind },
            Source::Generated(Vec::new()),
        );
    }

    /// Reads a file, following links; `None` when there is none.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RootfsError> {
        let Some(place) = self.merged.resolve(path.as_bytes()) else {
            return Ok(None);
        };
        match self.merged.nodes.get(&place) {
            Some(Node {
                source: Source::Generated(bytes),
                ..
            }) => Ok(Some(bytes.clone())),
            Some(Node { entry, .. }) if entry.kind == EntryKind::Directory => Ok(None),
            _ => self.read_from_package(&place),
        }
    }

    fn read_from_package(&self, place: &[u8]) -> Result<Option<Vec<u8>>, RootfsError> {
        let Some(path) = self.merged.host_path(self.packages, place) else {
            return Ok(None);
        };
        let bytes = std::fs::read(&path).map_err(FsError::at("read", &path))?;
        Ok(Some(bytes))
    }

    /// Copies a package's template to where its scripts would, if there is nothing.
    fn copy(&mut self, template: &str, path: &str) -> Result<(), RootfsError> {
        if let Some(bytes) = self.read(template)? {
            self.default_file(path, bytes);
        }
        Ok(())
    }

    fn provide(&mut self, place: Vec<u8>, entry: TreeEntry, source: Source) {
        let node = Node { entry, source };
        self.merged.nodes.entry(place).or_insert(node);
    }

    /// Returns where a path lies when links in its directories are followed, and makes those
    /// directories that are missing.
    fn place(&mut self, path: &[u8]) -> Vec<u8> {
        let Some(directory) = parent(path) else {
            return path.to_vec();
        };
        let mut place = match self.merged.resolve(directory) {
            Some(directory) => directory,
            None => {
                let directory = self.place(directory);
                let kind = EntryKind::Directory;
                let entry = TreeEntry { mode: 0o755, kind };
                self.provide(directory.clone(), entry, Source::Generated(Vec::new()));
                directory
            }
        };
        if !place.is_empty() {
            place.push(b'/');
        }
        place.extend_from_slice(&path[directory.len() + 1..]);
        place
    }
}

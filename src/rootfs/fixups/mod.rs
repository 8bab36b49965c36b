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
mod conda;
mod elf;
mod linker;
mod python;
mod random_device;

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use envbox_lockfiles::base::{Digest, FsError};

use crate::layers::parent;
use crate::rootfs::RootfsError;
use crate::rootfs::merge::{Merged, Node, Source};
use crate::rootfs::packages::Package;
use crate::rootfs::parts::{Contents, Parts};
use crate::store::{EntryKind, TreeEntry};

/// How many links a path may lead through.
const LINK_LIMIT: usize = 40;

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
    conda::write(&mut fixups, parts);
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
    /// Says whether all lies on an image, whose author has made choices of their own.
    fn on_image(&self) -> bool {
        let is_image = |package: &Package| matches!(package.contents, Contents::Image(_));
        self.packages.iter().any(is_image)
    }

    /// Makes a directory and those it lies in, where there is nothing.
    fn directory(&mut self, path: &str, mode: u32) {
        let place = match self.on_image() {
            true => self.leads_to(path.as_bytes()),
            false => self.place(path.as_bytes()),
        };
        let kind = EntryKind::Directory;
        self.provide(
            place,
            TreeEntry { mode, kind },
            Source::Generated(Vec::new()),
        );
    }

    /// Makes a directory that is mounted over, also in the place of a file or link: that nobody
    /// would see, and a step would not be where it is said to be.
    fn mount_point(&mut self, path: &str) {
        let place = self.place(path.as_bytes());
        let node = self.merged.nodes.get(&place);
        if node.is_some_and(|node| node.entry.kind != EntryKind::Directory) {
            self.merged.nodes.remove(&place);
        }
        self.directory(path, 0o755);
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
                let directory = self.leads_to(directory);
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

    /// Returns the path at which a directory that is not there would be: images have links to
    /// directories that only a start of the system makes.
    fn leads_to(&mut self, directory: &[u8]) -> Vec<u8> {
        let mut place = self.place(directory);
        for _ in 0..LINK_LIMIT {
            let Some(Node { entry, .. }) = self.merged.nodes.get(&place) else {
                break;
            };
            let EntryKind::Symlink { target } = &entry.kind else {
                break;
            };
            let target = target.as_os_str().as_bytes();
            let below = parent(&place).unwrap_or_default();
            let Some(target) = lexical(below, target) else {
                break;
            };
            place = self.place(&target);
        }
        place
    }
}

/// Returns the path that a link in `directory` leads to by its words alone.
fn lexical(directory: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    let start = if target.starts_with(b"/") {
        b""
    } else {
        directory
    };
    let mut path: Vec<&[u8]> = Vec::new();
    let whole = [start, target].join(&b'/');
    for component in whole.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => drop(path.pop()),
            _ => path.push(component),
        }
    }
    (!path.is_empty()).then(|| path.join(&b'/'))
}

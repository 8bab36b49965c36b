//! How much space the store takes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use envbox_lockfiles::base::FsError;
use serde::Serialize;

use crate::store::{Store, StoreError};

/// One part of the store.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Share {
    /// How many blobs or trees.
    pub count: u64,
    /// Space on the disk. A file with several names is counted with the first part that has it, in
    /// the order of [`Usage`]'s fields.
    pub bytes: u64,
}

/// The parts of the store.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// Downloads.
    pub blobs: Share,
    /// Unpacked packages.
    pub trees: Share,
    /// Merged root filesystems: mostly names of the packages' files.
    pub rootfs: Share,
    /// Lists of code snapshots.
    pub snapshots: Share,
    /// Caches of the resolvers.
    pub index: Share,
    /// Downloads and builds under way or broken off.
    pub temporary: Share,
}

impl Store {
    /// Measures the store.
    ///
    /// # Errors
    /// Returns [`StoreError`] when it cannot be read.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut links = Links::default();
        let mut share = |directory: &str, depth| -> Result<Share, StoreError> {
            let before = links.bytes();
            let path = self.path(directory);
            links.add(&path)?;
            Ok(Share {
                count: count(&path, depth).map_err(FsError::at("read", &path))?,
                bytes: links.bytes() - before,
            })
        };
        Ok(Usage {
            blobs: share("blobs/sha256", 2)?,
            trees: share("trees", 1)?,
            rootfs: share("rootfs", 1)?,
            snapshots: share("snapshots", 1)?,
            index: share("index", 1)?,
            temporary: share("tmp", 2)?,
        })
    }
}

impl Usage {
    /// Returns the space on the disk of all parts together.
    pub fn bytes(&self) -> u64 {
        let parts = [
            self.blobs,
            self.trees,
            self.rootfs,
            self.snapshots,
            self.index,
            self.temporary,
        ];
        parts.iter().map(|share| share.bytes).sum()
    }
}

/// Counts the entries `depth` levels below `directory`, companions of trees apart.
fn count(directory: &Path, depth: u32) -> io::Result<u64> {
    let mut sum = 0;
    let entries = match fs::read_dir(directory) {
        Err(error) if absent(&error) => return Ok(0),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path();
        sum += match depth {
            1 => u64::from(
                !path
                    .extension()
                    .is_some_and(|end| end == "done" || end == "manifest"),
            ),
            _ => count(&path, depth - 1)?,
        };
    }
    Ok(sum)
}

/// Counts the space of files, each inode once however many names it has.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// By device and inode: names found, names there are, bytes.
    inodes: BTreeMap<(u64, u64), (u64, u64, u64)>,
    single: u64,
}

impl Links {
    /// Adds `path` and all below it; what vanishes meanwhile does not count.
    pub(super) fn add(&mut self, path: &Path) -> Result<(), FsError> {
        self.walk(path).map_err(FsError::at("read", path))
    }

    fn walk(&mut self, path: &Path) -> io::Result<()> {
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if absent(&error) => return Ok(()),
            other => other?,
        };
        let bytes = metadata.blocks() * 512;
        if metadata.is_dir() {
            self.single += bytes;
            return match fs::read_dir(path) {
                // A tree may hold directories that nobody may read.
                Err(error) if absent(&error) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                entries => entries?.try_for_each(|entry| self.walk(&entry?.path())),
            };
        }
        if metadata.nlink() == 1 {
            self.single += bytes;
            return Ok(());
        }
        let inode = (metadata.dev(), metadata.ino());
        let entry = self
            .inodes
            .entry(inode)
            .or_insert((0, metadata.nlink(), bytes));
        entry.0 += 1;
        Ok(())
    }

    /// Returns the space of everything added.
    pub(super) fn bytes(&self) -> u64 {
        self.single + self.inodes.values().map(|(_, _, bytes)| bytes).sum::<u64>()
    }

    /// Returns the space that is free when everything added is removed.
    pub(super) fn bytes_with_all_links(&self) -> u64 {
        let all = self
            .inodes
            .values()
            .filter(|(found, links, _)| found == links);
        self.single + all.map(|(_, _, bytes)| bytes).sum::<u64>()
    }
}

fn absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

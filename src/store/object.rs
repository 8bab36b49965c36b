//! What the store holds, by name.

use std::fmt;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::Digest;
use serde::Serialize;

/// Names a tree: a digest over all that it is made from (for a package: the artifact's digest and
/// the version of the rules it was unpacked by).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TreeKey {
    /// One unpacked package.
    Package(Digest),
    /// One merged root filesystem.
    Rootfs(Digest),
}

impl TreeKey {
    /// Returns the directory that trees of this kind are in.
    pub(super) fn directory(self) -> &'static str {
        match self {
            Self::Package(_) => "trees",
            Self::Rootfs(_) => "rootfs",
        }
    }

    /// Returns the digest of everything that the tree depends on.
    pub fn digest(self) -> Digest {
        match self {
            Self::Package(digest) | Self::Rootfs(digest) => digest,
        }
    }

    /// Returns the name of what belongs to the building of this tree.
    pub(super) fn work_name(self) -> String {
        format!("{}-{}", self.directory(), self.digest().hex())
    }
}

/// Names one thing in the store. Written as its path below the store's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A download.
    Blob(Digest),
    /// An unpacked package or a merged root filesystem.
    Tree(TreeKey),
    /// The list of a code snapshot, which keeps the blobs that it names.
    Snapshot(Digest),
}

/// Where the lists of code snapshots are.
pub(super) const SNAPSHOTS: &str = "snapshots";

/// Says whether the object at a path below the store's directory is one file, named by its digest.
pub(super) fn is_file(object: &Path) -> bool {
    object.starts_with("blobs") || object.starts_with(SNAPSHOTS)
}

impl Object {
    /// Returns the path below the store's directory.
    pub fn relative(self) -> PathBuf {
        PathBuf::from(self.to_string())
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => {
                let hex = digest.hex();
                write!(f, "blobs/sha256/{}/{hex}", &hex[..2])
            }
            Self::Tree(key) => write!(f, "{}/{}", key.directory(), key.digest().hex()),
            Self::Snapshot(digest) => write!(f, "{SNAPSHOTS}/{}", digest.hex()),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Digest> for Object {
    fn from(digest: Digest) -> Self {
        Self::Blob(digest)
    }
}

impl From<TreeKey> for Object {
    fn from(key: TreeKey) -> Self {
        Self::Tree(key)
    }
}

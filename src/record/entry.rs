//! One change of a step.

use std::ffi::OsString;

use envbox_lockfiles::base::Digest;
use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize, Serializer};

use crate::record::ProjectPath;

/// What a step did to one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The path.
    #[serde(flatten)]
    pub path: ProjectPath,
    /// What became of it.
    pub kind: ChangeKind,
    /// What is there now, or, after a deletion, what was there.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Change {
    /// Says whether it is about anything but a directory: for people, directories are where files
    /// are.
    pub fn is_leaf(&self) -> bool {
        !matches!(
            self.entry,
            Entry::Directory { .. }
                | Entry::Gone {
                    r#type: EntryType::Directory
                }
        )
    }
}

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// There was nothing before.
    Created,
    /// There was something else before: other bytes, another mode, another type.
    Modified,
    /// The same bytes were written again. Told by records only.
    Rewritten,
    /// There is nothing any more.
    Deleted,
}

/// What is, or was, at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Entry {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The digest of its bytes.
        #[serde(serialize_with = "hex")]
        sha256: Digest,
        /// Its permissions.
        #[serde(serialize_with = "octal")]
        mode: u32,
    },
    /// A directory.
    Directory {
        /// Its permissions.
        #[serde(serialize_with = "octal")]
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to.
        #[serde(serialize_with = "lossy")]
        target: OsString,
    },
    /// What is not there any more.
    #[serde(untagged)]
    Gone {
        /// What it was.
        r#type: EntryType,
    },
}

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A pipe, a socket or a device.
    Special,
}

impl EntryType {
    /// Returns the type of what `stat` tells about.
    pub(super) fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            _ => Self::Special,
        }
    }
}

/// Returns the permissions that a file gets on the host. Set-user-id and its like are dropped: run
/// by root, a step could otherwise leave a program behind that makes others root.
pub(super) fn permissions(stat: &Stat) -> u32 {
    match EntryType::of(stat) {
        // Set-group-id on a directory only decides the group of what is created in it.
        EntryType::Directory => stat.st_mode & 0o3777,
        _ => stat.st_mode & 0o777,
    }
}

fn hex<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&digest.hex())
}

// The signature is serde's.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn octal<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{mode:04o}"))
}

fn lossy<S: Serializer>(text: &OsString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text.to_string_lossy())
}

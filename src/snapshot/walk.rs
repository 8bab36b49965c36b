//! Which files belong to a project.

use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Explain, FsError, Kind};
use ignore::WalkBuilder;

use crate::store::StoreError;

/// Directories that are no part of any project's code.
const NEVER: [&str; 5] = [".git", ".hg", ".jj", ".svn", "__pycache__"];

/// What a project names its own exceptions in, written as `.gitignore` is.
const IGNORE: &str = ".envboxignore";

/// A snapshot cannot be taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A directory cannot be listed, or a file of rules not be read.
    #[error("failed to list the project's files")]
    Walk(#[source] ignore::Error),
    /// The thread that read the files came to a bad end.
    #[error("the reading of the project's files was interrupted")]
    Interrupted,
    /// A file cannot be read.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The store does not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for SnapshotError {
    fn kind(&self) -> Kind {
        match self {
            Self::Walk(_) => Kind::Host,
            Self::Interrupted => Kind::Internal,
            Self::Fs(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Walk(_) => vec![format!("make them readable, or name them in `{IGNORE}`")],
            Self::Interrupted => Vec::new(),
            Self::Fs(error) => error.hints(),
            Self::Store(error) => error.hints(),
        }
    }
}

/// What tells whether a file is the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// In nanoseconds since 1970.
    pub(super) modified: i128,
    /// Of the last status change, which no program can set back. In nanoseconds since 1970.
    pub(super) changed: i128,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds, rest| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file, directory or link of the project.
#[derive(Debug)]
pub struct Found {
    /// Its path in the project.
    pub path: PathBuf,
    pub(super) metadata: Metadata,
}

/// Returns everything that belongs to the project, but for `data`, sorted by the bytes of the paths.
/// The project's own directory is not in it.
///
/// # Errors
/// Returns [`SnapshotError`] when a part of it cannot be listed.
pub fn walk(project: &Path, data: &[PathBuf]) -> Result<Vec<Found>, SnapshotError> {
    let data: Vec<PathBuf> = data.iter().map(|path| project.join(path)).collect();
    let mut builder = WalkBuilder::new(project);
    // What the user's own configuration ignores would make two users' lists differ.
    builder
        .hidden(false)
        .git_global(false)
        .git_exclude(false)
        .require_git(false)
        .parents(is_in_repository(project))
        .ignore(false)
        .add_custom_ignore_filename(IGNORE)
        .filter_entry(move |entry| {
            let never = NEVER.iter().any(|never| entry.file_name() == *never);
            !never && !data.iter().any(|data| entry.path() == data)
        });
    let mut found = Vec::new();
    for entry in builder.build() {
        let entry = entry.map_err(SnapshotError::Walk)?;
        if let Some(error) = entry.error() {
            return Err(SnapshotError::Walk(error.clone()));
        }
        let Ok(path) = entry.path().strip_prefix(project) else {
            continue;
        };
        if path == Path::new("") {
            continue;
        }
        found.push(Found {
            path: path.to_path_buf(),
            metadata: entry.metadata().map_err(SnapshotError::Walk)?,
        });
    }
    found.sort_by(|a, b| bytes(&a.path).cmp(bytes(&b.path)));
    Ok(found)
}

/// Returns the paths of files that were there and are not as they were.
pub fn changed_since<'a>(project: &Path, found: &'a [Found]) -> Vec<&'a Path> {
    let changed = |found: &&Found| {
        let now = fs::symlink_metadata(project.join(&found.path));
        !found.metadata.is_dir()
            && !now.is_ok_and(|now| Stamp::of(&now) == Stamp::of(&found.metadata))
    };
    let changed = found.iter().filter(changed);
    changed.map(|found| found.path.as_path()).collect()
}

/// Says whether a project is a part of a repository of Git's. Above one that is not, rules are
/// somebody else's.
pub fn is_in_repository(project: &Path) -> bool {
    project
        .ancestors()
        .any(|directory| directory.join(".git").exists())
}

pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

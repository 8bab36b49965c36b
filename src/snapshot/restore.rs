//! A list and what the store keeps to a project again.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use envbox_lockfiles::base::{Digest, Explain, FsError, Kind};

use crate::store::{EntryKind, InvalidManifest, Store, StoreError, TreeEntry, TreeManifest};

/// A snapshot cannot be brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The store does not have its list.
    #[error("the code snapshot {digest} is not in the store")]
    Missing {
        /// Its digest.
        digest: Digest,
    },
    /// The list is damaged.
    #[error("the list of the code snapshot {digest} is damaged")]
    Damaged {
        /// Its digest.
        digest: Digest,
        /// Where, if it is no list at all.
        #[source]
        source: Option<InvalidManifest>,
    },
    /// Files are neither in the store nor in the project.
    #[error("the content of `{}` is not kept, and the project has it no more{}", first.display(), others(*more))]
    Content {
        /// The first.
        first: PathBuf,
        /// How many others there are.
        more: usize,
    },
    /// A file operation failed.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(" (nor {more} others)"),
    }
}

impl Explain for RestoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::Content { .. } => Kind::Host,
            Self::Damaged { .. } => Kind::Integrity,
            Self::Fs(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Missing { .. } => {
                "use the store that the run used, or check its commit out and run the command again"
            }
            Self::Damaged { .. } => "run `envbox store verify --discard`",
            Self::Content { .. } => "put those files back into the project and try again",
            Self::Fs(error) => return error.hints(),
            Self::Store(error) => return error.hints(),
        };
        vec![hint.to_owned()]
    }
}

/// Writes the files of the snapshot `digest` to `target`, an empty directory. Content that the
/// store does not keep is taken from `project`, where that has it still.
///
/// # Errors
/// Returns [`RestoreError`]; `target` then has a part of them.
pub fn restore(
    store: &Store,
    digest: Digest,
    target: &Path,
    project: Option<&Path>,
) -> Result<(), RestoreError> {
    let text = store.snapshot(digest)?;
    let text = text.ok_or(RestoreError::Missing { digest })?;
    let damaged = |source| RestoreError::Damaged { digest, source };
    if Digest::of(text.as_bytes()) != digest {
        return Err(damaged(None));
    }
    let list = TreeManifest::parse(&text).map_err(|source| damaged(Some(source)))?;
    let mut missing = Vec::new();
    for (path, entry) in &list.entries {
        let path = PathBuf::from(std::ffi::OsString::from_vec(path.clone()));
        if !path
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(damaged(None));
        }
        if !place(store, &path, entry, target, project)? {
            missing.push(path);
        }
    }
    if let Some(first) = missing.first() {
        let (first, more) = (first.clone(), missing.len() - 1);
        return Err(RestoreError::Content { first, more });
    }
    // Last, and the deepest first: a directory may forbid to write into it.
    for (path, entry) in list.entries.iter().rev() {
        if entry.kind == EntryKind::Directory {
            let path = target.join(PathBuf::from(std::ffi::OsString::from_vec(path.clone())));
            set_mode(&path, entry.mode)?;
        }
    }
    Ok(())
}

/// Writes one entry; says whether its content was found.
fn place(
    store: &Store,
    path: &Path,
    entry: &TreeEntry,
    target: &Path,
    project: Option<&Path>,
) -> Result<bool, RestoreError> {
    let to = target.join(path);
    match &entry.kind {
        EntryKind::Directory => fs::create_dir(&to).map_err(FsError::at("create", &to))?,
        EntryKind::Symlink { target } => {
            std::os::unix::fs::symlink(target, &to).map_err(FsError::at("create", &to))?;
        }
        // Nobody reads what is left of a socket or a pipe.
        EntryKind::Special => {}
        EntryKind::File { digest, .. } => {
            let there = project.map(|project| project.join(path));
            let unchanged = |path: &PathBuf| {
                let read = || Digest::of_reader(fs::File::open(path)?);
                read().is_ok_and(|(found, _)| found == *digest)
            };
            let Some(from) = store.blob(digest).or_else(|| there.filter(unchanged)) else {
                return Ok(false);
            };
            fs::copy(&from, &to).map_err(FsError::at("write", &to))?;
            set_mode(&to, entry.mode)?;
        }
    }
    Ok(true)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), FsError> {
    // Set-user-id and its like are nobody's code.
    let permissions = Permissions::from_mode(mode & 0o777);
    fs::set_permissions(path, permissions).map_err(FsError::at("write", path))
}

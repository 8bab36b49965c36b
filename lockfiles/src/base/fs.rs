//! File access whose errors carry the path.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::base::{Explain, Kind};

/// A file operation failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} `{}`", path.display())]
pub struct FsError {
    /// What was being done, as a verb phrase.
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The operating system's reason.
    #[source]
    pub source: io::Error,
}

impl FsError {
    /// Returns a function for `map_err` that adds what was being done to which path.
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self {
            action,
            path,
            source,
        }
    }
}

impl Explain for FsError {
    fn kind(&self) -> Kind {
        Kind::Host
    }

    fn hints(&self) -> Vec<String> {
        match self.source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                vec!["free some space, or run `envbox store gc`".to_owned()]
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                vec!["make it writable, or choose another store with `ENVBOX_STORE`".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// Reads a whole file.
///
/// # Errors
/// Returns [`FsError`] with the path.
pub fn read(path: &Path) -> Result<Vec<u8>, FsError> {
    fs::read(path).map_err(FsError::at("read", path))
}

/// Creates a directory and its parents.
///
/// # Errors
/// Returns [`FsError`] with the path.
pub fn create_dir_all(path: &Path) -> Result<(), FsError> {
    fs::create_dir_all(path).map_err(FsError::at("create", path))
}

/// Replaces `path` by `bytes` as one step: a reader sees the old bytes or the new ones, also after
/// a crash.
///
/// # Errors
/// Returns [`FsError`] with the path; the old file is then unchanged.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    replace(path, bytes, true)
}

/// As [`write_atomic`], but does not wait for the disk: after a crash of the machine the file may be
/// the old one, or none, or empty.
///
/// # Errors
/// Returns [`FsError`] with the path; the old file is then unchanged.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    replace(path, bytes, false)
}

fn replace(path: &Path, bytes: &[u8], sync: bool) -> Result<(), FsError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".envbox-")
            .tempfile_in(directory)?;
        file.write_all(bytes)?;
        // Same mode as a file made by an editor; tempfile makes it 0600.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
        if sync {
            // Before the rename, or a crash could leave an empty file under the final name.
            file.as_file().sync_all()?;
        }
        file.persist(path).map_err(|error| error.error)?;
        match sync {
            true => File::open(directory)?.sync_all(),
            false => Ok(()),
        }
    };
    write().map_err(FsError::at("write", path))
}

//! Locks between processes that need no cleaning up.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use envbox_lockfiles::base::FsError;

/// Who else may have the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Everyone who asks for the same.
    Shared,
    /// Nobody.
    Exclusive,
}

/// Opens `path` for reading and writing, creating it when it is not there, and locks it; waits.
pub(super) fn lock(path: &Path, mode: Mode) -> Result<File, FsError> {
    let attempt = || loop {
        let file = create(path)?;
        match mode {
            Mode::Shared => file.lock_shared()?,
            Mode::Exclusive => file.lock()?,
        }
        if is_at(&file, path)? {
            return Ok(file);
        }
    };
    attempt().map_err(FsError::at("lock", path))
}

/// Does as [`lock`] does with [`Mode::Exclusive`], but returns nothing when someone else has it or
/// when there is no such file.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, FsError> {
    let attempt = || {
        let file = match OpenOptions::new().read(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match file.try_lock() {
            Ok(()) => Ok(is_at(&file, path)?.then_some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    };
    attempt().map_err(FsError::at("lock", path))
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            options.open(path)
        }
        other => other,
    }
}

/// Says whether `path` still leads to `file`: while we waited, whoever had the lock may have
/// removed or renamed the file, and a lock on it keeps nobody out any more.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(there) => {
            let here = file.metadata()?;
            Ok((here.dev(), here.ino()) == (there.dev(), there.ino()))
        }
    }
}

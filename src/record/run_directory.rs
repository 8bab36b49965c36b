//! A run's own directory, and the end of those whose process is dead.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::{Explain, FsError, Kind};
use jiff::Timestamp;
use rustix::io::Errno;

use crate::record::RunId;
use crate::store::remove_tree;

/// A directory of the store that belongs to one run. It goes when this value does.
#[derive(Debug)]
pub struct RunDirectory {
    id: RunId,
    path: PathBuf,
    lock: PathBuf,
    /// Holds the lock.
    _file: File,
    kept: bool,
}

/// Nothing can be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FsError),
}

impl RecordError {
    pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> Self {
        let path = path.to_path_buf();
        move |error| Self::File(FsError::at(action, &path)(error.into()))
    }
}

impl Explain for RecordError {
    fn kind(&self) -> Kind {
        let Self::File(error) = self;
        error.kind()
    }

    fn hints(&self) -> Vec<String> {
        let Self::File(error) = self;
        error.hints()
    }
}

impl RunDirectory {
    /// Makes the directory of a new run below `runs`.
    ///
    /// # Errors
    /// Returns [`RecordError`] when it cannot be made.
    pub fn create(runs: &Path, now: Timestamp) -> Result<Self, RecordError> {
        private_directory(runs)?;
        let process = std::process::id();
        let mut attempt = 0_u32;
        loop {
            let distinction = format!("{process} {attempt} {}", runs.display());
            let id = RunId::new(now, distinction.as_bytes());
            if let Some(directory) = Self::take(runs, id)? {
                return Ok(directory);
            }
            attempt += 1;
        }
    }

    /// Takes the name `id`, unless somebody has it.
    fn take(runs: &Path, id: RunId) -> Result<Option<Self>, RecordError> {
        let path = runs.join(id.to_string());
        let lock = runs.join(format!("{id}.lock"));
        let take = || -> io::Result<Option<File>> {
            let mut options = OpenOptions::new();
            let file = match options.write(true).create_new(true).open(&lock) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
                other => other?,
            };
            // A sweep may have come between, and then removes the file.
            let ours = matches!(file.try_lock(), Ok(())) && is_at(&file, &lock)?;
            Ok(ours.then_some(file))
        };
        let Some(file) = take().map_err(FsError::at("lock", &lock))? else {
            return Ok(None);
        };
        let directory = Self {
            id,
            path,
            lock,
            _file: file,
            kept: false,
        };
        for path in [directory.path.clone(), directory.work()] {
            private_directory(&path)?;
        }
        // The step sees this one's mode as the mode of `/project`.
        let upper = directory.upper();
        let create = || {
            fs::create_dir(&upper)?;
            fs::set_permissions(&upper, Permissions::from_mode(0o755))
        };
        create().map_err(FsError::at("create", &upper))?;
        Ok(Some(directory))
    }

    /// Returns the run's name.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory for what the step writes.
    pub fn upper(&self) -> PathBuf {
        self.path.join("upper")
    }

    /// Returns the directory for the kernel's own use.
    pub fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Leaves the directory where it is, for its user to look after, and returns its path.
    ///
    /// # Errors
    /// Returns [`RecordError`] when that cannot be noted; the next sweep would then remove it.
    pub fn keep(mut self) -> Result<PathBuf, RecordError> {
        let mark = self.path.join("kept");
        // First, so that this process at least does not remove it.
        self.kept = true;
        fs::write(&mark, "").map_err(FsError::at("write", &mark))?;
        Ok(self.path.clone())
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next run.
        if !self.kept && remove_tree(&self.path).is_ok() {
            drop(fs::remove_file(&self.lock));
        }
    }
}

/// Removes the directories of runs whose process is dead, but for those that were kept. Returns
/// the names of the runs that never came to their end.
///
/// # Errors
/// Returns [`RecordError`] when `runs` cannot be read; what cannot be removed is left.
pub fn sweep(runs: &Path) -> Result<Vec<String>, RecordError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(runs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries?.map(|entry| Ok(entry?.path())).collect(),
        }
    };
    let mut swept = Vec::new();
    for lock in list().map_err(FsError::at("read", runs))? {
        if lock.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let directory = lock.with_extension("");
        if directory.join("kept").exists() {
            continue;
        }
        if let Some(_nobody_runs) = try_lock(&lock)
            && remove_tree(&directory).is_ok()
            && fs::remove_file(&lock).is_ok()
        {
            let name = directory.file_name().unwrap_or_default();
            swept.push(name.to_string_lossy().into_owned());
        }
    }
    swept.sort();
    Ok(swept)
}

/// Says whether the process of a run lives.
pub fn is_running(runs: &Path, run: RunId) -> bool {
    let lock = runs.join(format!("{run}.lock"));
    lock.exists() && try_lock(&lock).is_none()
}

/// Locks an abandoned lock file. Whatever fails, somebody else may have it.
fn try_lock(path: &Path) -> Option<File> {
    let file = OpenOptions::new().write(true).open(path).ok()?;
    match file.try_lock() {
        Ok(()) => is_at(&file, path).ok()?.then_some(file),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
    }
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => {
            let (found, own) = (found?, file.metadata()?);
            Ok((found.dev(), found.ino()) == (own.dev(), own.ino()))
        }
    }
}

/// Creates a directory that only the user can look into: what a step writes may be secret.
fn private_directory(path: &Path) -> Result<(), FsError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(FsError::at("create", path))
}

//! What living processes use.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::FsError;
use envbox_lockfiles::base::fs::create_dir_all;

use crate::store::filelock::{self, Mode};
use crate::store::{Object, Store, StoreError};

/// The uses of one handle. Its file goes when the last clone of the handle does; after a kill the
/// lock on it is gone, which tells `gc` the same.
#[derive(Debug, Default)]
pub(super) struct Lease {
    file: Option<(File, PathBuf)>,
    pub(super) objects: BTreeSet<Object>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.file {
            // What stays behind is unlocked and swept by the next `gc`.
            drop(fs::remove_file(path));
        }
    }
}

impl Store {
    /// Notes that this handle uses `objects`, whether or not they exist yet. From here on `gc`
    /// keeps them. A store that may only be read is not collected by us either, so there nothing
    /// is noted.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the note could not be made for another reason.
    pub fn hold(&self, objects: impl IntoIterator<Item = Object>) -> Result<(), StoreError> {
        let mut lease = self
            .inner
            .lease
            .lock()
            .expect("no holder of this lock panics");
        let new: Vec<Object> = objects
            .into_iter()
            .filter(|object| lease.objects.insert(*object))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        match self.note(&mut lease, &new) {
            Err(error) if error.is_unwritable() => Ok(()),
            other => other,
        }
    }

    fn note(&self, lease: &mut Lease, objects: &[Object]) -> Result<(), StoreError> {
        // `gc` has this lock from reading the leases to its last rename: a note is made before it
        // looks, or after what it takes is gone.
        let _noting = filelock::lock(&self.path("locks/store"), Mode::Shared)?;
        let (file, path) = match &mut lease.file {
            Some(file) => file,
            none => none.insert(self.new_lease()?),
        };
        let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
        file.write_all(lines.as_bytes())
            .map_err(FsError::at("write", path))?;
        Ok(())
    }

    fn new_lease(&self) -> Result<(File, PathBuf), StoreError> {
        let directory = self.path("leases");
        create_dir_all(&directory)?;
        let create = || {
            let named = tempfile::Builder::new()
                .prefix("")
                .tempfile_in(&directory)?;
            named.as_file().lock()?;
            Ok(named.keep()?)
        };
        Ok(create().map_err(FsError::at("write", &directory))?)
    }
}

/// Returns what the living processes use, and the leases of dead ones. The caller has the store
/// locked exclusively.
pub(super) fn read_leases(
    directory: &Path,
) -> Result<(BTreeSet<PathBuf>, Vec<PathBuf>), StoreError> {
    let (mut used, mut dead) = (BTreeSet::new(), Vec::new());
    for path in entries(directory)? {
        // A lease removed while we look ends here too.
        if filelock::try_lock(&path)?.is_some() {
            dead.push(path);
            continue;
        }
        match fs::read_to_string(&path) {
            Ok(text) => used.extend(text.lines().map(PathBuf::from)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(FsError::at("read", &path)(error).into()),
        }
    }
    Ok((used, dead))
}

/// Returns the paths in `directory`, sorted; none when it does not exist.
pub(super) fn entries(directory: &Path) -> Result<Vec<PathBuf>, FsError> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = match fs::read_dir(directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()?,
        };
        paths.sort();
        Ok(paths)
    };
    read().map_err(FsError::at("read", directory))
}

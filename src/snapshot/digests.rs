//! Digests of files outside of the code, read again only when they changed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use envbox_lockfiles::base::{Digest, FsError};
use jiff::Timestamp;

use crate::snapshot::known::{Content, Known, place};
use crate::snapshot::walk::Stamp;
use crate::store::{Store, StoreError};

/// What was read of a project's data, and is read now.
#[derive(Debug)]
pub struct Digests {
    place: PathBuf,
    known: Known,
    noted: Mutex<Known>,
    now: Timestamp,
}

impl Digests {
    /// Reads what was noted for a project.
    pub fn load(store: &Store, project: &Path, now: Timestamp) -> Self {
        let place = place(store, project).with_extension("data");
        Self {
            known: Known::load_from(&place),
            place,
            noted: Mutex::default(),
            now,
        }
    }

    /// Returns the digest and size of the file at a path without links.
    ///
    /// # Errors
    /// Returns [`FsError`] when it cannot be read.
    pub fn of(&self, path: &Path) -> Result<(Digest, u64), FsError> {
        let metadata = std::fs::symlink_metadata(path).map_err(FsError::at("read", path))?;
        let stamp = Stamp::of(&metadata);
        let content = match self.known.content(path, &stamp) {
            Some(known) => known,
            None => {
                let read = || Digest::of_reader(File::open(path)?);
                let (digest, _) = read().map_err(FsError::at("read", path))?;
                let secret = false;
                Content { digest, secret }
            }
        };
        let mut noted = self.noted.lock().expect("no holder panics");
        noted.note(path, stamp, content, self.now.as_nanosecond());
        Ok((content.digest, stamp.size))
    }

    /// Notes what was read, if that is new.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store can not be written.
    pub fn save(self) -> Result<(), StoreError> {
        let noted = self.noted.into_inner().expect("no holder panicked");
        match noted.is_as(&self.known) {
            true => Ok(()),
            false => noted.save_to(&self.place),
        }
    }
}

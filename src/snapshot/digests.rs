//! Digests of files outside of the code, read again only when they changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use envbox_lockfiles::base::{Digest, FsError};
use jiff::Timestamp;
use rustix::fs::lstat;

use crate::snapshot::known::{Content, Entry, Known, is_settled, place};
use crate::snapshot::walk::{Stamp, bytes};
use crate::store::{Store, StoreError};

/// What was read of a project's data, and is read now.
#[derive(Debug)]
pub struct Digests {
    place: PathBuf,
    known: Known,
    noted: Mutex<BTreeMap<PathBuf, (Stamp, Content)>>,
    now: Timestamp,
}

impl Digests {
    /// Reads what was noted for a project.
    pub fn load(store: &Store, project: &Path, now: Timestamp) -> Self {
        let place = place(store, project).with_extension("data");
        Self {
            known: Known::load(&place),
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
        let stat = lstat(path).map_err(io::Error::from);
        let stamp = Stamp::of(&stat.map_err(FsError::at("read", path))?);
        let content = match self.known.content(path, &stamp) {
            Some(known) => known,
            None => {
                let read = || Digest::of_reader(File::open(path)?);
                let (digest, _) = read().map_err(FsError::at("read", path))?;
                let secret = false;
                Content { digest, secret }
            }
        };
        if is_settled(&stamp, self.now.as_nanosecond()) {
            let mut noted = self.noted.lock().expect("no holder panics");
            noted.insert(path.to_path_buf(), (stamp, content));
        }
        Ok((content.digest, stamp.size))
    }

    /// Notes what was read, if that is new.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store can not be written.
    pub fn save(self) -> Result<(), StoreError> {
        let noted = self.noted.into_inner().expect("no holder panicked");
        let entries = noted.iter().map(|(path, (stamp, content))| Entry {
            path: bytes(path),
            mode: 0,
            stamp: *stamp,
            content: Some(*content),
            product: false,
        });
        let noted = Known::of(&entries.collect::<Vec<_>>(), None);
        match noted == self.known {
            true => Ok(()),
            false => noted.save(&self.place),
        }
    }
}

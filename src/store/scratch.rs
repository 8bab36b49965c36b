//! A place for a second store, to compare the first with.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use envbox_lockfiles::base::fs::create_dir_all;
use envbox_lockfiles::base::{Digest, FsError};

use crate::store::filelock::{self, Mode};
use crate::store::{Object, Store, StoreError, remove_tree};

/// An empty directory on the store's file system, removed with all that is in it when this value
/// is dropped.
#[derive(Debug)]
pub struct Scratch {
    workplace: PathBuf,
    lock: PathBuf,
    /// While it is locked, `gc` leaves the directory alone.
    _held: File,
}

impl Scratch {
    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.workplace
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed here is swept by `gc`.
        drop(remove_tree(&self.workplace));
        drop(fs::remove_file(&self.lock));
    }
}

impl Store {
    /// Makes an empty directory.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store can not be written.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let locks = self.path("locks");
        create_dir_all(&locks)?;
        let named = tempfile::Builder::new()
            .prefix("scratch-")
            .tempfile_in(&locks);
        let lock = named
            .and_then(|named| Ok(named.keep()?.1))
            .map_err(FsError::at("write", &locks))?;
        let held = filelock::lock(&lock, Mode::Exclusive)?;
        let name = lock.file_name().expect("the file was just named");
        let workplace = self.path("tmp/build").join(name);
        create_dir_all(&workplace)?;
        Ok(Scratch {
            workplace,
            lock,
            _held: held,
        })
    }

    /// Takes a blob from another store, if that has it: as a further name of the same file where
    /// that is possible.
    ///
    /// # Errors
    /// Returns [`StoreError`] when this store can not be written.
    pub fn adopt(&self, other: &Self, digest: Digest) -> Result<(), StoreError> {
        self.hold([Object::Blob(digest)])?;
        let (Some(from), None) = (other.blob(&digest), self.blob(&digest)) else {
            return Ok(());
        };
        let place = self.place(digest);
        if let Some(directory) = place.parent() {
            create_dir_all(directory)?;
        }
        match fs::hard_link(&from, &place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(_) => {
                let copied = fs::copy(&from, &place).map(drop);
                Ok(copied.map_err(FsError::at("write", &place))?)
            }
            Ok(()) => Ok(()),
        }
    }
}

//! The user's own files, kept by digest: many at a time, synced once.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use envbox_lockfiles::base::fs::create_dir_all;
use envbox_lockfiles::base::{Digest, FsError, Hasher};

use crate::store::{Object, Scratch, Store, StoreError};

/// Takes files whose digests are known only when they were read. They are in the store after
/// [`Deposit::commit`]; dropped before, it leaves nothing. Threads may share it.
#[derive(Debug)]
pub struct Deposit {
    store: Store,
    scratch: OnceLock<Scratch>,
    /// How many files were made in it.
    files: AtomicUsize,
    taken: Mutex<BTreeMap<Digest, PathBuf>>,
}

impl Store {
    /// Starts a deposit. Nothing is written before something is added.
    pub fn deposit(&self) -> Deposit {
        Deposit {
            store: self.clone(),
            scratch: OnceLock::new(),
            files: AtomicUsize::new(0),
            taken: Mutex::default(),
        }
    }

    /// Says whether the list of a code snapshot is there; it is in use from here on.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the use could not be noted.
    pub fn has_snapshot(&self, digest: Digest) -> Result<bool, StoreError> {
        self.hold([Object::Snapshot(digest)])?;
        Ok(self.place(Object::Snapshot(digest)).is_file())
    }

    /// Returns the text of the list of a code snapshot, if it is there; it is in use from here on.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store cannot be read.
    pub fn snapshot(&self, digest: Digest) -> Result<Option<String>, StoreError> {
        self.hold([Object::Snapshot(digest)])?;
        let path = self.place(Object::Snapshot(digest));
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            text => Ok(Some(text.map_err(FsError::at("read", &path))?)),
        }
    }
}

impl Deposit {
    /// Reads a file to its end and returns its digest and size. `path` is for errors.
    ///
    /// # Errors
    /// Returns [`StoreError`] when it cannot be read or the store can not be written.
    pub fn add(
        &self,
        mut file: impl Read,
        path: &std::path::Path,
    ) -> Result<(Digest, u64), StoreError> {
        let (mut copy, place) = self.new_file()?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = file.read(&mut buffer).map_err(FsError::at("read", path))?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            let written = copy.write_all(&buffer[..read]);
            written.map_err(FsError::at("write", &place))?;
        }
        let (digest, size) = hasher.finish();
        self.taken().insert(digest, place);
        Ok((digest, size))
    }

    /// Adds a file that was read as a whole.
    ///
    /// # Errors
    /// As [`Deposit::add`].
    pub fn add_whole(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            let (mut copy, place) = self.new_file()?;
            let written = copy.write_all(bytes);
            written.map_err(FsError::at("write", &place))?;
            self.taken().insert(digest, place);
        }
        Ok(digest)
    }

    /// Says whether something with this digest was added.
    pub fn has(&self, digest: &Digest) -> bool {
        self.taken().contains_key(digest)
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// As [`Deposit::add`].
    pub fn add_bytes(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if self.store.blob(&digest).is_some() {
            self.store.hold([Object::Blob(digest)])?;
            return Ok(digest);
        }
        self.add_whole(bytes)
    }

    /// Gives everything its name; it is in use from here on. Last come `lists` of snapshots, which
    /// name it.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store can not be written.
    pub fn commit(self, lists: &[&str]) -> Result<(), StoreError> {
        let taken = std::mem::take(&mut *self.taken());
        let objects = taken.keys().copied().map(Object::Blob);
        self.store.hold(objects)?;
        let lists = lists
            .iter()
            .map(|text| (Digest::of(text.as_bytes()), *text));
        let lists: Vec<_> = lists.collect();
        let objects = lists.iter().map(|(digest, _)| Object::Snapshot(*digest));
        self.store.hold(objects)?;
        if !taken.is_empty() {
            // Once for all: a name must never lead to a file that the disk does not have yet.
            let directory = self.store.directory();
            let sync = || Ok(rustix::fs::syncfs(File::open(directory)?)?);
            sync().map_err(FsError::at("sync", directory))?;
        }
        // Sorted by digest: those of one directory come one after the other.
        let mut made = PathBuf::new();
        for (digest, path) in taken {
            let place = self.store.place(Object::Blob(digest));
            let directory = place.parent().expect("a blob is in a directory");
            if made != directory {
                create_dir_all(directory)?;
                made = directory.to_path_buf();
            }
            // What is there already has the same bytes.
            fs::rename(path, &place).map_err(FsError::at("write", &place))?;
        }
        for (digest, text) in lists {
            if self.store.place(Object::Snapshot(digest)).is_file() {
                continue;
            }
            let (mut file, path) = self.new_file()?;
            let written = file.write_all(text.as_bytes());
            let written = written.and_then(|()| file.sync_all());
            written.map_err(FsError::at("write", &path))?;
            let place = self.store.place(Object::Snapshot(digest));
            create_dir_all(place.parent().expect("a list is in a directory"))?;
            fs::rename(path, &place).map_err(FsError::at("write", &place))?;
        }
        Ok(())
    }

    /// Makes a file that has the mode of what is in the store.
    fn new_file(&self) -> Result<(File, PathBuf), StoreError> {
        let scratch = match self.scratch.get() {
            Some(scratch) => scratch,
            None => {
                // Two threads may come here at once; the second's directory goes at once.
                let new = self.store.scratch()?;
                self.scratch.get_or_init(|| new)
            }
        };
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = scratch.path().join(number.to_string());
        let create = || {
            let file = File::create_new(&path)?;
            file.set_permissions(Permissions::from_mode(0o444))?;
            Ok(file)
        };
        Ok((create().map_err(FsError::at("write", &path))?, path))
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, PathBuf>> {
        self.taken.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GcMode;

    #[test]
    fn a_snapshot_keeps_what_it_names() {
        let directory = tempfile::tempdir().unwrap();
        let journal = tempfile::tempdir().unwrap();
        let digests = {
            let store = Store::open(directory.path()).unwrap();
            let deposit = store.deposit();
            let (kept, _) = deposit.add(&b"kept"[..], directory.path()).unwrap();
            let lost = deposit.add_bytes(b"lost").unwrap();
            assert_eq!(store.blob(&kept), None, "before the commit");
            let list = format!("f\t0644\ta\t4\t{kept}\n");
            deposit.commit(&[&list]).unwrap();
            assert_eq!(fs::read(store.blob(&kept).unwrap()).unwrap(), b"kept");
            let snapshot = Digest::of(list.as_bytes());
            assert_eq!(store.snapshot(snapshot).unwrap(), Some(list));
            fs::write(journal.path().join("run.json"), snapshot.to_string()).unwrap();
            store.pin_directory(journal.path()).unwrap();
            (kept, lost, snapshot)
        };
        let store = Store::open(directory.path()).unwrap();
        store.gc(GcMode::Remove).unwrap();
        assert!(store.blob(&digests.0).is_some());
        assert_eq!(store.blob(&digests.1), None);
        // Without the record nothing needs it.
        fs::remove_file(journal.path().join("run.json")).unwrap();
        drop(store);
        let store = Store::open(directory.path()).unwrap();
        store.gc(GcMode::Remove).unwrap();
        assert_eq!(store.blob(&digests.0), None);
        assert_eq!(store.snapshot(digests.2).unwrap(), None);
    }
}

//! Writing blobs.

use std::fs::{self, File, Permissions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use envbox_lockfiles::base::fs::create_dir_all;
use envbox_lockfiles::base::{Digest, FsError, Hasher};

use crate::store::filelock::{self, Mode};
use crate::store::{Object, Store, StoreError};

/// What a blob's place held when it was asked for.
#[derive(Debug)]
pub enum BlobSlot {
    /// The whole blob.
    Present(PathBuf),
    /// Nothing, or the beginning of the blob; the writer takes the rest.
    Missing(BlobWriter),
}

/// Takes the bytes of one blob. Dropped before its end, it leaves them for the next writer to go
/// on from. While it lives, other writers of the same blob wait.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    digest: Digest,
    size: u64,
    partial: PathBuf,
    file: File,
    hasher: Hasher,
    written: u64,
    resumed: bool,
    published: bool,
}

impl Store {
    /// Returns the blob, or the means to write it; waits while another process writes it. The blob
    /// is in use from here on.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store can not be written.
    pub fn blob_slot(&self, digest: Digest, size: u64) -> Result<BlobSlot, StoreError> {
        self.hold([Object::Blob(digest)])?;
        if let Some(path) = self.blob(&digest) {
            return Ok(BlobSlot::Present(path));
        }
        let partial = self.path("tmp/partial").join(digest.hex());
        let file = filelock::lock(&partial, Mode::Exclusive)?;
        // Whoever had the lock has most likely finished it.
        if let Some(path) = self.blob(&digest) {
            drop(fs::remove_file(&partial));
            return Ok(BlobSlot::Present(path));
        }
        let mut writer = BlobWriter {
            store: self.clone(),
            digest,
            size,
            partial,
            file,
            hasher: Hasher::new(),
            written: 0,
            resumed: false,
            published: false,
        };
        writer.resume()?;
        Ok(BlobSlot::Missing(writer))
    }
}

impl BlobWriter {
    /// Returns how many bytes there are already: the next must be those that follow.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Says whether some of the bytes come from an earlier writer.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// Returns [`StoreError::WrongSize`] when that makes more bytes than promised; all are then
    /// thrown away.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let length = self.written + bytes.len() as u64;
        if length > self.size {
            self.restart()?;
            return Err(StoreError::WrongSize {
                expected: self.size,
                found: length,
            });
        }
        self.file
            .write_all(bytes)
            .map_err(FsError::at("write", &self.partial))?;
        self.hasher.update(bytes);
        self.written = length;
        Ok(())
    }

    /// Throws away what is there.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the file cannot be emptied.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        let mut empty = || {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))
        };
        empty().map_err(FsError::at("write", &self.partial))?;
        self.hasher = Hasher::new();
        self.written = 0;
        self.resumed = false;
        Ok(())
    }

    /// Makes the blob of what was written.
    ///
    /// # Errors
    /// Returns [`StoreError::WrongSize`] or [`StoreError::WrongDigest`] when it is not the blob
    /// that was promised; all is thrown away then, and the writer takes another beginning.
    pub fn finish(&mut self) -> Result<PathBuf, StoreError> {
        let (found, length) = std::mem::take(&mut self.hasher).finish();
        let wrong = if length != self.size {
            StoreError::WrongSize {
                expected: self.size,
                found: length,
            }
        } else if found != self.digest {
            StoreError::WrongDigest {
                expected: self.digest,
                found,
            }
        } else {
            return self.publish();
        };
        self.restart()?;
        Err(wrong)
    }

    fn publish(&mut self) -> Result<PathBuf, StoreError> {
        let place = self.store.place(self.digest);
        if let Some(directory) = place.parent() {
            create_dir_all(directory)?;
        }
        let publish = || {
            // Before the rename, or a power cut could leave a name without its bytes. The name
            // itself may be lost: then the blob is fetched again.
            self.file.sync_all()?;
            fs::rename(&self.partial, &place)?;
            // After it, or a writer killed here would leave a beginning that nobody can go on with.
            self.file.set_permissions(Permissions::from_mode(0o444))
        };
        publish().map_err(FsError::at("write", &place))?;
        self.published = true;
        Ok(place)
    }

    /// Reads what an earlier writer left.
    fn resume(&mut self) -> Result<(), StoreError> {
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = self.file.read(&mut buffer);
            match read.map_err(FsError::at("read", &self.partial))? {
                0 => break,
                read => self.hasher.update(&buffer[..read]),
            }
            self.written = self
                .file
                .stream_position()
                .map_err(FsError::at("read", &self.partial))?;
        }
        self.resumed = self.written > 0;
        if self.written > self.size {
            self.restart()?;
        }
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if self.written == 0 && !self.published {
            // An empty file is no start; what cannot be removed here is swept by `gc`.
            drop(fs::remove_file(&self.partial));
        }
    }
}

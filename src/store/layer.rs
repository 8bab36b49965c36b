//! Blobs whose digest is known only when they are written: layers of images.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use envbox_lockfiles::base::fs::{create_dir_all, write_atomic};
use envbox_lockfiles::base::{Digest, FsError, Hasher};

use crate::store::filelock::{self, Mode};
use crate::store::lease::entries;
use crate::store::{Object, Store, StoreError};

/// A compressed layer in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredLayer {
    /// The digest of the tar stream.
    pub diff_id: Digest,
    /// The digest of the compressed bytes: the blob.
    pub digest: Digest,
    /// The size of the blob.
    pub size: u64,
    /// The size of the tar stream.
    pub unpacked: u64,
}

/// Takes the bytes of a blob that has no name yet. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub struct NewBlob {
    store: Store,
    /// Locked, so that `gc` does not take it for what a killed process left.
    file: File,
    path: PathBuf,
    hasher: Hasher,
}

impl Store {
    /// Starts a blob.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store can not be written.
    pub fn new_blob(&self) -> Result<NewBlob, StoreError> {
        let directory = self.path("tmp/partial");
        create_dir_all(&directory)?;
        let named = tempfile::Builder::new()
            .prefix("new-")
            .tempfile_in(&directory);
        let path = named
            .and_then(|named| Ok(named.keep()?.1))
            .map_err(FsError::at("write", &directory))?;
        Ok(NewBlob {
            store: self.clone(),
            file: filelock::lock(&path, Mode::Exclusive)?,
            path,
            hasher: Hasher::new(),
        })
    }

    /// Returns the layer that was made of what `key` stands for, if its blob is still there. It is
    /// in use from here on.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store cannot be read.
    pub fn find_layer(&self, key: Digest) -> Result<Option<StoredLayer>, StoreError> {
        let path = self.layer_path(key);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(FsError::at("read", &path))?,
        };
        // A note that is damaged is as good as none: it is written anew.
        let Some(layer) = StoredLayer::parse(&text) else {
            return Ok(None);
        };
        self.hold([Object::Blob(layer.digest)])?;
        let present = self
            .blob(&layer.digest)
            .and_then(|path| path.metadata().ok());
        Ok(present
            .is_some_and(|metadata| metadata.len() == layer.size)
            .then_some(layer))
    }

    /// Notes that `layer` was made of what `key` stands for.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store can not be written.
    pub fn keep_layer(&self, key: Digest, layer: &StoredLayer) -> Result<(), StoreError> {
        create_dir_all(&self.path("layers"))?;
        Ok(write_atomic(
            &self.layer_path(key),
            layer.to_text().as_bytes(),
        )?)
    }

    /// Removes the notes of layers that are gone.
    pub(super) fn sweep_layers(&self) -> Result<(), StoreError> {
        for path in entries(&self.path("layers"))? {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let present =
                StoredLayer::parse(&text).is_some_and(|layer| self.blob(&layer.digest).is_some());
            if !present {
                fs::remove_file(&path).map_err(FsError::at("remove", &path))?;
            }
        }
        Ok(())
    }

    fn layer_path(&self, key: Digest) -> PathBuf {
        self.path("layers").join(key.hex())
    }
}

impl StoredLayer {
    fn to_text(self) -> String {
        let Self {
            diff_id,
            digest,
            size,
            unpacked,
        } = self;
        format!("{diff_id} {digest} {size} {unpacked}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.strip_suffix('\n')?.split(' ');
        let layer = Self {
            diff_id: fields.next()?.parse().ok()?,
            digest: fields.next()?.parse().ok()?,
            size: fields.next()?.parse().ok()?,
            unpacked: fields.next()?.parse().ok()?,
        };
        fields.next().is_none().then_some(layer)
    }
}

impl NewBlob {
    /// Gives the blob its name; it is in use from here on.
    ///
    /// # Errors
    /// Returns [`StoreError`] when the store can not be written.
    pub fn finish(mut self) -> Result<(Digest, u64), StoreError> {
        let (digest, size) = std::mem::take(&mut self.hasher).finish();
        self.store.hold([Object::Blob(digest)])?;
        if self.store.blob(&digest).is_some() {
            return Ok((digest, size));
        }
        let place = self.store.place(digest);
        if let Some(directory) = place.parent() {
            create_dir_all(directory)?;
        }
        let publish = || {
            self.file.sync_all()?;
            self.file.set_permissions(Permissions::from_mode(0o444))?;
            fs::rename(&self.path, &place)
        };
        publish().map_err(FsError::at("write", &place))?;
        Ok((digest, size))
    }
}

impl Write for NewBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        // After the rename there is nothing; what cannot be removed here is swept by `gc`.
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GcMode;

    #[test]
    fn a_layer_is_found_while_its_blob_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let key = Digest::of(b"key");
        let layer = {
            let store = Store::open(directory.path()).unwrap();
            assert_eq!(store.find_layer(key).unwrap(), None);
            let mut blob = store.new_blob().unwrap();
            blob.write_all(b"bytes").unwrap();
            let (digest, size) = blob.finish().unwrap();
            assert_eq!((digest, size), (Digest::of(b"bytes"), 5));
            let layer = StoredLayer {
                diff_id: Digest::of(b""),
                digest,
                size,
                unpacked: 9,
            };
            store.keep_layer(key, &layer).unwrap();
            assert_eq!(store.find_layer(key).unwrap(), Some(layer));
            // In use: it stays.
            store.gc(GcMode::Remove).unwrap();
            assert!(store.blob(&digest).is_some());
            layer
        };
        let store = Store::open(directory.path()).unwrap();
        store.gc(GcMode::Remove).unwrap();
        assert_eq!(store.blob(&layer.digest), None);
        assert_eq!(store.find_layer(key).unwrap(), None);
        assert!(!store.layer_path(key).exists());
    }

    #[test]
    fn a_blob_that_is_not_finished_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let mut blob = store.new_blob().unwrap();
        blob.write_all(b"bytes").unwrap();
        // Locked: not garbage.
        store.gc(GcMode::Remove).unwrap();
        assert!(blob.path.exists());
        let path = blob.path.clone();
        drop(blob);
        assert!(!path.exists());
    }
}

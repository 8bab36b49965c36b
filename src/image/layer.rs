//! A layer's blob.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use envbox_lockfiles::base::{Digest, FsError, Hasher};

use crate::image::ImageError;
use crate::image::plan::LayerPlan;
use crate::image::pool::Pool;
use crate::image::tar::{Entry, Kind, finish, write_entry};
use crate::store::{EntryKind, Store, StoreError, StoredLayer};

/// How much of a file is read at once.
const BUFFER: usize = 128 * 1024;

/// Returns the layer that `plan` describes; when the store has none, it is made of the files below
/// `rootfs`, each of which must have the digest in the plan.
///
/// # Errors
/// Returns [`ImageError::Damaged`] for a file that is not what the plan says, and what reading and
/// writing return.
pub(super) fn layer(
    store: &Store,
    rootfs: &Path,
    plan: &LayerPlan,
    pool: &Pool,
) -> Result<StoredLayer, ImageError> {
    let key = plan.key(pool.codec());
    if let Some(layer) = store.find_layer(key)? {
        return Ok(layer);
    }
    let mut blob = store.new_blob()?;
    let mut unpacked = (Digest::of(b""), 0);
    let produce = |stream: &mut dyn Write| {
        let mut stream = Hashing {
            inner: stream,
            hasher: Hasher::new(),
        };
        write_stream(rootfs, plan, &mut stream)?;
        unpacked = stream.hasher.finish();
        Ok(())
    };
    pool.compress::<ImageError>(produce, &mut |piece| {
        // Through the store's own error: a full disk has its hint there.
        let written = blob.write_all(piece);
        let written = written.map_err(FsError::at("write", store.directory()));
        written.map_err(|error| StoreError::from(error).into())
    })?;
    let (digest, size) = blob.finish()?;
    let layer = StoredLayer {
        diff_id: unpacked.0,
        digest,
        size,
        unpacked: unpacked.1,
    };
    store.keep_layer(key, &layer)?;
    Ok(layer)
}

/// Writes the tar stream.
fn write_stream(rootfs: &Path, plan: &LayerPlan, stream: &mut dyn Write) -> Result<(), ImageError> {
    for (path, entry) in &plan.entries.entries {
        let place = rootfs.join(OsStr::from_bytes(path));
        let kind = match &entry.kind {
            EntryKind::Directory => Kind::Directory,
            EntryKind::File { size, .. } => Kind::File { size: *size },
            EntryKind::Symlink { target } => Kind::Symlink {
                target: target.as_os_str().as_bytes(),
            },
            EntryKind::Special => return Err(ImageError::Special { path: place }),
        };
        let header = Entry {
            path,
            mode: entry.mode,
            owner: LayerPlan::owner(path),
            kind,
        };
        let EntryKind::File { digest, .. } = entry.kind else {
            write_entry(stream, &header, &mut io::empty())?;
            continue;
        };
        let mut content = Hashed {
            inner: File::open(&place).map_err(FsError::at("read", &place))?,
            hasher: Hasher::new(),
        };
        let mut buffered = io::BufReader::with_capacity(BUFFER, &mut content);
        let damaged = || ImageError::Damaged {
            path: place.clone(),
        };
        write_entry(stream, &header, &mut buffered).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => damaged(),
            _ => ImageError::Write(error),
        })?;
        if content.hasher.finish().0 != digest {
            return Err(damaged());
        }
    }
    Ok(finish(stream)?)
}

/// Hashes what is written through it.
struct Hashing<'a> {
    inner: &'a mut dyn Write,
    hasher: Hasher,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hashes what is read through it.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

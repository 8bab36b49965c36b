//! A directory with blobs by digest and registries of links to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use envbox_lockfiles::base::fs::{create_dir_all, write_atomic};
use envbox_lockfiles::base::{Digest, FsError, Hasher};
use envbox_lockfiles::lock::{Artifact, LockedBase, Lockfile};
use jiff::Timestamp;
use serde::Serialize;

use crate::image::{Descriptor, add_to_layout};
use crate::mirror::MirrorError;
use crate::store::Store;

/// The layout that this module writes.
const VERSION: &str = "1\n";

/// Where files are, by digest; as in an OCI layout, so that layers are found there too.
const BLOBS: &str = "blobs/sha256";

/// Where registries are.
pub(super) const REGISTRIES: &str = "registries";

/// What a new file system and an interrupted first run leave in an otherwise empty directory.
const NOTHING: [&str; 2] = ["lost+found", "version"];

/// A mirror, locked against others who write to it.
#[derive(Debug)]
pub struct MirrorDirectory {
    pub(super) root: PathBuf,
    _lock: File,
}

/// What a lock brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Added {
    /// How many files came.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// The damaged files that were replaced, by digest.
    pub repaired: Vec<Digest>,
    /// The files, as `REGISTRY/PATH`, in whose place the mirror has others of the same name, from
    /// another registry that a lock calls the same. They are found by their digests alone.
    pub shadowed: BTreeSet<String>,
}

impl Added {
    /// Adds what else came.
    pub fn extend(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.repaired.extend(other.repaired);
        self.shadowed.extend(other.shadowed);
    }
}

impl MirrorDirectory {
    /// Opens or begins a mirror; waits while another process writes to it.
    ///
    /// # Errors
    /// Returns [`MirrorError`] when the directory holds something else, or cannot be written.
    pub fn open(root: &Path) -> Result<Self, MirrorError> {
        create_dir_all(root)?;
        let version = root.join("version");
        if !version.exists() {
            require_empty(root)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options
            .open(&version)
            .map_err(FsError::at("write", &version))?;
        lock.lock().map_err(FsError::at("lock", &version))?;
        let mut found = String::new();
        lock.read_to_string(&mut found)
            .map_err(FsError::at("read", &version))?;
        if found.is_empty() {
            let written = lock.write_all(VERSION.as_bytes());
            written.map_err(FsError::at("write", &version))?;
        } else if found != VERSION {
            return Err(MirrorError::Version {
                directory: root.to_path_buf(),
                found: found.trim_end().to_owned(),
            });
        }
        let mirror = Self {
            root: root.to_path_buf(),
            _lock: lock,
        };
        mirror.clear()?;
        Ok(mirror)
    }

    /// Adds all artifacts of `lock`, which `store` has. What is there is read and compared, and
    /// replaced where it is damaged. `uploaded` says when files came to their registries.
    ///
    /// # Errors
    /// Returns [`MirrorError`]; what was added by then stays.
    pub fn add_lock(
        &self,
        lock: &Lockfile,
        store: &Store,
        uploaded: &BTreeMap<Digest, Timestamp>,
    ) -> Result<Added, MirrorError> {
        let mut added = Added::default();
        for artifact in lock.artifacts() {
            self.add_file(&store.place(artifact.digest), artifact, &mut added)?;
        }
        self.place_all(lock, store, uploaded, &mut added)?;
        Ok(added)
    }

    /// Adds the documents of the image that environments stand on, the first of which is what its
    /// reference names, and makes its registry an OCI layout (image-spec, `image-layout.md`).
    ///
    /// # Errors
    /// Returns [`MirrorError`]; what was added by then stays.
    pub fn add_image(
        &self,
        base: &LockedBase,
        documents: &[(Descriptor, Vec<u8>)],
    ) -> Result<Added, MirrorError> {
        let mut added = Added::default();
        let registry = Path::new(REGISTRIES).join(base.reference.registry.as_str());
        let of_registry = |digest: Digest| registry.join(BLOBS).join(digest.hex());
        for (_, bytes) in documents {
            let digest = self.add_bytes(bytes, &mut added)?;
            self.place(&of_registry(digest), digest, &mut added)?;
        }
        for layer in base.images.iter().flat_map(|image| &image.layers) {
            let digest = layer.artifact.digest;
            self.place(&of_registry(digest), digest, &mut added)?;
        }
        if let Some((named, _)) = documents.first() {
            let listed = add_to_layout(&self.root.join(registry), named);
            listed.map_err(|source| MirrorError::Layout {
                source: Box::new(source),
            })?;
        }
        Ok(added)
    }

    /// Says that all of `lock` is here.
    ///
    /// # Errors
    /// Returns [`MirrorError::Fs`].
    pub fn finish(&self, lock: &Lockfile) -> Result<(), MirrorError> {
        let locks = self.root.join("locks");
        create_dir_all(&locks)?;
        let file = locks.join(format!("{}.lock", lock.digest().hex()));
        write_atomic(&file, &lock.to_bytes())?;
        self.clear()
    }

    /// Makes `path` below the mirror lead to the blob.
    pub(super) fn place(
        &self,
        path: &Path,
        digest: Digest,
        added: &mut Added,
    ) -> Result<(), MirrorError> {
        let target = from(path).join(BLOBS).join(digest.hex());
        if !self.link(path, &target)? {
            let shown = path.strip_prefix(REGISTRIES).unwrap_or(path);
            added.shadowed.insert(shown.display().to_string());
        }
        Ok(())
    }

    /// Makes `path` below the mirror lead to `target`, unless something else is there; says whether
    /// it does.
    pub(super) fn link(&self, path: &Path, target: &Path) -> Result<bool, MirrorError> {
        let place = self.root.join(path);
        if let Some(directory) = place.parent() {
            create_dir_all(directory)?;
        }
        match symlink(target, &place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(fs::read_link(&place).is_ok_and(|found| found == target))
            }
            other => Ok(other.map(|()| true).map_err(FsError::at("write", &place))?),
        }
    }

    /// Makes `path` below the mirror lead to `target`, whatever it led to.
    pub(super) fn relink(&self, path: &Path, target: &Path) -> Result<(), MirrorError> {
        let (place, new) = (self.root.join(path), self.root.join("tmp/link"));
        for directory in [&place, &new].into_iter().filter_map(|path| path.parent()) {
            create_dir_all(directory)?;
        }
        symlink(target, &new)
            .and_then(|()| fs::rename(&new, &place))
            .map_err(FsError::at("write", &place))?;
        Ok(())
    }

    /// Adds bytes; returns their digest.
    pub(super) fn add_bytes(&self, bytes: &[u8], added: &mut Added) -> Result<Digest, MirrorError> {
        let (digest, size) = (Digest::of(bytes), bytes.len() as u64);
        self.add(Path::new("memory"), || Ok(bytes), (digest, size), added)?;
        Ok(digest)
    }

    fn add_file(
        &self,
        file: &Path,
        artifact: &Artifact,
        added: &mut Added,
    ) -> Result<(), MirrorError> {
        let open = || File::open(file).map_err(FsError::at("read", file));
        self.add(file, open, (artifact.digest, artifact.size), added)
    }

    /// Adds what `open` gives, which is called `file` in messages.
    fn add<R: Read>(
        &self,
        file: &Path,
        open: impl FnOnce() -> Result<R, FsError>,
        (digest, size): (Digest, u64),
        added: &mut Added,
    ) -> Result<(), MirrorError> {
        let place = self.root.join(BLOBS).join(digest.hex());
        let old = match File::open(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => {
                let found = other.and_then(Digest::of_reader);
                Some(found.map_err(FsError::at("read", &place))?)
            }
        };
        if old == Some((digest, size)) {
            return Ok(());
        }
        let found = self.copy(open()?, &place, digest)?;
        if found != digest {
            return Err(MirrorError::Damaged {
                file: file.to_path_buf(),
                expected: digest,
                found,
            });
        }
        if old.is_some() {
            added.repaired.push(digest);
        }
        added.files += 1;
        added.bytes += size;
        Ok(())
    }

    /// Copies to `place` if the digest is right. Returns what it is.
    fn copy(
        &self,
        mut from: impl Read,
        place: &Path,
        expected: Digest,
    ) -> Result<Digest, MirrorError> {
        let tmp = self.root.join("tmp");
        for directory in [place.parent(), Some(&tmp)].into_iter().flatten() {
            create_dir_all(directory)?;
        }
        let new = tmp.join(expected.hex());
        let mut copy = || -> io::Result<Digest> {
            let mut to = File::create(&new)?;
            let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 128 * 1024]);
            loop {
                match from.read(&mut buffer)? {
                    0 => break,
                    read => {
                        hasher.update(&buffer[..read]);
                        to.write_all(&buffer[..read])?;
                    }
                }
            }
            let (found, _) = hasher.finish();
            if found == expected {
                // A server reads it, as whoever that runs as.
                to.set_permissions(Permissions::from_mode(0o644))?;
                // Before the rename, or a power cut could leave a name without its bytes.
                to.sync_all()?;
                fs::rename(&new, place)?;
            }
            Ok(found)
        };
        let copied = copy();
        if !copied.as_ref().is_ok_and(|found| *found == expected) {
            // What cannot be removed now is removed by the next run, as is what a killed one leaves.
            drop(fs::remove_file(&new));
        }
        Ok(copied.map_err(FsError::at("write", place))?)
    }

    /// Removes what is left of copies under way: nobody else writes.
    fn clear(&self) -> Result<(), MirrorError> {
        let tmp = self.root.join("tmp");
        match fs::remove_dir_all(&tmp) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => Ok(other.map_err(FsError::at("remove", &tmp))?),
        }
    }
}

fn require_empty(root: &Path) -> Result<(), MirrorError> {
    for entry in fs::read_dir(root).map_err(FsError::at("read", root))? {
        let entry = entry.map_err(FsError::at("read", root))?;
        if !NOTHING.iter().any(|name| entry.file_name() == *name) {
            return Err(MirrorError::NotAMirror {
                directory: root.to_path_buf(),
            });
        }
    }
    Ok(())
}

/// Returns the path of a registry's file below the mirror.
pub(super) fn below(registry: &str, file: &str) -> Result<PathBuf, MirrorError> {
    let path = Path::new(file);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !plain || file.is_empty() {
        return Err(MirrorError::Path {
            registry: registry.to_owned(),
            file: file.to_owned(),
        });
    }
    Ok(Path::new(REGISTRIES).join(registry).join(path))
}

/// Returns the way from the directory of `path` to the mirror's root.
pub(super) fn from(path: &Path) -> PathBuf {
    let depth = path.components().count().saturating_sub(1);
    std::iter::repeat_n("..", depth).collect()
}
